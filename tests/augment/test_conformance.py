from .conformance import conforms

test_elastic = conforms({"elastic": {"alpha": 60, "sigma": 4}})
test_crop = conforms({"crop": {"scale": [0.5, 0.9]}})
test_hflip = conforms({"hflip": {}})
test_vflip = conforms({"vflip": {}})
test_rotate = conforms({"rotate": {"degrees": 60}})
test_one_of = conforms({"one_of": {"of": [{"rotate": {"p": 0.4}}, {"elastic": {"p": 0.6}}]}})
test_custom_affine = conforms({"target": f"{__package__}.custom:Shift", "most": 9})
test_custom_displacement = conforms({"target": f"{__package__}.custom:Ripple", "height": 3})
