"""What a spec can say of augmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from bench.augment.spelling import Spelled, object_or_list
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
    degrees: float = Field(15.0, ge=0, le=180, description="largest angle either way")


class CustomTransform(Custom, TransformSettings):
    """A transform of the user's own: see `bench.augment.base` for what it must have."""

    model_config = ConfigDict(extra="allow")


@AUGMENTATIONS.register("bench.augment.pipeline:OneOf")
class OneOfSettings(TransformSettings):
    """At most one of several, each with its own probability `p`; their sum is at most 1."""

    name: Literal["one_of"] = "one_of"
    p: float = Field(1.0, ge=0, le=1, description="probability that one is drawn at all")
    of: tuple[Transform, ...] = Field(min_length=1, strict=False)

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
    Transform = Annotated[Union[tuple(_parts())], Discriminator(_tag), Spelled(AUGMENTATIONS)]  # noqa: UP007
OneOfSettings.model_rebuild()


class AugmentSettings(Settings):
    """A pipeline of transforms, applied in order and resampled once."""

    transforms: tuple[Transform, ...] = Field((), strict=False)
    mode: Literal["replace", "append"] = Field(
        "replace", description="append: the original stays in the epoch beside its deformed copy"
    )
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bilinear", description="of the image; a mask always takes the nearest pixel's label"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"transforms": value} if isinstance(value, list | tuple) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return object_or_list(schema, handler, "transforms")
