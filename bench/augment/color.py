"""Brightness, contrast, saturation and gamma. Factors of 1 change no bit."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.augment.base import Size
from bench.augment.draws import Range, log_uniform, uniform

_WHITE = 255.0


def grey(images: Tensor) -> Tensor:
    """(k, 1, H, W) luma of (k, 3, H, W) after ITU-R BT.601; of other channels their mean."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    luma = images[:, 0:1] * 0.299
    return luma.add_(images[:, 1:2], alpha=0.587).add_(images[:, 2:3], alpha=0.114)


class _Factor:
    """What all transforms with one factor per sample have in common."""

    def __init__(self, p: float, factor: Range) -> None:
        self.p = p
        self.factor = factor

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 1, 1, 1) factors."""
        return uniform(n, self.factor, generator).float().view(n, 1, 1, 1)


class Brightness(_Factor):
    """All values times a factor."""

    def adjust(self, images: Tensor, factor: Tensor, /) -> Tensor:
        """Black stays black."""
        return images * factor


class Contrast(_Factor):
    """Differences from the picture's mean grey, times a factor."""

    def adjust(self, images: Tensor, factor: Tensor, /) -> Tensor:
        """Factor 0 is a plain grey picture."""
        mean = grey(images).mean((2, 3), keepdim=True)
        return torch.addcmul(mean * (1 - factor), images, factor)


class Saturation(_Factor):
    """Differences of each pixel's colours from its grey, times a factor."""

    def adjust(self, images: Tensor, factor: Tensor, /) -> Tensor:
        """Factor 0 is the picture in black and white."""
        return torch.addcmul(grey(images) * (1 - factor), images, factor)


class Gamma:
    """255 · (x / 255)^exponent; above 1 the middle tones get darker."""

    def __init__(self, p: float, exponent: Range) -> None:
        self.p = p
        self.exponent = exponent

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 1, 1, 1) exponents."""
        return log_uniform(n, self.exponent, generator).float().view(n, 1, 1, 1)

    def adjust(self, images: Tensor, exponent: Tensor, /) -> Tensor:
        """Black and white stay what they are."""
        # written so that an exponent of 1 divides by nothing
        return images.pow(exponent).mul_(_WHITE ** (1 - exponent))
