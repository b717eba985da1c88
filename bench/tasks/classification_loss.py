"""Losses of classification. Scores are (B, K) or one logit (B, 1), labels (B,) int64.

Where samples are mixed, labels are (B, K) shares of classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.tasks.foreign_loss import ForeignLoss
from bench.tasks.loss_settings import LossName, LossTerm, NamedLoss, loss_terms
from bench.tasks.outputs import as_classes
from bench.tasks.sum_of_losses import factor_of


class LabelLoss(Protocol):
    """A loss of batches, and of the images in them."""

    def __call__(self, scores: Tensor, labels: Tensor, /) -> Tensor:
        """The batch's loss, ()."""
        ...

    def amount(self, labels: Tensor, /) -> Tensor | None:
        """What it is a mean over, (); None: it is no mean over images."""
        ...

    def each(self, scores: Tensor, labels: Tensor, /) -> Tensor:
        """The loss of each image by itself, (B,), as it is recorded."""
        ...


class LabelCrossEntropy:
    """Cross-entropy against smoothed labels.

    With smoothing s the target is (1 - s) on the label plus s / K on every class (Szegedy et al.
    2016). With `class_weights` (K,) it is the mean weighted by the labels' classes, as torch's.
    What is recorded is neither smoothed nor weighted.
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self._smoothing = label_smoothing
        self.class_weights: Tensor | None = None

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """See `LabelLoss`."""
        scores = as_classes(scores)
        if self.class_weights is not None:
            self.class_weights = self.class_weights.to(scores.device)
        return F.cross_entropy(scores, labels, self.class_weights, label_smoothing=self._smoothing)

    def amount(self, labels: Tensor) -> Tensor:
        """See `LabelLoss`; shares of classes leave images unweighted in the mean, as torch's do."""
        if self.class_weights is None or labels.dim() > 1:
            return torch.full((), len(labels), device=labels.device)
        self.class_weights = weights = self.class_weights.to(labels.device)
        return weights[labels].sum()

    def each(self, scores: Tensor, labels: Tensor) -> Tensor:
        """See `LabelLoss`."""
        return F.cross_entropy(as_classes(scores), labels, reduction="none")


class ForeignLabelLoss(ForeignLoss):
    """Another's loss, of labels, of which none is ignored: 255 is a class like others."""

    ignored: ClassVar[int | None] = None

    def each(self, scores: Tensor, labels: Tensor) -> Tensor:
        """See `LabelLoss`."""
        return self.measure(scores, labels).images


class SumOfLabelLosses:
    """Several, each times its factor."""

    def __init__(self, parts: Sequence[tuple[float, LabelLoss]]) -> None:
        self.parts = tuple(parts)

    def __call__(self, scores: Tensor, labels: Tensor) -> Tensor:
        """See `LabelLoss`."""
        first, *others = (factor * loss(scores, labels) for factor, loss in self.parts)
        return sum(others, start=first)

    def amount(self, labels: Tensor) -> Tensor | None:
        """See `LabelLoss`."""
        amounts = [loss.amount(labels) for _, loss in self.parts]
        return None if any(amount is None for amount in amounts) else amounts[0]

    def each(self, scores: Tensor, labels: Tensor) -> Tensor:
        """See `LabelLoss`."""
        first, *others = (factor * loss.each(scores, labels) for factor, loss in self.parts)
        return sum(others, start=first)


def classification_loss(
    loss: LossName | LossTerm | tuple[LossTerm, ...], label_smoothing: float = 0.0
) -> LabelLoss:
    """The loss that a spec says.

    Raises:
        ValueError: classification has no loss of this name.
    """
    terms = loss_terms(loss)
    if len(terms) == 1 and factor_of(terms[0]) == 1:
        return _one(terms[0], label_smoothing)
    return SumOfLabelLosses([(factor_of(term), _one(term, label_smoothing)) for term in terms])


def _one(term: LossTerm, label_smoothing: float) -> LabelLoss:
    if not isinstance(term, NamedLoss):
        return ForeignLabelLoss(term)
    if term.name != "cross_entropy":
        raise ValueError(f"classification has no loss {term.name!r}")
    return LabelCrossEntropy(label_smoothing)
