"""Metrics of outlines and centre lines, by MONAI and scikit-image. Distances are in pixels.

Of an image and class of which mask and prediction are both empty there is none. Where one of them
is empty there is no distance either; NSD and clDice are 0.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.tasks.extra_metrics import PairMetric, ScoredClasses


class HausdorffDistance(PairMetric):
    """A percentile of the symmetric Hausdorff distance between the outlines."""

    counts_missing: ClassVar[bool] = True

    def __init__(self, measure: str, classes: ScoredClasses, *, percentile: float = 95.0) -> None:
        super().__init__(measure, classes)
        self._percentile = None if percentile == 100 else percentile

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """See `PairMetric`."""
        from monai.metrics import compute_hausdorff_distance

        both = predicted.flatten(2).any(2) & truth.flatten(2).any(2)
        with warnings.catch_warnings():  # of empty masks, which are left out below
            warnings.simplefilter("ignore")
            found = compute_hausdorff_distance(
                predicted.float(), truth.float(), include_background=True,
                percentile=self._percentile,
            )  # fmt: skip
        return torch.where(both, found.double(), torch.nan)


class SurfaceDice(PairMetric):
    """Normalised surface Dice: both outlines' parts that are within a tolerance of the other."""

    def __init__(self, measure: str, classes: ScoredClasses, *, tolerance: float = 1.0) -> None:
        super().__init__(measure, classes)
        self._tolerance = tolerance

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """See `PairMetric`."""
        from monai.metrics import compute_surface_dice

        some, other = predicted.flatten(2).any(2), truth.flatten(2).any(2)
        with warnings.catch_warnings():  # as above
            warnings.simplefilter("ignore")
            found = compute_surface_dice(
                predicted.float(), truth.float(), [self._tolerance] * truth.shape[1],
                include_background=True,
            ).double()  # fmt: skip
        found = torch.where(some ^ other, 0.0, found)
        return torch.where(some | other, found, torch.nan)


class CenterlineDice(PairMetric):
    """clDice (Shit et al. 2021): harmonic mean of each skeleton's part in the other mask."""

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """See `PairMetric`."""
        found = torch.full(truth.shape[:2], torch.nan, dtype=torch.float64)
        for i, j in np.ndindex(*truth.shape[:2]):
            found[i, j] = cl_dice(predicted[i, j].numpy(), truth[i, j].numpy())
        return found


def cl_dice(predicted: np.ndarray, truth: np.ndarray) -> float:
    """clDice of two (H, W) bool masks; NaN where both are empty."""
    from skimage.morphology import skeletonize

    if not predicted.any() and not truth.any():
        return float("nan")
    if not predicted.any() or not truth.any():
        return 0.0
    lines, tubes = skeletonize(predicted), skeletonize(truth)
    precision = (lines & truth).sum() / lines.sum()
    sensitivity = (tubes & predicted).sum() / tubes.sum()
    total = precision + sensitivity
    return float(2 * precision * sensitivity / total) if total else 0.0
