"""Losses of images with several labels. Scores are (B, K), labels (B, K) int64: 1, 0 or missing.

A missing label counts in no loss. As in segmentation the loss of a split is made of sums over its
batches, and depends on no batch size.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.labels import MISSING_LABEL
from bench.tasks.foreign_loss import CERTAIN, ForeignLoss
from bench.tasks.loss_settings import LossName, LossTerm, NamedLoss, loss_terms
from bench.tasks.losses import Loss, Measured, power
from bench.tasks.sum_of_losses import SumOfLosses, factor_of


class BinaryCrossEntropy:
    """The mean over all known labels of the cross-entropy of the label's sigmoid.

    A known label's cross-entropy is weighted by (1 - p)^γ, p the probability of what is true: the
    focal loss (Lin et al. 2017) where γ > 0. With smoothing s the target is (1 - s) times the label
    plus s / 2. With `class_weights` (K,) that of a label which is there is multiplied by its
    class's weight, as with torch's `pos_weight`. What is recorded is neither smoothed nor weighted.
    """

    adds_up = False  # an image has no parts with labels of their own

    def __init__(self, gamma: float = 0.0, label_smoothing: float = 0.0) -> None:
        self._gamma, self._smoothing = gamma, label_smoothing
        self.class_weights: Tensor | None = None

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """See `Loss`; 0 where no label is known."""
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(scores.device)
        known, wanted = labels != MISSING_LABEL, labels.clamp(min=0).to(scores.dtype)
        smooth = wanted * (1 - self._smoothing) + self._smoothing / 2
        each = F.binary_cross_entropy_with_logits(
            scores, smooth, reduction="none", pos_weight=self.class_weights
        )
        each = each * _focus(scores, wanted, self._gamma)
        return torch.where(known, each, 0.0).sum() / self.amount(labels)

    def amount(self, labels: Tensor) -> Tensor:
        """See `Loss`: the known labels."""
        return (labels != MISSING_LABEL).sum().clamp(min=1)

    def measure(self, scores: Tensor, labels: Tensor) -> Measured:
        """(2,): the sum over known labels, and how many there are."""
        known, wanted = labels != MISSING_LABEL, labels.clamp(min=0).to(scores.dtype)
        each = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")
        each = torch.where(known, each * _focus(scores, wanted, self._gamma), 0.0).double()
        counted = known.sum(1)
        return Measured(torch.stack([each.sum(), counted.sum().double()]), each.sum(1) / counted)

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`."""
        return sums[0] / sums[1]


class ForeignMultiLabelLoss(ForeignLoss):
    """Another's loss, called with scores (B, K) and labels (B, K), float unless it says `labels`.

    A missing label is one that is not there, predicted so with certainty: no gradient comes from
    it, but a mean over labels counts it.
    """

    ignored: ClassVar[int | None] = None

    def inputs(self, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss is called with."""
        missing = labels == MISSING_LABEL
        known = torch.where(missing, -CERTAIN, scores)
        wanted = labels.masked_fill(missing, 0)
        if self.settings.predictions == "probabilities":
            known = known.sigmoid()
        return known, wanted if self.settings.targets == "labels" else wanted.to(scores.dtype)

    def counted(self, labels: Tensor) -> Tensor:
        """(B,) whether any label of an image is known."""
        return (labels != MISSING_LABEL).any(1)


def multi_label_loss(
    loss: LossName | LossTerm | tuple[LossTerm, ...],
    focal_gamma: float = 2.0,
    label_smoothing: float = 0.0,
) -> Loss:
    """The loss that a spec says.

    Raises:
        ValueError: the task has no loss of this name.
    """

    def one(term: LossTerm) -> Loss:
        if not isinstance(term, NamedLoss):
            return ForeignMultiLabelLoss(term)
        if term.name not in ("binary_cross_entropy", "focal"):
            raise ValueError(f"multi_label has no loss {term.name!r}")
        gamma = focal_gamma if term.name == "focal" else 0.0
        return BinaryCrossEntropy(gamma, label_smoothing)

    terms = loss_terms(loss)
    if len(terms) == 1 and factor_of(terms[0]) == 1:
        return one(terms[0])
    return SumOfLosses([(factor_of(term), one(term)) for term in terms])


def positive_weights(labels: Tensor) -> Tensor:
    """(K,) float32: images without each label per image with it, of (N, K) labels.

    1 where all or none of the images have the label: nothing can be balanced there.
    """
    there, away = ((labels == value).sum(0).double() for value in (1, 0))
    return torch.where((there > 0) & (away > 0), away / there.clamp(min=1), 1.0).float()


def _focus(scores: Tensor, wanted: Tensor, gamma: float) -> Tensor | float:
    """(1 - p)^γ, p the probability of what is true."""
    if gamma == 0:
        return 1.0
    # sigmoid of the negated score of what is true: 1 - p without cancellation
    return power(torch.sigmoid(scores * (1 - 2 * wanted)), gamma)
