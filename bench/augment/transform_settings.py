"""What a spec can say of each transform."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from bench.registry import Registry
from bench.settings import Settings


def _between(least: float, most: float | None, *, open_below: bool = False) -> AfterValidator:
    """Checks that a range is [low, high], low ≤ high, within these limits."""
    bound = f"{least:g} {'<' if open_below else '≤'} low ≤ high"
    bound += "" if most is None else f" ≤ {most:g}"

    def check(value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        below = low <= least if open_below else low < least
        if below or low > high or (most is not None and high > most):
            raise ValueError(f"must be [low, high] with {bound}")
        return value

    return AfterValidator(check)


Pair = tuple[float, float]


def _range(low: float, high: float, description: str) -> Any:
    return Field((low, high), strict=False, description=f"range, {description}")


class TransformSettings(Settings):
    """Common to every augmentation."""

    p: float = Field(0.5, ge=0, le=1, description="probability, drawn per sample")


AUGMENTATIONS: Registry[TransformSettings] = Registry("augmentation")


@AUGMENTATIONS.register("bench.augment.elastic:Elastic")
class ElasticSettings(TransformSettings):
    """Elastic deformation after Simard et al. (2003).

    A field of uniform noise in [-1, 1] is smoothed with a Gaussian of `sigma` pixels and multiplied
    by `alpha` pixels. Its standard deviation is alpha / (2 √(3π) sigma) pixels (0.98 for 30 and 5).
    torchvision's `alpha` counts half pixels: theirs = 2 × ours.
    """

    name: Literal["elastic"] = "elastic"
    alpha: float = Field(30.0, ge=0, description="pixels; see the formula above")
    sigma: float = Field(5.0, ge=1, description="pixels")


@AUGMENTATIONS.register("bench.augment.affine:Crop")
class CropSettings(TransformSettings):
    """A random crop of the image's shape, enlarged to full size."""

    name: Literal["crop"] = "crop"
    scale: Annotated[Pair, _between(0, 1, open_below=True)] = _range(
        0.5, 1.0, "uniform, of its side / full side"
    )


@AUGMENTATIONS.register("bench.augment.affine:HorizontalFlip")
class HorizontalFlipSettings(TransformSettings):
    """Mirror left and right."""

    name: Literal["hflip"] = "hflip"


@AUGMENTATIONS.register("bench.augment.affine:VerticalFlip")
class VerticalFlipSettings(TransformSettings):
    """Mirror top and bottom."""

    name: Literal["vflip"] = "vflip"


@AUGMENTATIONS.register("bench.augment.affine:Rotate")
class RotateSettings(TransformSettings):
    """Rotation about the centre by an angle uniform in [-degrees, degrees]."""

    name: Literal["rotate"] = "rotate"
    degrees: float = Field(15.0, ge=0, le=180, description="largest angle either way, in degrees")


@AUGMENTATIONS.register("bench.augment.affine:Translate")
class TranslateSettings(TransformSettings):
    """A shift along each axis, uniform in [-by, by]."""

    name: Literal["translate"] = "translate"
    by: float = Field(0.1, ge=0, le=1, description="largest shift either way / full side")


@AUGMENTATIONS.register("bench.augment.affine:Shear")
class ShearSettings(TransformSettings):
    """Slanting about the centre: each axis by an angle uniform in [-degrees, degrees]."""

    name: Literal["shear"] = "shear"
    degrees: float = Field(
        10.0, ge=0, lt=45, description="largest angle either way, in degrees, along each axis"
    )


@AUGMENTATIONS.register("bench.augment.affine:Scale")
class ScaleSettings(TransformSettings):
    """Enlargement (factor above 1) or shrinking (below 1) about the centre.

    Nothing is smoothed before it shrinks: well below 1/2, fine detail turns into moiré.
    """

    name: Literal["scale"] = "scale"
    factor: Annotated[Pair, _between(0, None, open_below=True)] = _range(
        0.8, 1.25, "log-uniform, of the length of things after / before"
    )


@AUGMENTATIONS.register("bench.augment.color:Brightness")
class BrightnessSettings(TransformSettings):
    """All values times a factor, then cut off at 255. Masks stay, as with all that follow."""

    name: Literal["brightness"] = "brightness"
    factor: Annotated[Pair, _between(0, None)] = _range(0.8, 1.2, "uniform, of the factor")


@AUGMENTATIONS.register("bench.augment.color:Contrast")
class ContrastSettings(TransformSettings):
    """Differences from the picture's mean grey, times a factor."""

    name: Literal["contrast"] = "contrast"
    factor: Annotated[Pair, _between(0, None)] = _range(0.8, 1.2, "uniform, of the factor")


@AUGMENTATIONS.register("bench.augment.color:Saturation")
class SaturationSettings(TransformSettings):
    """Differences of each pixel's colours from its grey (ITU-R BT.601), times a factor."""

    name: Literal["saturation"] = "saturation"
    factor: Annotated[Pair, _between(0, None)] = _range(0.7, 1.3, "uniform, of the factor")


@AUGMENTATIONS.register("bench.augment.color:Hue")
class HueSettings(TransformSettings):
    """Colours turned about grey by an angle uniform in [-degrees, degrees]; brightness stays."""

    name: Literal["hue"] = "hue"
    degrees: float = Field(15.0, ge=0, le=180, description="largest angle either way, in degrees")


@AUGMENTATIONS.register("bench.augment.color:Gamma")
class GammaSettings(TransformSettings):
    """255 · (value / 255)^exponent: above 1 the middle tones get darker."""

    name: Literal["gamma"] = "gamma"
    exponent: Annotated[Pair, _between(0, None, open_below=True)] = _range(
        0.8, 1.25, "log-uniform, of the exponent"
    )


@AUGMENTATIONS.register("bench.augment.texture:Noise")
class NoiseSettings(TransformSettings):
    """Gaussian noise, independent in every pixel and channel."""

    name: Literal["noise"] = "noise"
    std: Annotated[Pair, _between(0, 255)] = _range(
        2.0, 12.0, "uniform, of its standard deviation in levels of 0–255"
    )


@AUGMENTATIONS.register("bench.augment.texture:Blur")
class BlurSettings(TransformSettings):
    """Smoothing with a Gaussian."""

    name: Literal["blur"] = "blur"
    sigma: Annotated[Pair, _between(0, 50)] = _range(
        0.3, 2.0, "uniform, of its standard deviation in pixels"
    )


@AUGMENTATIONS.register("bench.augment.texture:Downscale")
class DownscaleSettings(TransformSettings):
    """A lower resolution, enlarged again: blocks of one colour."""

    name: Literal["downscale"] = "downscale"
    factor: Annotated[Pair, _between(0, 1, open_below=True)] = _range(
        0.25, 0.75, "uniform, of the lower resolution / full"
    )


@AUGMENTATIONS.register("bench.augment.texture:Cutout")
class CutoutSettings(TransformSettings):
    """A box of the image's shape, anywhere within it, in the image's mean colour.

    The mask stays as it is: what is hidden is to be found from what is around it.
    """

    name: Literal["cutout"] = "cutout"
    scale: Annotated[Pair, _between(0, 1)] = _range(
        0.2, 0.5, "uniform, of the box's side / full side"
    )


@AUGMENTATIONS.register("bench.augment.jpeg:Jpeg")
class JpegSettings(TransformSettings):
    """Compression as JPEG, with colours at half the resolution: blocks and ringing."""

    name: Literal["jpeg"] = "jpeg"
    quality: Annotated[Pair, _between(1, 100)] = _range(
        30, 95, "uniform, of the quality as libjpeg and Pillow count it"
    )


@AUGMENTATIONS.register("bench.augment.auto:RandAugment")
class RandAugmentSettings(TransformSettings):
    """RandAugment (Cubuk et al. 2020) as torchvision has it; not where masks are learnt.

    Comes before all that moves pixels, wherever it stands in the list, and like `trivial_augment`
    takes one image after another on the CPU.
    """

    name: Literal["rand_augment"] = "rand_augment"
    p: float = Field(1.0, ge=0, le=1, description="probability, drawn per sample")
    ops: int = Field(2, ge=1, description="operations one after the other")
    magnitude: int = Field(9, ge=0, description="of every operation, from 0 to bins - 1")
    bins: int = Field(31, ge=2, description="steps that the magnitude is counted in")
    interpolation: Literal["nearest", "bilinear"] = Field(
        "nearest", description="of operations that move pixels"
    )
    fill: float = Field(0.0, ge=0, le=255, description="level beyond the image's edges")

    @model_validator(mode="after")
    def _magnitude_counts(self) -> RandAugmentSettings:
        if self.magnitude >= self.bins:
            raise ValueError(f"magnitude must be below bins ({self.bins}), not {self.magnitude}")
        return self


@AUGMENTATIONS.register("bench.augment.auto:TrivialAugment")
class TrivialAugmentSettings(TransformSettings):
    """TrivialAugment (Müller and Hutter 2021) as torchvision has it, in its wide space.

    One operation of random strength for each image; not where masks are learnt.
    """

    name: Literal["trivial_augment"] = "trivial_augment"
    p: float = Field(1.0, ge=0, le=1, description="probability, drawn per sample")
    bins: int = Field(31, ge=2, description="steps that strengths are drawn from")
    interpolation: Literal["nearest", "bilinear"] = Field(
        "nearest", description="of operations that move pixels"
    )
    fill: float = Field(0.0, ge=0, le=255, description="level beyond the image's edges")


@AUGMENTATIONS.register("bench.augment.mixing:MixUp")
class MixUpSettings(TransformSettings):
    """mixup (Zhang et al. 2018): a sample and the one before it in the batch, and their labels.

    λ · sample + (1 - λ) · other, λ drawn from Beta(alpha, alpha) for each sample. Mixing comes
    last, wherever it stands in the list.
    """

    name: Literal["mixup"] = "mixup"
    p: float = Field(1.0, ge=0, le=1, description="probability, drawn per sample")
    alpha: float = Field(0.2, gt=0, description="of Beta(alpha, alpha); 1: uniform; small: little")


@AUGMENTATIONS.register("bench.augment.mixing:CutMix")
class CutMixSettings(TransformSettings):
    """CutMix (Yun et al. 2019): a box is that of the sample before in the batch.

    Labels of images are mixed by area; masks get the box of the other's mask.
    """

    name: Literal["cutmix"] = "cutmix"
    p: float = Field(1.0, ge=0, le=1, description="probability, drawn per sample")
    alpha: float = Field(
        1.0, gt=0, description="of Beta(alpha, alpha), from which the area that is left is drawn"
    )
