"""What a spec can say of each data set."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from bench.errors import did_you_mean
from bench.registry import Custom, Registry
from bench.settings import Settings, added_later, machine_local

Normalize = Literal["none", "unit", "symmetric", "imagenet"]
Border = Literal["foreground", "ignore", "background"]
OnError = Literal["fail", "skip"]
Background = Literal["first", "none"]
Exif = Literal["apply", "ignore"]
Alpha = Literal["drop", "mask"]
Palette = Literal["auto", "index", "colour"]
PixelValue = Annotated[int, Field(ge=-(2**31), lt=2**32)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]


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

CLASS_PATTERN = r"^\w+$"
"""Word characters only: metrics are named after classes (val/dice_cat)."""
ClassNames = Annotated[
    tuple[Annotated[str, Field(pattern=CLASS_PATTERN)], ...],
    Field(min_length=2, max_length=255, strict=False),
    AfterValidator(_distinct),
]
# No metric is named after a label; a label may be a folder's name.
LabelNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[^/\\.\s]([^/\\\n]*[^/\\\s])?$")], ...],
    Field(strict=False),
    AfterValidator(_distinct),
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


# The classes 1 to 37 of Oxford-IIIT Pet, in that order.
BREEDS = (
    "Abyssinian", "american_bulldog", "american_pit_bull_terrier", "basset_hound", "beagle",
    "Bengal", "Birman", "Bombay", "boxer", "British_Shorthair", "chihuahua", "Egyptian_Mau",
    "english_cocker_spaniel", "english_setter", "german_shorthaired", "great_pyrenees",
    "havanese", "japanese_chin", "keeshond", "leonberger", "Maine_Coon", "miniature_pinscher",
    "newfoundland", "Persian", "pomeranian", "pug", "Ragdoll", "Russian_Blue", "saint_bernard",
    "samoyed", "scottish_terrier", "shiba_inu", "Siamese", "Sphynx",
    "staffordshire_bull_terrier", "wheaten_terrier", "yorkshire_terrier",
)  # fmt: skip


def number_of(value: int | str) -> int:
    """A pixel value, or the number of a colour like `#ff8000`."""
    return value if isinstance(value, int) else int(value.removeprefix("#"), 16)


class DataSettings(Settings):
    """Common to every data set."""

    image_size: int = Field(
        256, ge=8, le=4096, description="pixels; images are stretched to a square"
    )
    normalize: Normalize = Field(
        "imagenet",
        description="none: floats 0-255; unit: 0-1; symmetric: -1 to 1; imagenet: its mean and "
        "deviation",
    )
    background: Background = added_later(
        "first",
        argument=False,
        description="first: class 0 of the masks is background, which has no score of its own; "
        "none: class 0 is scored like any other (the road of Cityscapes, the sky of CamVid)",
    )

    def class_names(self) -> tuple[str, ...]:
        """Names of the mask's classes 0…K-1; see `background`. Empty: no masks."""
        return ("background", "foreground")

    def label_names(self) -> tuple[str, ...]:
        """Names of the images' labels 0…K-1; empty: images have none."""
        return ()


class GroupColumn(Settings):
    """A CSV file under `root` that names each image's group."""

    file: str
    name: str = Field("name", description="the column of the images' names, or paths to them")
    group: str = Field("group", description="the column of their groups")


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is no regular expression ({error})") from error
    return pattern


Groups = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_compiles), Tag("single")]
    | Annotated[GroupColumn, Tag("mapping")],
    Discriminator(
        _shape,
        custom_error_type="groups",
        custom_error_message="must be a regular expression, or a mapping with `file:`",
    ),
]
GROUPS = (
    "images that belong together (a patient's, a video's) and stay in one split: a regular "
    "expression searched for in an image's name, whose groups in parentheses (or all of it) are "
    "the name of the image's group; or a CSV file: {file:, name:, group:}"
)


class FilesSettings(DataSettings):
    """Common to every data set that is read from files."""

    on_error: OnError = Field(
        "fail",
        description="a file that cannot be read ends the run (fail), or its sample is left out, "
        "counted and named in the report (skip); more than 5% of them are an error all the same",
    )
    exif: Exif = added_later(
        "apply",
        description="turn images and masks as their EXIF orientation says, like viewers do; "
        "ignore: as stored",
    )
    page: int | None = added_later(
        None,
        ge=1,
        description="which page (frame) of files with several, from 1; null: they are an error",
    )
    window: WindowSetting = added_later(
        "auto",
        description="the stored values that become 0 and 1. full: the whole range of their type; "
        "percentiles: 0.1% and 99.9% of the training pixels; [low, high]; auto: full for 8 bits, "
        "else the smallest and largest value of the training images",
    )


DATASETS: Registry[DataSettings] = Registry("data set")


@DATASETS.register("bench.data.oxford_pet:OxfordPet")
class OxfordPetSettings(FilesSettings):
    """Oxford-IIIT Pet (Parkhi et al. 2012): 37 breeds of cats and dogs with trimaps."""

    name: Literal["oxford_pet"] = "oxford_pet"
    root: str = machine_local("data", description="folder that holds (or gets) oxford-iiit-pet/")
    download: bool = machine_local(True)
    border: Border = "foreground"

    def label_names(self) -> tuple[str, ...]:
        """The 37 breeds, in the order of the data set's class numbers."""
        return BREEDS


@DATASETS.register("bench.data.shapes:Shapes")
class ShapesSettings(DataSettings):
    """Procedural textured animals on textured backgrounds; needs no download."""

    name: Literal["shapes"] = "shapes"
    image_size: int = Field(64, ge=8, le=1024)
    train: int = Field(200, ge=1, description="number of training images")
    val: int = Field(50, ge=1)
    test: int = Field(50, ge=1)
    kinds: int = Field(1, ge=1, le=8, description="kinds of animals, each a class of the mask")
    difficulty: float = Field(0.5, ge=0, le=1, description="0: animals stand out; 1: camouflaged")
    border: Border = "foreground"
    seed: int = Field(0, ge=0)

    def class_names(self) -> tuple[str, ...]:
        """Background and one class per kind."""
        if self.kinds == 1:
            return super().class_names()
        return ("background", *self.label_names())

    def label_names(self) -> tuple[str, ...]:
        """The kinds of animals, where there are several."""
        return tuple(f"kind{i + 1}" for i in range(self.kinds)) if self.kinds > 1 else ()


class SplitFiles(Settings):
    """Text files under `root` that list images, one a line: names, file names or paths."""

    train: str
    val: str
    test: str


@DATASETS.register("bench.data.folder:Folder")
class FolderSettings(FilesSettings):
    """Any pair of folders with images and masks of the same names."""

    name: Literal["folder"] = "folder"
    root: str = machine_local(...)
    images: str = "images"
    masks: str = "masks"
    classes: ClassNames = ("background", "foreground")
    values: Values | None = Field(
        None,
        description="what a mask's pixel values mean: the value of each class, in order (default "
        "0…K-1), or a mapping of values to classes ({1: pet, 3: pet}), also of colours "
        "({'#ff0000': pet})",
    )
    ignore: Ignored | None = Field(
        None, description="pixel values (one, or a list) that are not scored; of colours '#e0e0c0'"
    )
    threshold: float | None = added_later(
        None,
        description="instead of `values`, for two classes: pixels from this value on are the "
        "second class, those below the first (soft edges, JPEG, probabilities)",
    )
    alpha: Alpha = added_later(
        "drop", description="mask: the masks are in the alpha channel of their files"
    )
    palette: Palette = added_later(
        "auto",
        description="of palette masks, take the index or the (grey) colour; auto: the index, but "
        "where the palette goes from white to black, white is 1 and black 0",
    )
    splits: SplitFiles | None = None
    groups: Groups | None = added_later(None, description=GROUPS)

    @model_validator(mode="after")
    def _values_fit(self) -> FolderSettings:
        if self.threshold is not None:
            self._check_threshold()
            return self
        if isinstance(self.values, dict):
            self._check_mapping(self.values)
            return self
        self._check_ignored()
        values = tuple(range(len(self.classes))) if self.values is None else self.values
        if len(values) != len(self.classes):
            raise ValueError(f"values: {len(values)} values for {len(self.classes)} classes")
        if len(set(values)) < len(values):
            raise ValueError("values: two classes have the same pixel value")
        for ignored in self._ignored:
            if ignored in values:
                raise ValueError(f"ignore: {ignored} is also the pixel value of a class")
        return self

    @property
    def _ignored(self) -> tuple[int | str, ...]:
        return (self.ignore,) if isinstance(self.ignore, int | str) else self.ignore or ()

    def _check_ignored(self, *, colours: bool = False) -> None:
        for value in self._ignored:
            if isinstance(value, str) and not colours:
                raise ValueError(f"ignore: {value!r} is a colour, but `values:` are numbers")
            if colours and isinstance(value, int) and value < 256:
                meant = f"#{value * 0x10101:06x}" if value >= 0 else "#e0e0c0"
                raise ValueError(
                    f"ignore: {value} is no colour, as `values:` are: write one, like '{meant}'"
                )

    def _check_threshold(self) -> None:
        self._check_ignored()
        if self.values is not None:
            raise ValueError("threshold: is instead of `values:`; remove one of them")
        if len(self.classes) != 2:
            raise ValueError(f"threshold: makes two classes, not {len(self.classes)}")

    def _check_mapping(self, values: dict[int | str, str]) -> None:
        if len({type(value) for value in values}) > 1:
            raise ValueError("values: are either all numbers or all colours like '#ff0000'")
        self._check_ignored(colours=any(isinstance(value, str) for value in values))
        for value, name in values.items():
            if name not in self.classes:
                raise ValueError(
                    f"values: {value} is of no class of `classes:`: {name!r}"
                    + did_you_mean(name, self.classes)
                )
            if number_of(value) in map(number_of, self._ignored):
                raise ValueError(f"ignore: {value} is also the pixel value of a class")

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes


@DATASETS.register("bench.data.class_folder:ClassFolder")
class ClassFolderSettings(FilesSettings):
    """Images in a folder per class: `root/cat/1.jpg`, or `root/train/cat/1.jpg` and so on."""

    name: Literal["class_folder"] = "class_folder"
    root: str = machine_local(...)
    classes: LabelNames = Field(
        min_length=2, description="the folders' names, which are the classes' too"
    )
    splits: SplitFiles | None = Field(
        None, description="files that list images as class/name, with their ending or without"
    )
    groups: Groups | None = added_later(None, description=GROUPS)

    def class_names(self) -> tuple[str, ...]:
        """None: there are no masks."""
        return ()

    def label_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes


class CustomData(Custom, DataSettings):
    """A data set of the user's own."""

    # Of two bases pydantic takes the last one's `extra`, which forbids.
    model_config = ConfigDict(extra="allow")

    classes: ClassNames = ("background", "foreground")
    labels: LabelNames = ()

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes

    def label_names(self) -> tuple[str, ...]:
        """As given."""
        return self.labels
