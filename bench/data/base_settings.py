"""What a spec can say of every data set, and which data sets there are."""

from __future__ import annotations

from pydantic import Field

from bench.data.fold_settings import FoldSettings
from bench.data.setting_types import Background, Exif, Normalize, OnError, WindowSetting
from bench.registry import Registry
from bench.settings import Settings, added_later


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
    folds: FoldSettings | None = added_later(
        None,
        argument=False,
        description="cross-validation: every arm and seed is trained once for each fold, on the "
        "images of the others, and validated on its own",
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
