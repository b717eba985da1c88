"""Segmentation losses. Scores are (B, K, H, W), masks (B, H, W) uint8 with an ignore label.

A loss of a batch is what training minimises. That of a whole split is made of sums over all its
batches, so that it depends on no batch size.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.labels import IGNORE_LABEL
from bench.tasks.outputs import as_classes

EPSILON = 1e-6  # as in the published scores: empty against empty is 1


class Measured(NamedTuple):
    """What a batch says of the losses of its split and of its images, in float64.

    Attributes:
        sums: what of the batch enters the loss of its split, to be added up.
        images: (B,) the loss of each image by itself; NaN where it is not defined.
    """

    sums: Tensor
    images: Tensor


class Loss(Protocol):
    """A loss of batches, of a split, and of its images."""

    @property
    def adds_up(self) -> bool:
        """Whether the sums (`Measured`) of an image's parts add up to those of the image."""
        ...

    def __call__(self, scores: Tensor, masks: Tensor, /) -> Tensor:
        """The batch's loss, () in the type of the scores."""
        ...

    def amount(self, masks: Tensor, /) -> Tensor | None:
        """What the loss of a batch is a mean over, (): the pixels that count.

        None: it is no mean, and those of a batch's parts do not add up to it.
        """
        ...

    def measure(self, scores: Tensor, masks: Tensor, /) -> Measured:
        """What is recorded of a batch; nothing is read back from the device."""
        ...

    def of_split(self, sums: Tensor) -> Tensor:
        """The loss of a split from its batches' sums, (); NaN where no pixel counts."""
        ...


class PixelCrossEntropy:
    """Cross-entropy weighted by (1 - p)^γ, p the true class's probability: mean over pixels.

    Pixels with the ignore label do not count; where none does, the loss of a batch is 0. γ = 0 is
    cross-entropy itself, γ > 0 the focal loss (Lin et al. 2017).
    """

    adds_up = True

    def __init__(self, gamma: float = 0.0) -> None:
        self._gamma = gamma
        self.class_weights: Tensor | None = None

    def __call__(self, scores: Tensor, masks: Tensor) -> Tensor:
        """See `Loss`. With `class_weights` (K,) a mean that weights pixels by their class."""
        if self.class_weights is None:
            return self._total(scores, masks) / self.amount(masks)
        self.class_weights = weights = self.class_weights.to(scores.device)
        each = self._focal(scores, masks).view(masks.shape)
        return (each * _of_pixels(weights, masks)).sum() / self.amount(masks)

    def amount(self, masks: Tensor) -> Tensor:
        """See `Loss`; with class weights their sum over pixels."""
        if self.class_weights is None:
            return _counted(masks).clamp(min=1)
        self.class_weights = weights = self.class_weights.to(masks.device)
        # an epsilon where every class of the batch has the weight 0
        return _of_pixels(weights, masks).sum().clamp(min=EPSILON)

    def measure(self, scores: Tensor, masks: Tensor) -> Measured:
        """(2,) sums over the batch: of the loss over pixels, and how many count."""
        if self._gamma == 0:
            # the log-probabilities once for both; their "sum" has the bits of cross_entropy's
            probabilities, labels = _log_probabilities(scores, masks)
            total = _nll(probabilities, labels, "sum")
            each = _nll(probabilities, labels, "none")
        else:
            each = self._focal(scores, masks)
            total = each.sum()
        counted = (masks != IGNORE_LABEL).flatten(1).sum(1)
        sums = torch.stack([total.double(), counted.sum().double()])
        return Measured(sums, each.view(len(masks), -1).sum(1, dtype=torch.float64) / counted)

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`."""
        return sums[0] / sums[1]

    def _total(self, scores: Tensor, masks: Tensor) -> Tensor:
        if self._gamma == 0:
            return _pixelwise(scores, masks, "sum")
        return self._focal(scores, masks).sum()

    def _focal(self, scores: Tensor, masks: Tensor) -> Tensor:
        each = _pixelwise(scores, masks, "none")
        if self._gamma == 0:
            return each
        return power(-torch.expm1(-each), self._gamma) * each


class SoftDice:
    """One minus the soft Dice of each class over a whole batch (or split), averaged over classes.

    Milletari et al. 2016 (V-Net) without the squares. Sums run over the batch, so that a class
    absent from one image does not dominate. A class that no mask of the batch has can only score
    0: with several classes it is left out; the only one counts as a loss of 1 without gradient.

    Args:
        first: the first class that counts, 0 or 1.
    """

    adds_up = True

    def __init__(self, first: int = 1) -> None:
        self._first = first

    def __call__(self, scores: Tensor, masks: Tensor) -> Tensor:
        """See `Loss`."""
        return self._of(*(part.sum((0, 2, 3)) for part in self._parts(scores, masks)))

    def amount(self, _masks: Tensor) -> None:
        """See `Loss`: one figure of a whole batch."""

    def measure(self, scores: Tensor, masks: Tensor) -> Measured:
        """(3, C) sums over the batch: Σ p·g, Σ p and Σ g of each class."""
        parts = self._parts(scores, masks)
        sums = torch.stack([part.sum((0, 2, 3)) for part in parts]).double()
        images = torch.stack([part.sum((2, 3)) for part in parts]).double()
        return Measured(sums, self.of_split(images))

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`; (…,) of (3, …, C). NaN also where none of several classes is in a mask."""
        known = sums[1:] if sums.shape[-1] == 1 else sums[2:]
        return torch.where(known.sum((0, -1)) > 0, self._of(*sums), torch.nan)

    def _parts(self, scores: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """p·g, p and g of each class and pixel, (B, C, H, W)."""
        scores = as_classes(scores)
        valid = (masks != IGNORE_LABEL).unsqueeze(1)
        classes = torch.arange(self._first, scores.shape[1], device=scores.device)
        truth = (masks.unsqueeze(1) == classes.view(1, -1, 1, 1)).to(scores.dtype)
        predicted = scores.softmax(1)[:, self._first :] * valid
        return predicted * truth, predicted, truth

    @staticmethod
    def _of(both: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
        each = 1 - (2 * both + EPSILON) / (predicted + truth + EPSILON)
        if each.shape[-1] == 1:
            return each.mean(-1)
        present = truth > 0
        return (each * present).sum(-1) / present.sum(-1).clamp(min=1)


class CrossEntropyPlusDice:
    """Cross-entropy plus Dice loss."""

    adds_up = True

    def __init__(self, first: int = 1) -> None:
        self._pixels, self._dice = PixelCrossEntropy(), SoftDice(first)

    def __call__(self, scores: Tensor, masks: Tensor) -> Tensor:
        """See `Loss`."""
        return self._pixels(scores, masks) + self._dice(scores, masks)

    @property
    def class_weights(self) -> Tensor | None:
        """(K,), of the cross-entropy alone."""
        return self._pixels.class_weights

    @class_weights.setter
    def class_weights(self, weights: Tensor | None) -> None:
        self._pixels.class_weights = weights

    def amount(self, _masks: Tensor) -> None:
        """See `Loss`."""

    def measure(self, scores: Tensor, masks: Tensor) -> Measured:
        """(2 + 3·C,): the sums of both."""
        pixels, dice = (part.measure(scores, masks) for part in (self._pixels, self._dice))
        sums = torch.cat([pixels.sums, dice.sums.flatten()])
        return Measured(sums, pixels.images + dice.images)

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`."""
        return self._pixels.of_split(sums[:2]) + self._dice.of_split(sums[2:].view(3, -1))


def _counted(masks: Tensor) -> Tensor:
    return (masks != IGNORE_LABEL).sum()


def _of_pixels(weights: Tensor, masks: Tensor) -> Tensor:
    """The weight of each pixel's class, in the shape of the masks; 0 where ignored."""
    counted = masks != IGNORE_LABEL
    return weights[masks.where(counted, 0).long()] * counted


def power(base: Tensor, exponent: float) -> Tensor:
    """`base` ≥ 0 to an exponent > 0, with gradient 0 at 0.

    Autograd's own is infinite there for an exponent below 1, and becomes NaN in a product with 0:
    the product's gradient, (1 + γ)·x^γ for x = 1 - p → 0, has the limit 0.
    """
    inside = base > 0
    return torch.where(inside, torch.where(inside, base, 1.0) ** exponent, 0.0)


def _pixelwise(scores: Tensor, masks: Tensor, reduction: str) -> Tensor:
    """Cross-entropy of each pixel, 0 where ignored, or their sum."""
    return _nll(*_log_probabilities(scores, masks), reduction)


def _log_probabilities(scores: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Of each class at each pixel, and the pixels' labels: maps, or lists of pixels."""
    scores = as_classes(scores)
    if scores.is_cuda and torch.are_deterministic_algorithms_enabled():
        # CUDA's loss over maps has no deterministic form; over a list of pixels it has
        scores = scores.permute(0, 2, 3, 1).reshape(-1, scores.shape[1])
        masks = masks.flatten()
    return scores.log_softmax(1), masks.long()


def _nll(log_probabilities: Tensor, labels: Tensor, reduction: str) -> Tensor:
    return F.nll_loss(log_probabilities, labels, ignore_index=IGNORE_LABEL, reduction=reduction)
