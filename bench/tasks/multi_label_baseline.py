"""The best that can be scored with the same labels, or probabilities, for every image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.labels import MISSING_LABEL
from bench.metric_columns import class_columns
from bench.tasks.base import Baseline
from bench.tasks.label_scores import (
    all_right,
    average_precisions,
    f1,
    label_counts,
    macro_f1,
    micro_f1,
)

SHARES = "each label's share of the images"
_TRIED = 100  # of the sets of labels that images have, the most frequent ones


def best_constants(labels: Tensor, classes: Sequence[str]) -> Baseline:
    """Of (N, K) labels.

    Binary cross-entropy is least where each label gets its share of the images, of which it is the
    mean entropy; equal scores have that share as their average precision. For F1 and subset
    accuracy labels are predicted: the most frequent ones, however many are best, or the set that
    most images have.
    """
    known = (labels != MISSING_LABEL).sum(0).double()
    shares = (labels == 1).sum(0).double() / known
    entropy = torch.special.entr(shares) + torch.special.entr(1 - shares)
    figures = {"loss": (entropy * known).nansum() / known.sum()}
    precisions = average_precisions(torch.zeros(labels.shape), labels)
    figures["map"] = precisions.nanmean()
    columns = class_columns(classes)
    figures |= {f"ap_{name}": own for name, own in zip(columns, precisions, strict=True)}
    named = dict.fromkeys(("loss", "map"), SHARES)
    candidates = _candidates(labels, shares)
    for constant in candidates:
        counts = label_counts(constant.expand(labels.shape), labels)
        found = {
            "f1": macro_f1(counts),
            "micro_f1": micro_f1(counts),
            "samples_f1": f1(counts, 1).nanmean(),
            "subset_accuracy": all_right(counts, labels).nanmean(),
        }
        for name, value in found.items():
            if not value.isnan() and not value <= figures.get(name, -torch.inf):
                figures[name], named[name] = value, _set_name(constant, classes)
    metrics = {name: float(value) for name, value in figures.items() if not value.isnan()}
    return Baseline(metrics, {name: text for name, text in named.items() if name in metrics})


def _candidates(labels: Tensor, shares: Tensor) -> list[Tensor]:
    """Sets of labels (K,) bool: the most frequent ones, each number of them, and images' own."""
    order = shares.nan_to_num().argsort(descending=True, stable=True)
    first = [torch.zeros_like(shares, dtype=torch.bool)]
    for label in order:
        first.append(first[-1].clone())
        first[-1][label] = True
    own, times = torch.unique(labels == 1, dim=0, return_counts=True)
    most = own[times.argsort(descending=True, stable=True)[:_TRIED]]
    return [*first, *most.unbind(0)]


def _set_name(constant: Tensor, classes: Sequence[str]) -> str:
    """`no label`, `all labels`, `cat and dog`, or `cat, dog and 3 more`."""
    names = [name for name, own in zip(classes, constant.tolist(), strict=True) if own]
    if not names:
        return "no label"
    if len(names) == len(classes):
        return "all labels"
    if len(names) > 3:
        return f"{', '.join(names[:2])} and {len(names) - 2} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
