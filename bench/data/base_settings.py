"""What a spec can say of every data set, and which data sets there are."""

from __future__ import annotations

from pydantic import Field, model_validator

from bench.data.fitting import Fit, Fitting, Size, as_size
from bench.data.fold_settings import FoldSettings
from bench.data.setting_types import (
    Background,
    Channels,
    EvaluateAt,
    Exif,
    ImageSize,
    Normalize,
    OnError,
    WindowSetting,
)
from bench.registry import Registry
from bench.settings import Settings, added_later, machine_local


class DataSettings(Settings):
    """Common to every data set."""

    image_size: ImageSize = Field(
        256, description="pixels that every image gets: of both sides, or [height, width]"
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

    @property
    def channel_count(self) -> int:
        """How many channels its images have."""
        return 3

    @property
    def several_labels(self) -> bool | None:
        """Whether an image can have more labels than one, or none; None: that is not known."""
        return False

    @property
    def size(self) -> Size:
        """The images' height and width."""
        return as_size(self.image_size)

    @property
    def fitting(self) -> Fitting:
        """How its images get their size."""
        return Fitting(self.size)

    @property
    def scores_own_size(self) -> bool:
        """Whether finished models are scored at the images' own sizes."""
        return False

    crop: ImageSize | None = added_later(
        None,
        argument=False,
        description="train on random parts of this size, of one side or [height, width], and "
        "evaluate and predict by overlapping tiles of it; null: whole images",
    )

    @property
    def network_size(self) -> Size:
        """Height and width of what the network sees at once."""
        return self.size if self.crop is None else as_size(self.crop)

    @model_validator(mode="after")
    def _crops_what_there_is(self) -> DataSettings:
        if any(part > whole for part, whole in zip(self.network_size, self.size, strict=True)):
            raise ValueError(f"crop: {self.crop} is more than `image_size:` {self.image_size}")
        return self

    def class_names(self) -> tuple[str, ...]:
        """Names of the mask's classes 0…K-1; see `background`. Empty: no masks."""
        return ("background", "foreground")

    def label_names(self) -> tuple[str, ...]:
        """Names of the images' labels 0…K-1; empty: images have none."""
        return ()


class FilesSettings(DataSettings):
    """Common to every data set that is read from files."""

    evaluate_at: EvaluateAt = added_later(
        "image_size",
        argument=False,
        description="the size at which `evaluate` and the test split of a finished trial are "
        "scored. original: predictions are resized to their masks' own sizes; validation in "
        "training stays at image_size",
    )
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

    @property
    def scores_own_size(self) -> bool:
        """Whether finished models are scored at the images' own sizes."""
        return self.evaluate_at == "original"

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


class OwnFilesSettings(FilesSettings):
    """Common to data sets of files of the user's own."""

    channels: Channels | None = added_later(
        None,
        description="which channels of the files the network gets, counted from 0 ([3, 2, 1]), or "
        "their names where each is a file of its own ({channel} in `images:`); null: red, green "
        "and blue",
    )
    fit: Fit = added_later(
        "stretch",
        description="how images get that size. stretch: whatever becomes of their shape; "
        "letterbox: as they are, with black bars that are not scored; crop: their middle",
    )
    follow_links: bool = machine_local(
        False,
        description="read files that links under `root` lead to, wherever they are (DVC, "
        "git-annex, caches); else links must stay within `root`",
    )

    @property
    def channel_count(self) -> int:
        """As many as are chosen."""
        return 3 if self.channels is None else len(self.channels)

    @property
    def fitting(self) -> Fitting:
        """As `fit` says."""
        return Fitting(self.size, self.fit)

    @model_validator(mode="after")
    def _normalizes_its_channels(self) -> OwnFilesSettings:
        if self.normalize == "imagenet" and self.channel_count != 3:
            raise ValueError(
                f"normalize: imagenet is of red, green and blue, not of {self.channel_count} "
                "channels; use unit, symmetric or none"
            )
        return self


DATASETS: Registry[DataSettings] = Registry("data set")
