"""What a spec can say of augmentation."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from bench.errors import SpecError, nearest
from bench.registry import Custom, Registry
from bench.settings import Settings


class TransformSettings(Settings):
    """Common to every augmentation."""

    p: float = Field(0.5, ge=0, le=1, description="probability, drawn per sample")


AUGMENTATIONS: Registry[TransformSettings] = Registry("augmentation")


@AUGMENTATIONS.register("bench.augment.elastic:Elastic")
class ElasticSettings(TransformSettings):
    """Elastic deformation after Simard et al. (2003).

    A field of uniform noise in [-1, 1] is smoothed with a Gaussian of `sigma` pixels and multiplied
    by `alpha` pixels. Its standard deviation is alpha / (2 √(3π) sigma) pixels: 0.98 px for 30 and 5.
    torchvision's alpha counts half pixels: theirs = 2 × ours.
    """

    name: Literal["elastic"] = "elastic"
    alpha: float = Field(30.0, ge=0, description="pixels; see the formula above")
    sigma: float = Field(5.0, gt=0, description="pixels")


@AUGMENTATIONS.register("bench.augment.affine:Crop")
class CropSettings(TransformSettings):
    """A random square crop, enlarged to full size."""

    name: Literal["crop"] = "crop"
    scale: tuple[float, float] = Field(
        (0.5, 1.0), strict=False, description="range of its side / full side"
    )

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError("must be [low, high] with 0 < low ≤ high ≤ 1")
        return scale


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
    degrees: float = Field(15.0, ge=0, le=180)


Transforms = tuple[SerializeAsAny[Settings], ...]


@AUGMENTATIONS.register("bench.augment.pipeline:OneOf")
class OneOfSettings(TransformSettings):
    """At most one of several, each with its own probability `p`; their sum is at most 1."""

    name: Literal["one_of"] = "one_of"
    p: float = Field(1.0, ge=0, le=1, description="probability that one is drawn at all")
    of: Transforms = Field(min_length=1, strict=False)

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return value

    @field_validator("of", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Transforms:
        return parse_transforms(value)

    @model_validator(mode="after")
    def _sum(self) -> OneOfSettings:
        total = sum(getattr(part, "p", 0.0) for part in self.of)
        if total > 1 + 1e-9:
            raise ValueError(f"the probabilities of one_of add up to {total:g}, more than 1")
        return self


class AugmentSettings(Settings):
    """A pipeline of transforms, applied in order and resampled once."""

    transforms: Transforms = Field((), strict=False)
    mode: Literal["replace", "append"] = Field(
        "replace", description="append: the original stays in the epoch beside its deformed copy"
    )
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"transforms": value} if isinstance(value, list | tuple) else value

    @field_validator("transforms", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Transforms:
        return parse_transforms(value)


def parse_transforms(value: Any) -> Transforms:
    """`[hflip, {elastic: {p: 0.2}}, {target: my.module:Name, p: 0.1}]` → settings, in order."""
    raise NotImplementedError
