"""Dice and IoU from counts of pixels: per image, or of a whole split.

Of one class let P be the pixels predicted as it and G those that are it in the mask, pixels with
the ignore label left out of both. Dice = 2·|P∩G| / (|P| + |G|), IoU = |P∩G| / |P∪G|. Where both
are empty the ratio is 0/0: see `EmptyMask`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench.labels import IGNORE_LABEL
from bench.tasks.settings import EmptyMask

EPSILON = 1e-6  # as in the published scores
_MAX_BINS = 1 << 22  # of int64 at a time, on a CPU
_MAX_PIXELS = 1 << 23  # at a time, on a CPU: 96 MB of int32 and int64
_MAX_FLAGS = 1 << 26  # bools at a time, on a GPU


class Counts(NamedTuple):
    """Pixels of each image and class, (N, K) int64: |P∩G|, |P| and |G|."""

    both: Tensor
    predicted: Tensor
    truth: Tensor

    def of_split(self) -> Counts:
        """The same of all images together, (1, K)."""
        return Counts(*(part.sum(0, keepdim=True) for part in self))


class Overlap(NamedTuple):
    """Dice and IoU per image and class, (N, C) float64, and where they are defined.

    Where `defined` is False there is no score: the entry is 0 and belongs in no mean.
    """

    dice: Tensor
    iou: Tensor
    defined: Tensor


def dice_and_iou(
    predicted: Tensor, truth: Tensor, classes: int, empty_mask: EmptyMask | None = None
) -> Overlap:
    """Scores of (B, H, W) labels for the classes 1…K-1, the images being a whole split.

    `empty_mask` defaults to `one` for two classes and to `missing` for more.
    """
    empty_mask = empty_mask or ("one" if classes == 2 else "missing")
    return scores(count(predicted, truth, classes), first=1, empty_mask=empty_mask)


def scores(counts: Counts, *, first: int, empty_mask: EmptyMask) -> Overlap:
    """Scores of a whole split's images (or of `of_split`) for the classes `first`…K-1.

    `one` is the published convention for binary masks: (2·|P∩G| + ε) / (|P| + |G| + ε), ε = 1e-6,
    so that an empty mask predicted empty is 1. Under `missing` a pair of image and class has no
    score where the class is in neither mask nor prediction, or in no mask of the split. An image
    without a pixel to score has none either way.
    """
    both, predicted, truth = (part[:, first:].double() for part in counts)
    total = predicted + truth
    defined = (counts.truth.sum(1, keepdim=True) > 0).expand_as(total)
    if empty_mask == "one":
        dice = (2 * both + EPSILON) / (total + EPSILON)
        iou = (both + EPSILON) / (total - both + EPSILON)
    else:
        defined = defined & (total > 0) & (truth.sum(0) > 0)
        dice = 2 * both / total.clamp(min=1)
        iou = both / (total - both).clamp(min=1)
    return Overlap(dice * defined, iou * defined, defined)


def mean_over_pairs(values: Tensor, defined: Tensor) -> Tensor:
    """Mean over an image's classes, then over images, each over what is defined; () float64.

    NaN where nothing is. The order is that of MONAI's `reduction="mean"` and of torchmetrics'
    `average="macro"`: an image with many classes counts as much as one with few.
    """
    classes = defined.sum(1)
    each = values.sum(1) / classes.clamp(min=1)
    return each.sum() / (classes > 0).sum()


def mean_of_classes(values: Tensor, defined: Tensor) -> Tensor:
    """Each class's mean over the images where it is defined, (C,) float64; NaN where nowhere."""
    return values.sum(0) / defined.sum(0)


def count(predicted: Tensor, truth: Tensor, classes: int) -> Counts:
    """Count the pixels of (B, H, W) labels 0…K-1, `truth` with the ignore label, both uint8.

    Nothing is read back from the device.
    """
    predicted, truth = predicted.flatten(1), truth.flatten(1)
    if truth.is_cuda:  # bincount reads its largest value back
        counted = torch.where(truth == IGNORE_LABEL, IGNORE_LABEL, predicted)
        both = torch.where(counted == truth, truth, IGNORE_LABEL)
        return Counts(*(_by_comparing(part, classes) for part in (both, counted, truth)))
    images = max(1, _MAX_BINS // ((classes + 1) * classes))
    parts = zip(torch.split(predicted, images), torch.split(truth, images), strict=True)
    confusion = torch.cat([_confusion_of_long(*part, classes) for part in parts])
    return Counts(confusion.diagonal(dim1=1, dim2=2), confusion.sum(1), confusion.sum(2))


def pixels(truth: Tensor, classes: int) -> Tensor:
    """(B, K) int64: pixels of each class in (B, H, W) masks."""
    return count(torch.zeros_like(truth), truth, classes).truth


def constant_prediction(truth: Tensor, label: int) -> Counts:
    """The counts where `label` is predicted everywhere; `truth` as in `Counts`."""
    both, predicted = torch.zeros_like(truth), torch.zeros_like(truth)
    both[:, label], predicted[:, label] = truth[:, label], truth.sum(1)
    return Counts(both, predicted, truth)


def _confusion_of_long(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """See `_confusion`; of images with many pixels, some of these at a time."""
    pixels = max(1, _MAX_PIXELS // len(truth))
    parts = zip(torch.split(predicted, pixels, 1), torch.split(truth, pixels, 1), strict=True)
    first, *others = (_confusion(*part, classes) for part in parts)
    return sum(others, start=first)


def _confusion(predicted: Tensor, truth: Tensor, classes: int) -> Tensor:
    """(B, K, K) int64 of (B, P) labels on a CPU: row = class of the mask, column = predicted.

    One pass whatever the number of classes: a bin for each image, class and class; int32 halves
    the memory that goes through the cache.
    """
    size = (classes + 1) * classes  # row K takes the ignored pixels
    bins = truth.to(torch.int32).clamp_(max=classes).mul_(classes).add_(predicted)
    bins += size * torch.arange(len(truth), dtype=torch.int32)[:, None]
    found = torch.bincount(bins.flatten(), minlength=size * len(truth))
    return found.view(-1, classes + 1, classes)[:, :classes]


def _by_comparing(labels: Tensor, classes: int) -> Tensor:
    """(B, K) int64: how often each class is among (B, P) labels, several classes at a time."""
    step = max(1, _MAX_FLAGS // max(1, labels.numel()))
    numbers = torch.arange(classes, dtype=labels.dtype, device=labels.device)
    found = [(labels[:, None] == part[:, None]).sum(2) for part in torch.split(numbers, step)]
    return torch.cat(found, 1)
