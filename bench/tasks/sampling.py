"""Images from noise: DDPM (Ho et al. 2020) and DDIM (Song et al. 2021, η = 0).

A step leads from ᾱ to ᾱ_before > ᾱ, which need not be neighbours: with fewer steps than were
trained, those between are left out. The image that the noise implies is clipped to -1…1 in every
step, as Ho et al. did.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.tasks.noise import NoiseSchedule, fixed_noise

_START, _STEPS = 1, 2  # streams of fixed noise: 0 is validation's

Step = Callable[[Tensor, Tensor, float, float, int], Tensor]
"""(x_t, predicted noise, ᾱ_t, ᾱ_before, t) → x_before."""


class Posterior(NamedTuple):
    """The normal distribution of x_before, given x_t and x_0."""

    mean: Tensor
    variance: float


def start_noise(indices: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(B, *shape) noise to start from, the same for the same places."""
    return fixed_noise(indices, shape, _START)


def ddim(model: nn.Module, schedule: NoiseSchedule, noise: Tensor, steps: int) -> Tensor:
    """(B, C, H, W) images from noise of the same shape, in at most `steps` steps."""
    return _denoise(
        model, schedule, noise, steps, lambda x, e, bar, before, _: _ddim(x, e, bar, before)
    )


def ddpm(
    model: nn.Module, schedule: NoiseSchedule, noise: Tensor, steps: int, indices: Tensor
) -> Tensor:
    """(B, C, H, W) images from noise of the same shape, in at most `steps` steps.

    The noise that is added on the way depends on `indices` (B,) and the step alone.
    """

    def step(x: Tensor, predicted: Tensor, bar: float, before: float, time: int) -> Tensor:
        mean, variance = posterior(x, implied_image(x, predicted, bar), bar, before)
        if variance == 0:  # the last step
            return mean
        return mean + math.sqrt(variance) * fixed_noise(indices, x.shape[1:], _STEPS + time)

    return _denoise(model, schedule, noise, steps, step)


def spaced_steps(trained: int, wanted: int) -> list[int]:
    """The steps that are taken, from the noisiest on: evenly spaced, the last trained one first."""
    count = min(trained, wanted)
    return [(number * trained) // count - 1 for number in range(count, 0, -1)]


def implied_image(x: Tensor, predicted: Tensor, bar: float) -> Tensor:
    """x_0 = (x_t - √(1-ᾱ)·ε) / √ᾱ, clipped to -1…1."""
    return ((x - math.sqrt(1 - bar) * predicted) / math.sqrt(bar)).clamp(-1, 1)


def posterior(x: Tensor, image: Tensor, bar: float, before: float) -> Posterior:
    """q(x_before | x_t, x_0): Ho et al. 2020, equations 6 and 7, with β = 1 - ᾱ/ᾱ_before."""
    beta = 1 - bar / before
    of_image = math.sqrt(before) * beta / (1 - bar)
    of_x = math.sqrt(bar / before) * (1 - before) / (1 - bar)
    return Posterior(of_image * image + of_x * x, beta * (1 - before) / (1 - bar))


def _ddim(x: Tensor, predicted: Tensor, bar: float, before: float) -> Tensor:
    """Song et al. 2021, equation 12, σ = 0; the noise is what the clipped image leaves of x_t."""
    image = implied_image(x, predicted, bar)
    noise = (x - math.sqrt(bar) * image) / math.sqrt(1 - bar)
    return math.sqrt(before) * image + math.sqrt(1 - before) * noise


def _denoise(
    model: nn.Module, schedule: NoiseSchedule, x: Tensor, steps: int, step: Step
) -> Tensor:
    """From the noisiest step to the image."""
    times = spaced_steps(schedule.steps, steps)
    bars = [*(schedule.alpha_bars[time] for time in times), 1.0]
    for time, bar, before in zip(times, bars, bars[1:], strict=False):
        now = torch.full((len(x),), time, device=x.device)
        x = step(x, model(x, now).float(), bar, before, time)
    return x
