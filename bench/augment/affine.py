"""Flips, rotation and crop."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.augment.base import Size


def _uniform(n: int, generator: torch.Generator) -> Tensor:
    """(n,) float64, uniform in [-1, 1)."""
    return torch.rand(n, generator=generator, dtype=torch.float64) * 2 - 1


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """(n, 2, 3) matrices that scale by `x` and `y`, each (n,), about the centre."""
    matrices = torch.zeros(len(x), 2, 3, dtype=torch.float64)
    matrices[:, 0, 0], matrices[:, 1, 1] = x, y
    return matrices


def rotation(radians: Tensor) -> Tensor:
    """(n, 2, 3) matrices that turn the picture counter-clockwise, as torch.rot90 does."""
    matrices = scaling(radians.cos(), radians.cos())
    matrices[:, 0, 1], matrices[:, 1, 0] = -radians.sin(), radians.sin()
    return matrices


class HorizontalFlip:
    """Mirror left and right."""

    def __init__(self, p: float) -> None:
        self.p = p

    def matrices(self, n: int, _size: Size, _generator: torch.Generator, /) -> Tensor:
        """The same for all samples."""
        return scaling(-torch.ones(n), torch.ones(n))


class VerticalFlip:
    """Mirror top and bottom."""

    def __init__(self, p: float) -> None:
        self.p = p

    def matrices(self, n: int, _size: Size, _generator: torch.Generator, /) -> Tensor:
        """The same for all samples."""
        return scaling(torch.ones(n), -torch.ones(n))


class Rotate:
    """Rotation about the centre by an angle uniform in [-degrees, degrees]."""

    def __init__(self, p: float, degrees: float) -> None:
        self.p = p
        self.degrees = degrees

    def matrices(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """One angle per sample."""
        return rotation(torch.deg2rad(_uniform(n, generator) * self.degrees))


class Crop:
    """A random crop of the image's shape, enlarged to full size.

    The ratio of its side to the full side is uniform in `scale`; its place is uniform among all at
    which it lies within the image.
    """

    def __init__(self, p: float, scale: tuple[float, float]) -> None:
        self.p = p
        self.scale = scale

    def matrices(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """One side and one place per sample."""
        height, width = size
        low, high = self.scale
        side = low + (high - low) * (_uniform(n, generator) + 1) / 2
        matrices = scaling(side, side)
        matrices[:, 0, 2] = _uniform(n, generator) * (1 - side) * width / 2
        matrices[:, 1, 2] = _uniform(n, generator) * (1 - side) * height / 2
        return matrices
