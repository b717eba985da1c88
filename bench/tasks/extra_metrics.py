"""Metrics beside those that a task always has: what the meters ask of them.

Targets are masks (B, H, W) uint8 with the ignore label, labels (B,) int64, or several labels (B, K)
int64 of 0, 1 and missing ones; scores (B, K, H, W) or (B, K) are those before softmax or sigmoid.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.labels import IGNORE_LABEL
from bench.tasks.dice_iou import mean_of_classes, mean_over_pairs
from bench.tasks.metric_settings import missing_column
from bench.tasks.outputs import predict_labels

_ROUNDING = 1e-6
Found = dict[str, float | None]


class ScoredClasses(NamedTuple):
    """The classes of a task.

    Attributes:
        number: of all.
        first: the first that has scores: 1 where class 0 is background.
        columns: what columns call those that have scores.
        several: whether an image can have several labels, or none: targets are (B, K).
        threshold: the probability above which it is given one then.
    """

    number: int
    first: int
    columns: tuple[str, ...]
    several: bool = False
    threshold: float = 0.5


class ByImage(NamedTuple):
    """Figures of single images.

    Attributes:
        values: (N,) by column; NaN: no figure.
        means: the columns whose figure of the split is the mean of these.
    """

    values: dict[str, npt.NDArray[np.float64]]
    means: frozenset[str]


class ExtraMetric(Protocol):
    """One metric, over one pass."""

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Take a batch."""
        ...

    def compute(self) -> Found:
        """The figures of what was seen, by column; None: not defined there."""
        ...

    def by_image(self) -> ByImage:
        """Those of each image, in the order in which they were seen; empty: it has none."""
        ...


class PairMetric:
    """A metric of each pair of image and class, averaged over an image's classes, then over images.

    A pair has no figure where its function gives NaN, in an image without a pixel that counts, and
    where no mask of the split has the class.

    Attributes:
        counts_missing: whether the pairs are counted that have none though mask or prediction has
            the class: what the figure does not say.
    """

    counts_missing: ClassVar[bool] = False

    def __init__(self, measure: str, classes: ScoredClasses) -> None:
        self._measure, self._classes = measure, classes
        self._values: list[Tensor] = []
        self._truth: list[Tensor] = []
        self._counted: list[Tensor] = []
        self._seen: list[Tensor] = []

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """(B, C) float64 of (B, C, H, W) bool on the CPU; NaN where it is not defined."""
        raise NotImplementedError

    def update(self, scores: Tensor, target: Tensor) -> None:
        """See `ExtraMetric`."""
        labels, target = predict_labels(scores).cpu(), target.cpu()  # a byte a pixel
        counted = target != IGNORE_LABEL
        numbers = torch.arange(self._classes.first, self._classes.number).view(1, -1, 1, 1)
        truth = target.unsqueeze(1) == numbers
        predicted = (labels.unsqueeze(1) == numbers) & counted.unsqueeze(1)
        self._values.append(self.pairs(predicted, truth).double())
        self._truth.append(truth.flatten(2).any(2))
        self._counted.append(counted.flatten(1).any(1))
        self._seen.append((truth | predicted).flatten(2).any(2))

    def compute(self) -> Found:
        """See `ExtraMetric`."""
        values, defined = self._pairs()
        found = {self._measure: _known(mean_over_pairs(values, defined))}
        if len(self._classes.columns) > 1:
            own = mean_of_classes(values, defined)
            columns = self._columns()
            found |= {name: _known(mean) for name, mean in zip(columns, own, strict=True)}
        if self.counts_missing:
            there = torch.cat(self._truth).any(0)
            without = torch.cat(self._seen) & there & ~defined & torch.cat(self._counted)[:, None]
            found[missing_column(self._measure)] = int(without.sum())
        return found

    def by_image(self) -> ByImage:
        """See `ExtraMetric`."""
        values, defined = self._pairs()
        found = {self._measure: values.sum(1) / defined.sum(1)}  # 0 / 0 where it has no figure
        if len(self._classes.columns) > 1:
            own = torch.where(defined, values, torch.nan).unbind(1)
            found |= dict(zip(self._columns(), own, strict=True))
        return ByImage({k: v.numpy() for k, v in found.items()}, frozenset(found))

    def _columns(self) -> list[str]:
        return [f"{self._measure}_{name}" for name in self._classes.columns]

    def _pairs(self) -> tuple[Tensor, Tensor]:
        values, truth = torch.cat(self._values), torch.cat(self._truth)
        counted = torch.cat(self._counted)
        defined = values.isfinite() & counted[:, None] & truth.any(0)
        return torch.where(defined, values, 0.0), defined


def _known(value: Tensor) -> float | None:
    return None if value.isnan() else float(value)
