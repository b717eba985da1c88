"""Noise of diffusion: how much of it at each step, and the same noise for the same image.

Steps are t = 0…T-1: step t is ᾱ_t = Π(1-β_s) over s ≤ t, so that step 0 already has a little noise.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

LINEAR_FIRST, LINEAR_LAST, LINEAR_STEPS = 1e-4, 0.02, 1000
COSINE_OFFSET, LARGEST_BETA = 0.008, 0.999

_WORD = 0xFFFFFFFF
_MIX = 0x45D9F3B  # Thomas Mueller's multiplier, chosen for its avalanche
_GOLDEN = 0x9E3779B9
"""The golden ratio's fraction of 2^32: its multiples are spread evenly, however many there are."""


class NoiseSchedule:
    """How much of an image is left, and how much is noise, at each of T steps.

    Attributes:
        steps: T.
        alpha_bars: ᾱ_t, the image's share of the variance; T floats, falling.
    """

    def __init__(self, betas: Tensor) -> None:
        self.steps = len(betas)
        self._bars = (1 - betas.double()).cumprod(0)
        self.alpha_bars: list[float] = self._bars.tolist()
        self._on: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def noisy(self, images: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """x_t = √ᾱ_t·x_0 + √(1-ᾱ_t)·ε of (B, C, H, W) images, the same noise, and (B,) steps."""
        if images.device not in self._on:  # copied once, not in every step
            shares = self._bars, 1 - self._bars
            image, noise_ = (share.sqrt().float().to(images.device) for share in shares)
            self._on[images.device] = image, noise_
        kept, added = (share[time].view(-1, 1, 1, 1) for share in self._on[images.device])
        return kept * images + added * noise


def schedule(name: Literal["linear", "cosine"], steps: int) -> NoiseSchedule:
    """The schedule called `name` in a spec."""
    return NoiseSchedule(linear(steps) if name == "linear" else cosine(steps))


def linear(steps: int) -> Tensor:
    """β evenly from 1e-4 to 0.02 (Ho et al. 2020) over 1000 steps.

    With another number of steps both ends are scaled by 1000/steps, so that about as little of the
    image is left at the end.
    """
    scale = LINEAR_STEPS / steps
    return torch.linspace(LINEAR_FIRST * scale, LINEAR_LAST * scale, steps, dtype=torch.float64)


def cosine(steps: int) -> Tensor:
    """β of ᾱ(t) = f(t)/f(0), f(t) = cos²((t/T + s)/(1 + s)·π/2), s = 0.008, β at most 0.999.

    Nichol and Dhariwal 2021, equation 17.
    """
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    bars = ((share + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2).cos() ** 2
    return (1 - bars[1:] / bars[:-1]).clamp(max=LARGEST_BETA)


def fixed_steps(indices: Tensor, steps: int) -> Tensor:
    """(B,) a step 0…steps-1 for each place, spread evenly over the places of a split."""
    return (indices * _GOLDEN & _WORD) * steps >> 32


def fixed_noise(indices: Tensor, shape: tuple[int, ...], stream: int = 0) -> Tensor:
    """(B, *shape) normal noise that depends on the place and the stream alone.

    It is counted, not drawn: the bits of each value are a hash of stream, place and position, made
    normal by Box and Muller's transform. So it is the same (but for rounding) on every device, at
    every batch size and in every epoch, and a GPU neither waits for the CPU's draws nor for the
    places to be read back.
    """
    count = math.prod(shape)
    position = torch.arange(2 * count, device=indices.device)
    key = _hashed(_hashed(indices + 1) ^ _GOLDEN * (stream + 1) & _WORD)
    bits = _hashed(key[:, None] ^ _hashed(position))
    radius, angle = ((bits.float() + 0.5) / 2**32).chunk(2, dim=1)
    normal = (-2 * radius.log()).sqrt() * (2 * math.pi * angle).cos()
    return normal.view([len(indices), *shape])


def _hashed(words: Tensor) -> Tensor:
    """A mixing of 32-bit words, kept in int64: the products stay below 2^59."""
    for _ in range(2):
        words = (words ^ words >> 16) * _MIX & _WORD
    return words ^ words >> 16
