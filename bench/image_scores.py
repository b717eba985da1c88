"""Scores of single images: what a validation gives of a split, and a trial of its images.

An image without a score has NaN, never 0 or 1. Imports neither torch nor files of any kind.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores32 = npt.NDArray[np.float32]
Scores16 = npt.NDArray[np.float16]


@dataclass(frozen=True)
class ImageScores:
    """What every image of a split scores.

    Attributes:
        metrics: names as in the columns of history.csv, without `val/`.
        values: (images, metrics) float32, the images in the split's order; NaN: no score.
        means: the metrics whose figure of the split is the mean over its images with a score.
    """

    metrics: tuple[str, ...]
    values: Scores32
    means: frozenset[str]

    @classmethod
    def of(
        cls, scores: Mapping[str, npt.NDArray[np.float64]], means: Collection[str]
    ) -> ImageScores:
        """Of (images,) scores by metric."""
        with np.errstate(over="ignore"):  # the loss of a model that diverges becomes infinite
            values = np.stack(list(scores.values()), axis=1).astype(np.float32)
        return cls(tuple(scores), values, frozenset(means))

    def column(self, metric: str) -> Scores32 | None:
        """(images,) scores by one metric; None: images have none of it."""
        return self.values[:, self.metrics.index(metric)] if metric in self.metrics else None

    @property
    def missing(self) -> ImageScores:
        """The same images and metrics without any score."""
        return ImageScores(self.metrics, np.full_like(self.values, np.nan), self.means)


@dataclass(frozen=True)
class SplitImages:
    """The images of a split, in its order.

    Attributes:
        names: unique in the data set.
        groups: of images that depend on each other (a patient); empty: each is its own.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class SelectedAndLast:
    """A split's scores with the weights of two epochs.

    Attributes:
        selected: those of the epoch that `select.metric` chose.
        last: those of the last epoch; None: not known, its weights are gone.
    """

    selected: ImageScores
    last: ImageScores | None


@dataclass(frozen=True)
class TrialScores:
    """All scores of single images that a trial records.

    Attributes:
        metric: the selected metric, without `val/`.
        selected_epoch, last_epoch: counted from 1; 0: not known.
        splits: by the name of the split.
        images: by the name of the split.
        images_hash: of `images`, once they are on record.
        val_epochs: (epochs, images) float16 of the selected metric on the validation split; None:
            images have no score of it, or no epoch's are known.
    """

    metric: str
    selected_epoch: int
    last_epoch: int
    splits: Mapping[str, SelectedAndLast]
    images: Mapping[str, SplitImages]
    val_epochs: Scores16 | None = None
    images_hash: str = ""
