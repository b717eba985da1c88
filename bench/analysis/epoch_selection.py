"""What choosing the best epoch on the images that also score it adds to a figure.

The best epoch's score is too good by the luck that made it best, the more so the fewer images there
are and the more a curve fluctuates: it is no constant that cancels between arms (Cawley and Talbot
2010). Without a test split two figures are free of it: the cross-fitted score, and the mean of the
last epochs, which chooses nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.metric_columns import LAST_EPOCHS
from bench.record.directions import Mode


class CrossFitted(NamedTuple):
    """A score of epochs that were chosen on other images.

    Attributes:
        score: mean over all images, each scored at the epoch that the other half chose; NaN where
            either half has no image with scores.
        epochs: those chosen by the first and by the second half, from 0.
        by_image: (images,), what `score` is the mean of.
    """

    score: float
    epochs: tuple[int, int]
    by_image: npt.NDArray[np.float64]


def cross_fitted(
    scores: npt.ArrayLike, mode: Mode = "max", groups: Sequence[Hashable] | None = None
) -> CrossFitted:
    """Choose the epoch on one half of the images, score it on the other, and the reverse.

    Args:
        scores: (epochs, images); NaN where an image has no score.
        mode: whether less or more is better; of equal epochs the first is chosen.
        groups: (images,), which no half may split.
    """
    table = np.asarray(scores, dtype=float)
    first = halves(table.shape[1], groups)
    epochs = [_best_epoch(table[:, half], mode) for half in (first, ~first)]
    if epochs[0] is None or epochs[1] is None:
        return CrossFitted(np.nan, (-1, -1), np.full(table.shape[1], np.nan))
    by_image = np.where(first, table[epochs[1]], table[epochs[0]])
    known = by_image[~np.isnan(by_image)]
    score = float(known.mean()) if len(known) else np.nan
    return CrossFitted(score, (epochs[0], epochs[1]), by_image)


def halves(n_images: int, groups: Sequence[Hashable] | None = None) -> npt.NDArray[np.bool_]:
    """Which images belong to the first half: every other one, or whole groups of them.

    The same for every trial on these images. Groups go to the half that has fewer images so far,
    the largest first.
    """
    if groups is None:
        return np.asarray(np.arange(n_images) % 2 == 0)
    sizes: dict[Hashable, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    first: set[Hashable] = set()
    balance = 0  # images of the first half more than of the second
    for group in sorted(sizes, key=lambda group: -sizes[group]):  # stable: by first appearance
        if balance <= 0:
            first.add(group)
        balance += sizes[group] if group in first else -sizes[group]
    return np.array([group in first for group in groups], dtype=bool)


def last_epochs_mean(curve: npt.ArrayLike, epochs: int = LAST_EPOCHS) -> float:
    """Mean of the last epochs' figures, for claims about the plateau; NaN where there are fewer."""
    values = np.asarray(curve, dtype=float)
    return float(values[-epochs:].mean()) if len(values) >= epochs else np.nan


def optimism(best: float, score: float, mode: Mode = "max") -> float:
    """How much better the best epoch's own score is than the cross-fitted one."""
    return best - score if mode == "max" else score - best


def _best_epoch(scores: npt.NDArray[np.float64], mode: Mode) -> int | None:
    """The first epoch with the best mean over images; None where no image has a score."""
    known = ~np.isnan(scores)
    count = known.sum(axis=1)
    if not count.any():
        return None
    means = np.where(known, scores, 0.0).sum(axis=1) / np.maximum(count, 1)
    worst = -np.inf if mode == "max" else np.inf
    means = np.where(count > 0, means, worst)
    return int(means.argmax() if mode == "max" else means.argmin())
