"""Several losses of the same predictions, added up; and what is done to each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from bench.errors import SpecError
from bench.tasks.loss_settings import LossTerm, NamedLoss
from bench.tasks.losses import Loss, Measured


class Averaged(Protocol):
    """A loss that says what it is a mean over."""

    def amount(self, target: Tensor, /) -> Tensor | None:
        """What the loss of a batch is a mean over, (); None: it is no mean."""
        ...


class SumOfLosses:
    """Several losses of the same predictions, each times its factor."""

    def __init__(self, parts: Sequence[tuple[float, Loss]]) -> None:
        self.parts = tuple(parts)
        self._shapes: list[torch.Size] = []

    @property
    def adds_up(self) -> bool:
        """See `Loss`."""
        return all(loss.adds_up for _, loss in self.parts)

    def __call__(self, scores: Tensor, masks: Tensor) -> Tensor:
        """See `Loss`."""
        first, *others = (factor * loss(scores, masks) for factor, loss in self.parts)
        return sum(others, start=first)

    def amount(self, masks: Tensor) -> Tensor | None:
        """See `Loss`: none where one of them is no mean, or they weight classes differently."""
        losses = [loss for _, loss in self.parts]
        if len({id(getattr(loss, "class_weights", None)) for loss in losses}) > 1:
            return None
        amounts = [loss.amount(masks) for loss in losses]
        return None if any(amount is None for amount in amounts) else amounts[0]

    def measure(self, scores: Tensor, masks: Tensor) -> Measured:
        """The sums of all, one after the other."""
        found = [loss.measure(scores, masks) for _, loss in self.parts]
        self._shapes = [each.sums.shape for each in found]
        first, *others = (
            factor * each.images for (factor, _), each in zip(self.parts, found, strict=True)
        )
        sums = torch.cat([each.sums.flatten() for each in found])
        return Measured(sums, sum(others, start=first))

    def of_split(self, sums: Tensor) -> Tensor:
        """See `Loss`."""
        each = torch.split(sums, [shape.numel() for shape in self._shapes])
        shaped = [part.view(shape) for part, shape in zip(each, self._shapes, strict=True)]
        first, *others = (
            factor * loss.of_split(part)
            for (factor, loss), part in zip(self.parts, shaped, strict=True)
        )
        return sum(others, start=first)


def amount_of(criterion: Averaged, target: Tensor) -> Tensor:
    """What the loss of a batch with these targets is a mean over, ().

    Raises:
        ValueError: it is no mean that those of the batch's parts add up to.
    """
    found = criterion.amount(target)
    if found is None:
        raise ValueError("the loss of a batch is not the sum of those of its parts")
    return found


def weight_classes(criterion: object, weights: Tensor) -> None:
    """Give class weights (K,) to the losses that can weight classes.

    Raises:
        SpecError: none of them can.
    """
    found = False
    for loss in _each(criterion):
        if hasattr(loss, "class_weights"):
            loss.class_weights = weights
            found = True
    if not found:
        raise SpecError("no loss here weights classes", key="train.class_weights")


def state_of(criterion: object) -> nn.Module:
    """All losses that are modules, as one: what is moved to the device and kept in checkpoints."""
    functions = (getattr(loss, "function", None) for loss in _each(criterion))
    return nn.ModuleList(function for function in functions if isinstance(function, nn.Module))


def factor_of(term: LossTerm) -> float:
    """The factor of a loss in the sum."""
    return term.weight if isinstance(term, NamedLoss) else term.factor


def _each(criterion: object) -> Iterator[object]:
    parts = getattr(criterion, "parts", None)
    if parts is None:
        yield criterion
        return
    for _, loss in parts:
        yield from _each(loss)
