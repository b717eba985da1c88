"""Losses, optimizers, schedules and samplers as a user would write them, for tests of `target:`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn


def soft_iou(scores: Tensor, masks: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft IoU of the second class, of scores (B, K, H, W) and labels (B, H, W)."""
    predicted, truth = scores.softmax(1)[:, 1], (masks == 1).float()
    both = (predicted * truth).sum()
    return 1 - (both + smooth) / (predicted.sum() + truth.sum() - both + smooth)


class ScaledCrossEntropy(nn.Module):
    """Cross-entropy at a temperature that is learnt, with a running mean of itself."""

    mean: Tensor

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.ones(()))
        self.inner = nn.CrossEntropyLoss(ignore_index=ignore_index)

    def forward(self, scores: Tensor, target: Tensor) -> Tensor:
        loss = self.inner(scores * self.log_temperature.exp(), target)
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(loss.detach(), 0.1)
        return loss / self.mean + self.log_temperature.square()


class BinaryLogits(nn.Module):
    """A loss that wants one logit and a channel of 0 and 1."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        if logits.shape != target.shape:
            raise ValueError(f"{tuple(logits.shape)} and {tuple(target.shape)} differ")
        return nn.functional.binary_cross_entropy_with_logits(logits, target.float())


class Lion(torch.optim.Optimizer):
    """Lion (Chen et al. 2023), as its paper has it."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            fast, slow = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"]
                update = momentum.lerp(weight.grad, 1 - fast).sign_()
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"])
                momentum.lerp_(weight.grad, 1 - slow)


class Forgetful(Lion):
    """Keeps its momentum where no checkpoint finds it."""

    def __init__(self, params: Iterable[Any], lr: float = 1e-4) -> None:
        super().__init__(params, lr)
        self.hidden: dict[Any, Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                mean = self.hidden.setdefault(weight, torch.zeros_like(weight))
                mean.lerp_(weight.grad, 0.1)
                weight.sub_(mean, alpha=group["lr"])


def sawtooth(done: float, teeth: float = 2.0) -> float:
    """A schedule: falls in a line from 1 to 0 in each tooth, an epoch long by default."""
    return 1 - math.fmod(done * teeth, 1.0)


def make_sawtooth(epochs: int) -> Callable[[float], float]:
    """Makes a schedule of one tooth."""
    return lambda done: 1 - done / epochs


class EvenFirst:
    """A sampler: even places in random order, then odd ones."""

    def __init__(self, num_samples: int, generator: torch.Generator) -> None:
        self.size, self.generator = num_samples, generator

    def __iter__(self) -> Iterator[int]:
        for first in (0, 1):
            places = torch.arange(first, self.size, 2)
            yield from places[torch.randperm(len(places), generator=self.generator)].tolist()
