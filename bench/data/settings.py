"""What a spec can say of each data set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from bench.registry import Custom, Registry
from bench.settings import Settings, added, local

Normalize = Literal["none", "unit", "symmetric", "imagenet"]
Border = Literal["foreground", "ignore", "background"]
OnError = Literal["fail", "skip"]
Background = Literal["first", "none"]
PixelValue = Annotated[int, Field(ge=0, le=255)]


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError("two classes have the same name")
    return names


# Word characters only: metrics are named after classes (val/dice_cat).
ClassNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^\w+$")], ...],
    Field(min_length=2, max_length=255, strict=False),
    AfterValidator(_distinct),
]
# No metric is named after a label; a label may be a folder's name.
LabelNames = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[^/\\.\s]([^/\\\n]*[^/\\\s])?$")], ...],
    Field(strict=False),
    AfterValidator(_distinct),
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
    background: Background = added(
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


class FilesSettings(DataSettings):
    """Common to every data set that is read from files."""

    on_error: OnError = Field(
        "fail",
        description="a file that cannot be read ends the run (fail), or its sample is left out, "
        "counted and named in the report (skip); more than 5% of them are an error all the same",
    )


DATASETS: Registry[DataSettings] = Registry("data set")


@DATASETS.register("bench.data.oxford_pet:OxfordPet")
class OxfordPetSettings(FilesSettings):
    """Oxford-IIIT Pet (Parkhi et al. 2012): 37 breeds of cats and dogs with trimaps."""

    name: Literal["oxford_pet"] = "oxford_pet"
    root: str = local("data", description="folder that holds (or gets) oxford-iiit-pet/")
    download: bool = local(True)
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
    """Text files under `root` that list images by their names in the data set, one a line."""

    train: str
    val: str
    test: str


@DATASETS.register("bench.data.folder:Folder")
class FolderSettings(FilesSettings):
    """Any pair of folders with images and masks of the same names."""

    name: Literal["folder"] = "folder"
    root: str = local(...)
    images: str = "images"
    masks: str = "masks"
    classes: ClassNames = ("background", "foreground")
    values: tuple[PixelValue, ...] | None = Field(
        None, strict=False, description="the pixel value of each class, in order; default 0…K-1"
    )
    ignore: int | None = Field(None, ge=0, le=255, description="a pixel value that is not scored")
    splits: SplitFiles | None = None

    @model_validator(mode="after")
    def _values_fit(self) -> FolderSettings:
        values = range(len(self.classes)) if self.values is None else self.values
        if len(values) != len(self.classes):
            raise ValueError(f"values: {len(values)} values for {len(self.classes)} classes")
        if len(set(values)) < len(values):
            raise ValueError("values: two classes have the same pixel value")
        if self.ignore is not None and self.ignore in values:
            raise ValueError(f"ignore: {self.ignore} is also the pixel value of a class")
        return self

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes


@DATASETS.register("bench.data.class_folder:ClassFolder")
class ClassFolderSettings(FilesSettings):
    """Images in a folder per class: `root/cat/1.jpg`, or `root/train/cat/1.jpg` and so on."""

    name: Literal["class_folder"] = "class_folder"
    root: str = local(...)
    classes: LabelNames = Field(
        min_length=2, description="the folders' names, which are the classes' too"
    )
    splits: SplitFiles | None = Field(
        None, description="files that list images as class/name, without ending"
    )

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
