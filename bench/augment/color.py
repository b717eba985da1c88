"""Brightness, contrast, saturation, hue and gamma. Factors of 1 change no bit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.augment.base import Size
from bench.augment.draws import Range, log_uniform, symmetric, uniform

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


class Hue:
    """Colours turned about the grey axis by an angle (in YIQ, whose Y is the grey of BT.601)."""

    def __init__(self, p: float, degrees: float) -> None:
        self.p = p
        self.degrees = degrees

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 3, 3) matrices from old to new colours."""
        angles = symmetric(n, generator) * math.radians(self.degrees)
        to_yiq = torch.tensor(_TO_YIQ, dtype=torch.float64)
        turn = torch.zeros(n, 3, 3, dtype=torch.float64)
        turn[:, 0, 0] = 1
        turn[:, 1, 1] = turn[:, 2, 2] = angles.cos()
        turn[:, 1, 2], turn[:, 2, 1] = -angles.sin(), angles.sin()
        matrices: Tensor = torch.linalg.inv(to_yiq) @ turn @ to_yiq
        return matrices.float()

    def adjust(self, images: Tensor, matrices: Tensor, /) -> Tensor:
        """Grey stays what it is; images of other than three channels have no hue."""
        if images.shape[1] != 3:
            return images.clone()
        return torch.einsum("kij,kjhw->kihw", matrices, images)


_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


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
