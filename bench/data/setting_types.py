"""Types of what a spec can say of a data set."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from bench.settings import Settings

Normalize = Literal["none", "unit", "symmetric", "imagenet"]
Border = Annotated[
    Literal["foreground", "ignore", "background"],
    Field(description="what the pixels along outlines are; ignore: neither trained on nor scored"),
]
EvaluateAt = Literal["image_size", "original"]
OnError = Literal["fail", "skip"]
Background = Literal["first", "none"]
Exif = Literal["apply", "ignore"]
Alpha = Literal["drop", "mask"]
Palette = Literal["auto", "index", "colour", "voc", "cityscapes", "camvid"]
PixelValue = Annotated[int, Field(ge=-(2**31), lt=2**32)]
COLOUR_PATTERN = r"^#[0-9a-f]{6}$"
Colour = Annotated[str, Field(pattern=COLOUR_PATTERN)]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("two classes have the same name")
    return names


def _in_small_letters(value: Any) -> Any:
    """Colours as they are compared."""
    if isinstance(value, list | tuple):
        return [_in_small_letters(item) for item in value]
    return value.lower() if isinstance(value, str) else value


Ignored = Annotated[
    Annotated[PixelValue | Colour, Tag("single")]
    | Annotated[tuple[PixelValue | Colour, ...], Field(strict=False), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "single"),
    BeforeValidator(_in_small_letters),
]

CLASS_PATTERN = r"^\S(.*\S)?$"
"""Any characters; `metric_columns.class_columns` names the metrics' columns after them."""
ClassNames = Annotated[
    tuple[Annotated[str, Field(pattern=CLASS_PATTERN)], ...],
    Field(
        min_length=2,
        max_length=255,
        strict=False,
        description="names of the masks' classes, in the order of their values",
    ),
    AfterValidator(_distinct),
]
# No metric is named after a label; a label may be a folder's name.
LabelNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[^/\\.\s]([^/\\\n]*[^/\\\s])?$")], ...],
    Field(strict=False),
    AfterValidator(_distinct),
]


_Side = Annotated[int, Field(ge=8, le=16_384)]
ImageSize = Annotated[
    Annotated[_Side, Tag("single")]
    | Annotated[tuple[_Side, _Side], Field(strict=False), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "single"),
]


def _different(channels: tuple[int | str, ...]) -> tuple[int | str, ...]:
    if len({type(channel) for channel in channels}) > 1:
        raise ValueError("are either all numbers or all names")
    return channels


Channels = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=64)] | Annotated[str, Field(min_length=1)], ...],
    Field(strict=False, min_length=1, max_length=64),
    AfterValidator(_different),
]


def _shape(value: Any) -> str | None:
    """Which of several kinds of values this is, so that an error speaks of that kind only."""
    if isinstance(value, Settings | dict):
        return "mapping"
    return "list" if isinstance(value, list | tuple) else "single"


def _ascending(window: tuple[float, float]) -> tuple[float, float]:
    if not window[0] < window[1]:
        raise ValueError(f"the second value must be above the first, not {list(window)}")
    return window


WindowSetting = Annotated[
    Annotated[Literal["auto", "full", "percentiles"], Tag("single")]
    | Annotated[tuple[float, float], Field(strict=False), AfterValidator(_ascending), Tag("list")],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "single"),
]


def _with_numbers(values: Any) -> Any:
    """A mapping's keys as YAML has them, where JSON made text of them; colours in small letters."""
    if not isinstance(values, dict):
        return values
    return {
        (int(key) if re.fullmatch(r"-?\d+", key) else key.lower())
        if isinstance(key, str)
        else key: value
        for key, value in values.items()
    }


Values = Annotated[
    Annotated[tuple[PixelValue, ...], Field(strict=False, min_length=1), Tag("list")]
    | Annotated[
        dict[PixelValue | Colour, str],
        BeforeValidator(_with_numbers),
        Field(min_length=1),
        Tag("mapping"),
    ],
    Discriminator(
        _shape,
        custom_error_type="values",
        custom_error_message="must be a list of pixel values, one for each class in order, or a "
        "mapping of pixel values to classes",
    ),
]


def number_of(value: int | str) -> int:
    """A pixel value, or the number of a colour like `#ff8000`."""
    return value if isinstance(value, int) else int(value.removeprefix("#"), 16)


class GroupColumn(Settings):
    """A CSV file under `root` that names each image's group."""

    file: str = Field(description="its path under `root`")
    name: str = Field("name", description="the column of the images' names, or paths to them")
    group: str = Field("group", description="the column of their groups")


OneOrMore = Annotated[
    Annotated[str, Field(min_length=1), Tag("single")]
    | Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        Field(strict=False, min_length=1),
        Tag("list"),
    ],
    Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "single"),
]


def _as_hex(colours: Any) -> Any:
    """Colours of classes as `#rrggbb`, from `[red, green, blue]` too."""
    if not isinstance(colours, dict):
        return colours
    return {name: _hex(str(name), colour) for name, colour in colours.items()}


def _hex(name: str, colour: Any) -> str:
    if isinstance(colour, str) and re.fullmatch(COLOUR_PATTERN, colour.lower()):
        return colour.lower()
    levels = colour if isinstance(colour, list | tuple) else ()
    if len(levels) == 3 and all(isinstance(n, int) and 0 <= n <= 255 for n in levels):
        return "#{:02x}{:02x}{:02x}".format(*levels)
    raise ValueError(f"the colour of {name!r} must be [red, green, blue], each 0 to 255")


PaletteSetting = Annotated[
    Annotated[Palette, Tag("single")]
    | Annotated[
        dict[str, Annotated[str, Field(pattern=COLOUR_PATTERN)]],
        BeforeValidator(_as_hex),
        Field(min_length=2),
        Tag("mapping"),
    ],
    Discriminator(
        _shape,
        custom_error_type="palette",
        custom_error_message="must be one of auto, index, colour, voc, cityscapes and camvid, or "
        "a mapping of classes to colours: {road: [128, 64, 128]}",
    ),
]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from error
    return pattern


def _pattern_alone(value: Any) -> Any:
    """`{pattern: …}` is the pattern."""
    if isinstance(value, dict) and list(value) == ["pattern"]:
        return value["pattern"]
    return value


Groups = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_compiles), Tag("single")]
    | Annotated[GroupColumn, Tag("mapping")],
    Discriminator(
        _shape,
        custom_error_type="groups",
        custom_error_message="must be a regular expression, {pattern: …}, or a mapping with "
        "`file:`",
    ),
    BeforeValidator(_pattern_alone),
]
GROUPS = (
    "images that belong together (a patient's, a video's) and stay in one split, and in one fold: "
    "a regular expression searched for in an image's name, whose groups in parentheses (or all of "
    "it) are the name of the image's group, also as {pattern:}; or a CSV file: {file:, name:, "
    "group:}"
)
