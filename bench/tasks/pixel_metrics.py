"""Precision, recall and pooled IoU of masks."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench.tasks.dice_iou import Counts, count, mean_over_pairs, scores
from bench.tasks.extra_metrics import ByImage, Found, PairMetric, ScoredClasses
from bench.tasks.outputs import as_classes


class Precision(PairMetric):
    """|P∩G| / |P|; not defined where nothing is predicted."""

    counts_missing: ClassVar[bool] = True

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """See `PairMetric`."""
        return (predicted & truth).sum((2, 3)).double() / predicted.sum((2, 3))


class Recall(PairMetric):
    """|P∩G| / |G|; not defined where the mask is empty."""

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """See `PairMetric`."""
        return (predicted & truth).sum((2, 3)).double() / truth.sum((2, 3))


class PooledIoU:
    """IoU of each class from the pixels of the whole split, averaged over the classes it has."""

    def __init__(self, measure: str, classes: ScoredClasses, *, background: bool = False) -> None:
        """`background`: whether class 0 counts where it has no score of its own."""
        self._measure, self._classes = measure, classes
        self._first = 0 if background else classes.first
        self._counts: list[Counts] = []

    def update(self, scores: Tensor, target: Tensor) -> None:
        """See `ExtraMetric`."""
        labels = as_classes(scores).argmax(1).to(torch.uint8)
        self._counts.append(count(labels, target, self._classes.number).of_split())

    def compute(self) -> Found:
        """See `ExtraMetric`."""
        whole = Counts(*(torch.cat(part).cpu() for part in zip(*self._counts, strict=True)))
        found = scores(whole.of_split(), first=self._first, empty_mask="missing")
        mean = mean_over_pairs(found.iou, found.defined)
        return {self._measure: None if mean.isnan() else float(mean)}

    def by_image(self) -> ByImage:
        """None: it is made of the whole split."""
        return ByImage({}, frozenset())
