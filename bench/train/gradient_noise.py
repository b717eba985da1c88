"""Noise that is added to gradients (Neelakantan et al. 2015)."""

from __future__ import annotations

import math

import torch

from bench.spec.train_parts import GradientNoiseSettings
from bench.train.seeding import generator_on


class GradientNoise:
    """Gaussian noise of variance eta / (1 + t)^gamma in every gradient, t being the steps before.

    Attributes:
        step: t; whoever takes the steps counts them.
    """

    def __init__(self, settings: GradientNoiseSettings, seed: int, device: torch.device) -> None:
        self._settings, self._seed, self._device = settings, seed, device
        self.step = 0

    def std(self) -> float:
        """The standard deviation in this step."""
        return math.sqrt(self._settings.eta / (1 + self.step) ** self._settings.gamma)

    @torch.no_grad()
    def add(self, optimizer: torch.optim.Optimizer) -> None:
        """Add this step's noise, which depends on the seed and the step alone."""
        draws = generator_on(self._device, self._seed, "gradient noise", self.step)
        for group in optimizer.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    noise = torch.empty_like(weight.grad).normal_(0, self.std(), generator=draws)
                    weight.grad.add_(noise)
