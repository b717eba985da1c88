"""The loss that a spec names for segmentation, by name or `target:`, or the sum of several."""

from __future__ import annotations

from bench.tasks.foreign_loss import ForeignLoss
from bench.tasks.loss_settings import LossName, LossTerm, NamedLoss, loss_terms
from bench.tasks.losses import CrossEntropyPlusDice, Loss, PixelCrossEntropy, SoftDice
from bench.tasks.sum_of_losses import SumOfLosses, factor_of


def segmentation_loss(
    loss: LossName | LossTerm | tuple[LossTerm, ...], focal_gamma: float = 2.0, first: int = 1
) -> Loss:
    """The loss that a spec says; `first` is the first class of a Dice loss."""
    terms = loss_terms(loss)
    if len(terms) == 1 and factor_of(terms[0]) == 1:
        return _one(terms[0], focal_gamma, first)
    return SumOfLosses([(factor_of(term), _one(term, focal_gamma, first)) for term in terms])


def _one(term: LossTerm, focal_gamma: float, first: int) -> Loss:
    if not isinstance(term, NamedLoss):
        return ForeignLoss(term)
    losses: dict[str, Loss] = {
        "cross_entropy": PixelCrossEntropy(),
        "dice": SoftDice(first),
        "cross_entropy+dice": CrossEntropyPlusDice(first),
        "focal": PixelCrossEntropy(focal_gamma),
    }
    return losses[term.name]
