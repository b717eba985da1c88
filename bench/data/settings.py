"""What a spec can say of each data set."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from bench.data.base_settings import DATASETS, DataSettings, FilesSettings
from bench.data.folder_settings import ClassFolderSettings, FolderSettings, SplitFiles
from bench.data.setting_types import Border, ClassNames, LabelNames
from bench.registry import Custom
from bench.settings import machine_local

__all__ = [
    "BREEDS", "DATASETS", "ClassFolderSettings", "CustomData", "DataSettings", "FilesSettings",
    "FolderSettings", "OxfordPetSettings", "ShapesSettings", "SplitFiles",
]  # fmt: skip

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


@DATASETS.register("bench.data.oxford_pet:OxfordPet")
class OxfordPetSettings(FilesSettings):
    """Oxford-IIIT Pet (Parkhi et al. 2012): 37 breeds of cats and dogs with trimaps."""

    name: Literal["oxford_pet"] = "oxford_pet"
    root: str = machine_local("data", description="folder that holds (or gets) oxford-iiit-pet/")
    download: bool = machine_local(True, description="download it if it is not there")
    border: Border = "foreground"

    def label_names(self) -> tuple[str, ...]:
        """The 37 breeds, in the order of the data set's class numbers."""
        return BREEDS


@DATASETS.register("bench.data.shapes:Shapes")
class ShapesSettings(DataSettings):
    """Procedural textured animals on textured backgrounds; needs no download."""

    name: Literal["shapes"] = "shapes"
    image_size: int = Field(64, ge=8, le=1024, description="pixels of both sides")
    train: int = Field(200, ge=1, description="number of training images")
    val: int = Field(50, ge=1, description="number of validation images")
    test: int = Field(50, ge=1, description="number of test images")
    kinds: int = Field(1, ge=1, le=8, description="kinds of animals, each a class of the mask")
    difficulty: float = Field(0.5, ge=0, le=1, description="0: animals stand out; 1: camouflaged")
    border: Border = "foreground"
    seed: int = Field(0, ge=0, description="which images are drawn; not the trials' seed")

    def class_names(self) -> tuple[str, ...]:
        """Background and one class per kind."""
        if self.kinds == 1:
            return super().class_names()
        return ("background", *self.label_names())

    def label_names(self) -> tuple[str, ...]:
        """The kinds of animals, where there are several."""
        return tuple(f"kind{i + 1}" for i in range(self.kinds)) if self.kinds > 1 else ()


class CustomData(Custom, DataSettings):
    """A data set of the user's own."""

    # Of two bases pydantic takes the last one's `extra`, which forbids.
    model_config = ConfigDict(extra="allow")

    classes: ClassNames = ("background", "foreground")
    labels: LabelNames = Field((), description="names of the images' labels, in order")

    @property
    def several_labels(self) -> None:
        """Its samples say."""
        return

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes

    def label_names(self) -> tuple[str, ...]:
        """As given."""
        return self.labels
