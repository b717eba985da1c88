"""What a spec can say of cross-validation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.data.setting_types import Groups
from bench.settings import Settings

MOST_FOLDS = 1_000
Pool = Literal["trainval", "train", "all"]


class FoldSettings(Settings):
    """Cross-validation: a trial for each fold, validated on the images that it did not train on."""

    k: int = Field(ge=2, le=MOST_FOLDS, description="number of folds")
    stratify: Literal["auto", "label", "none"] = Field(
        "auto",
        description="label: each fold has about as many images of each label; auto: where images "
        "have labels",
    )
    group: Groups | None = Field(
        None,
        description="images that stay in one fold, as in `groups:` of `folder` and `class_folder`, "
        "for data sets without it; default: the data's groups, where there are any",
    )
    of: Pool = Field(
        "trainval",
        description="trainval: training and validation images are shared out, and the test split "
        "stays what it is; train: training images alone, those of the validation split are not "
        "used; all: test images, too, so that there is no test split",
    )
    repartition: bool = Field(
        False, description="other folds with every seed; else the same for all arms and seeds"
    )
