from tests.augment.conformance import conforms

test_elastic = conforms({"elastic": {"alpha": 60, "sigma": 4}})
test_crop = conforms({"crop": {"scale": [0.5, 0.9]}})
test_hflip = conforms({"hflip": {}})
test_vflip = conforms({"vflip": {}})
test_rotate = conforms({"rotate": {"degrees": 60}})
test_translate = conforms({"translate": {"by": 0.3}})
test_shear = conforms({"shear": {"degrees": 30}})
test_scale = conforms({"scale": {"factor": [0.5, 2]}})
test_brightness = conforms({"brightness": {}}, moves=False)
test_contrast = conforms({"contrast": {}}, moves=False)
test_saturation = conforms({"saturation": {}}, moves=False)
test_gamma = conforms({"gamma": {}}, moves=False)
test_noise = conforms({"noise": {}}, moves=False)
test_blur = conforms({"blur": {}}, moves=False)
test_cutout = conforms({"cutout": {}}, moves=False)
test_one_of = conforms({"one_of": {"of": [{"rotate": {"p": 0.4}}, {"elastic": {"p": 0.6}}]}})
test_custom_affine = conforms({"target": f"{__package__}.custom:Shift", "most": 9})
test_custom_displacement = conforms({"target": f"{__package__}.custom:Ripple", "height": 3})
test_custom_photometric = conforms(
    {"target": f"{__package__}.custom:Tint", "share": 0.3}, moves=False
)
