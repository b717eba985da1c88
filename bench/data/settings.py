"""What a spec can say of each data set."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.registry import Custom, Registry
from bench.settings import Settings, local

IGNORE_LABEL = 255
Normalize = Literal["none", "unit", "imagenet"]


class DataSettings(Settings):
    """Common to every data set."""

    image_size: int = Field(
        256, ge=8, le=4096, description="pixels; images are stretched to a square"
    )
    normalize: Normalize = Field(
        "imagenet", description="none: floats 0-255; unit: 0-1; imagenet: its mean and deviation"
    )

    def class_names(self) -> tuple[str, ...]:
        """Names of the mask's classes 0…K-1; class 0 is the background."""
        return ("background", "foreground")


DATASETS: Registry[DataSettings] = Registry("data set")


@DATASETS.register("bench.data.oxford_pet:OxfordPet")
class OxfordPetSettings(DataSettings):
    """Oxford-IIIT Pet (Parkhi et al. 2012): 37 breeds of cats and dogs with trimaps."""

    name: Literal["oxford_pet"] = "oxford_pet"
    root: str = local("data", description="folder that holds (or gets) oxford-iiit-pet/")
    download: bool = local(True)
    border: Literal["foreground", "ignore", "background"] = "foreground"


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
    border: Literal["foreground", "ignore", "background"] = "foreground"
    seed: int = Field(0, ge=0)

    def class_names(self) -> tuple[str, ...]:
        """Background and one class per kind."""
        if self.kinds == 1:
            return super().class_names()
        return ("background", *(f"kind{i + 1}" for i in range(self.kinds)))


class SplitFiles(Settings):
    """Text files that list image names (without folder or ending), one a line."""

    train: str
    val: str
    test: str


@DATASETS.register("bench.data.folder:Folder")
class FolderSettings(DataSettings):
    """Any pair of folders with images and masks of the same names."""

    name: Literal["folder"] = "folder"
    root: str = local(...)
    images: str = "images"
    masks: str = "masks"
    classes: tuple[str, ...] = Field(("background", "foreground"), min_length=2, strict=False)
    values: tuple[int, ...] | None = Field(
        None, strict=False, description="the pixel value of each class, in order; default 0…K-1"
    )
    ignore: int | None = Field(None, ge=0, le=255, description="a pixel value that is not scored")
    splits: SplitFiles | None = None

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes


class CustomData(Custom, DataSettings):
    """A data set of the user's own."""

    classes: tuple[str, ...] = Field(("background", "foreground"), min_length=2, strict=False)

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes
