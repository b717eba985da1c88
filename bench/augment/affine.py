"""Flips, rotation, crop, translation, shear and scale."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.augment.base import Size
from bench.augment.draws import Range, log_uniform, symmetric, uniform


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
        return rotation(torch.deg2rad(symmetric(n, generator) * self.degrees))


class Crop:
    """A random crop of the image's shape, enlarged to full size.

    The ratio of its side to the full side is uniform in `scale`; its place is uniform among all at
    which it lies within the image.
    """

    def __init__(self, p: float, scale: Range) -> None:
        self.p = p
        self.scale = scale

    def matrices(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """One side and one place per sample."""
        height, width = size
        side = uniform(n, self.scale, generator)
        matrices = scaling(side, side)
        matrices[:, 0, 2] = symmetric(n, generator) * (1 - side) * width / 2
        matrices[:, 1, 2] = symmetric(n, generator) * (1 - side) * height / 2
        return matrices


class Translate:
    """A shift along each axis, uniform in [-by, by] of the side."""

    def __init__(self, p: float, by: float) -> None:
        self.p = p
        self.by = by

    def matrices(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """One shift per sample and axis."""
        height, width = size
        matrices = scaling(torch.ones(n), torch.ones(n))
        matrices[:, 0, 2] = symmetric(n, generator) * self.by * width
        matrices[:, 1, 2] = symmetric(n, generator) * self.by * height
        return matrices


class Shear:
    """Slanting about the centre: each axis by an angle uniform in [-degrees, degrees]."""

    def __init__(self, p: float, degrees: float) -> None:
        self.p = p
        self.degrees = degrees

    def matrices(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """Two angles per sample."""
        matrices = scaling(torch.ones(n), torch.ones(n))
        for row, column in ((0, 1), (1, 0)):
            angle = torch.deg2rad(symmetric(n, generator) * self.degrees)
            matrices[:, row, column] = angle.tan()
        return matrices


class Scale:
    """Enlargement about the centre by a factor log-uniform in `factor`; below 1 it shrinks."""

    def __init__(self, p: float, factor: Range) -> None:
        self.p = p
        self.factor = factor

    def matrices(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """One factor per sample."""
        side = 1 / log_uniform(n, self.factor, generator)
        return scaling(side, side)
