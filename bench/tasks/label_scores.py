"""Scores of images with several labels, from (N, K) probabilities and labels on the CPU.

Labels are int64: 1, 0, or missing, which is in no score. A label that no image of the split has
gets no score, whatever is predicted, so that what is defined does not depend on the epoch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.labels import MISSING_LABEL


class LabelCounts(NamedTuple):
    """(N, K) bool each: whether a label is there and predicted, only predicted, only there."""

    hits: Tensor
    extra: Tensor
    missed: Tensor


def label_counts(predicted: Tensor, labels: Tensor) -> LabelCounts:
    """Of (N, K) bool predictions and labels; missing ones are none of the three."""
    there, away = labels == 1, labels == 0
    return LabelCounts(predicted & there, predicted & away, ~predicted & there)


def average_precisions(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(K,) float64: the sum over thresholds of precision times the gain in recall.

    As scikit-learn's `average_precision_score`: without interpolation, equal scores at one
    threshold. NaN where no image has the label, or where a probability is not a number.
    """
    columns = zip(probabilities.double().unbind(1), labels.unbind(1), strict=True)
    return torch.stack([_average_precision(own, truth) for own, truth in columns])


def _average_precision(probabilities: Tensor, labels: Tensor) -> Tensor:
    known = labels != MISSING_LABEL
    ordered = probabilities[known].sort(descending=True)
    truth = labels[known][ordered.indices].double()
    if not truth.any() or ordered.values.isnan().any():
        return torch.tensor(torch.nan, dtype=torch.float64)
    last = torch.ones_like(truth, dtype=torch.bool)  # of equal scores
    last[:-1] = ordered.values[1:] != ordered.values[:-1]
    hits = truth.cumsum(0)[last]
    precision = hits / torch.arange(1, len(truth) + 1)[last]
    return (precision * hits.diff(prepend=hits.new_zeros(1))).sum() / truth.sum()


def f1(counts: LabelCounts, dim: int) -> Tensor:
    """F1 along a dimension, 2·hits / (2·hits + extra + missed); NaN where all three are 0."""
    hits, extra, missed = (part.sum(dim).double() for part in counts)
    return 2 * hits / (2 * hits + extra + missed)


def macro_f1(counts: LabelCounts) -> Tensor:
    """(): the mean of the labels' F1 over those that an image has; NaN where none has any."""
    return f1(counts, 0)[(counts.hits | counts.missed).any(0)].mean()


def micro_f1(counts: LabelCounts) -> Tensor:
    """(): F1 of all labels together; NaN where no image has any."""
    if not (counts.hits | counts.missed).any():
        return torch.tensor(torch.nan, dtype=torch.float64)
    return f1(LabelCounts(*(part.flatten() for part in counts)), 0)


def all_right(counts: LabelCounts, labels: Tensor) -> Tensor:
    """(N,) float64: 1 where all known labels of an image are right, else 0; NaN: none is known."""
    wrong = (counts.extra | counts.missed).any(1)
    known = (labels != MISSING_LABEL).any(1)
    return torch.where(known, (~wrong).double(), torch.nan)
