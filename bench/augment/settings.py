"""What a spec can say of augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic_core import CoreSchema

from bench.augment.presets import PRESETS
from bench.augment.short_spellings import ShortSpellings, object_or_list
from bench.errors import did_you_mean
from bench.registry import Custom, Registry
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


class CustomTransform(Custom, TransformSettings):
    """A transform of the user's own: see `bench.augment.base` for what it must have."""

    model_config = ConfigDict(extra="allow")


@AUGMENTATIONS.register("bench.augment.pipeline:OneOf")
class OneOfSettings(TransformSettings):
    """At most one of several, each with its own probability `p`; their sum is at most 1."""

    name: Literal["one_of"] = "one_of"
    p: float = Field(1.0, ge=0, le=1, description="probability that one is drawn at all")
    of: tuple[Transform, ...] = Field(
        min_length=1, strict=False, description="the augmentations to choose from"
    )

    @model_validator(mode="after")
    def _sum(self) -> OneOfSettings:
        total = sum(part.p for part in self.of)
        if total > 1 + 1e-9:
            raise ValueError(f"the probabilities of one_of add up to {total:g}, more than 1")
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return object_or_list(schema, handler, "of")


def _tag(value: Any) -> str | None:
    if isinstance(value, Custom) or (isinstance(value, dict) and "target" in value):
        return "target"
    return value.get("name") if isinstance(value, dict) else getattr(value, "name", None)


def _parts() -> list[Any]:
    named: list[Any] = [
        Annotated[AUGMENTATIONS.entry(n).settings, Tag(n)] for n in AUGMENTATIONS.names()
    ]
    return [*named, Annotated[CustomTransform, Tag("target")]]


if TYPE_CHECKING:
    Transform = TransformSettings
else:
    _union = Union[tuple(_parts())]  # noqa: UP007 - a tuple made at run time
    Transform = Annotated[_union, Discriminator(_tag), ShortSpellings(AUGMENTATIONS)]
OneOfSettings.model_rebuild()


class AugmentSettings(Settings):
    """A pipeline of transforms.

    Those that move pixels compose, in order, into one resampling of image and mask; those that
    change values follow, in order, on the image alone.
    """

    transforms: tuple[Transform, ...] = Field(
        (), strict=False, description="names, `{name: settings}`, or `target:`; or a preset's name"
    )
    mode: Literal["replace", "append"] = Field(
        "replace",
        description="append: the original stays in the epoch along with its deformed copy",
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="of the image; a mask always takes the nearest pixel's label"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"transforms": _preset(value)}
        if isinstance(value, list | tuple):
            return {"transforms": value}
        if isinstance(value, dict) and isinstance(value.get("transforms"), str):
            return {**value, "transforms": _preset(value["transforms"])}
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = object_or_list(schema, handler, "transforms")
        found["anyOf"].append({"enum": list(PRESETS), "type": "string"})
        return found


def _preset(name: str) -> list[Any]:
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        words = ", ".join(PRESETS)
        raise ValueError(
            f"must be a list of augmentations or a mapping, or one of {words}, not {name!r}{hint}"
        )
    return PRESETS[name]
