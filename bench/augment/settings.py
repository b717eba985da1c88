"""What a spec can say of augmentation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import (
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
from bench.augment.transform_settings import AUGMENTATIONS as AUGMENTATIONS
from bench.augment.transform_settings import TransformSettings as TransformSettings
from bench.errors import did_you_mean
from bench.registry import TARGET_PATTERN, Custom
from bench.settings import Settings, added_later


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


BY_SAMPLE = ("rand_augment", "trivial_augment")
MIXING = ("mixup", "cutmix")


def named_transforms(transforms: Iterable[TransformSettings]) -> Iterator[Any]:
    """All transforms by name, those inside of one_of too."""
    for part in transforms:
        if isinstance(part, OneOfSettings):
            yield from named_transforms(part.of)
        elif not isinstance(part, CustomTransform):
            yield part


class PipelineSettings(Custom):
    """A pipeline of albumentations or torchvision v2, or a function of image and mask, as it is.

    `target:` is the pipeline, or what makes it of the other keys; values that have a `target:`
    themselves are made first.
    """

    @model_validator(mode="before")
    @classmethod
    def _targets_are_paths(cls, value: Any) -> Any:
        for target in _inner_targets(value):
            if not isinstance(target, str) or re.fullmatch(TARGET_PATTERN, target) is None:
                raise ValueError(f"target must be package.module:name, not {target!r}")
        return value


def _inner_targets(value: Any) -> Iterator[Any]:
    """The targets of all parts inside of a value."""
    parts = value.values() if isinstance(value, dict) else value
    for part in parts if isinstance(parts, list | tuple) or isinstance(value, dict) else ():
        if isinstance(part, dict) and "target" in part:
            yield part["target"]
        yield from _inner_targets(part)


class AugmentSettings(Settings):
    """A pipeline of transforms, or one of another library.

    That of another library comes first. Then those that move pixels compose, in order, into one
    resampling of image and mask; those that change values follow, in order, on the image alone;
    mixing comes last.
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
    pipeline: PipelineSettings | None = added_later(
        None,
        description="a pipeline of albumentations or torchvision v2, or a function of image and "
        "mask: `target:` and its arguments, which may stand in `augment` itself",
    )

    @property
    def by_sample(self) -> bool:
        """Whether some of it works on one image after the other, on the CPU."""
        return self.pipeline is not None or any(
            part.name in BY_SAMPLE for part in named_transforms(self.transforms)
        )

    @property
    def mixing(self) -> tuple[str, ...]:
        """Names of the transforms that mix samples."""
        names = (part.name for part in named_transforms(self.transforms))
        return tuple(dict.fromkeys(name for name in names if name in MIXING))

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"transforms": _preset(value)}
        if isinstance(value, list | tuple):
            return {"transforms": value}
        if isinstance(value, dict) and "target" in value:
            return {"pipeline": value}
        if isinstance(value, dict) and isinstance(value.get("transforms"), str):
            return {**value, "transforms": _preset(value["transforms"])}
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = object_or_list(schema, handler, "transforms")
        found["anyOf"].append({"enum": list(PRESETS), "type": "string"})
        target = {"type": "string", "pattern": TARGET_PATTERN, "description": "package.module:name"}
        found["anyOf"].append(
            {"type": "object", "required": ["target"], "properties": {"target": target}}
        )
        return found


def _preset(name: str) -> list[Any]:
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS)
        words = ", ".join(PRESETS)
        raise ValueError(
            f"must be a list of augmentations or a mapping, or one of {words}, not {name!r}{hint}"
        )
    return PRESETS[name]
