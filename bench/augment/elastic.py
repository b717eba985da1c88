"""Elastic deformation after Simard et al. (2003)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from bench.augment.base import Size

# sigmas: what a lattice point adds further away than this (3e-4 of its weight) is left out
_REACH = 4

# sigmas: pixels are computed in blocks about so long, each from the lattice points near it
_BLOCK = 6.4


class Elastic:
    """Smooth random displacements, independent in x and y.

    Simard's field is noise on every pixel, smoothed. Smoothing removes nearly all of it, so the
    noise is drawn on a lattice `sigma` pixels apart (or a little less) instead: the sum of
    Gaussians about its points has the same standard deviation at every pixel (exactly, by
    normalisation) and the same covariance exp(-r² / 4 sigma²) to 2e-4, for two products with small
    matrices. The noise is normal: what a sum over the many pixels within a smoothing window tends
    to.
    """

    def __init__(self, p: float, alpha: float, sigma: float) -> None:
        self.p = p
        self.alpha = alpha
        self.sigma = sigma

    @property
    def deviation(self) -> float:
        """Standard deviation of the displacement along each axis, in pixels.

        Noise uniform in [-1, 1] has variance 1/3, of which a Gaussian window leaves 1/(4π sigma²).
        """
        return self.alpha / (2 * math.sqrt(3 * math.pi) * self.sigma)

    def draw(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor | None:
        """One lattice of noise per sample."""
        if self.alpha == 0:
            return None
        points = (_blocks(length, self.sigma).points for length in size)
        return torch.randn((n, 2, *points), generator=generator) * self.deviation

    def displacement(self, drawn: Tensor, size: Size, /) -> Tensor:
        """Fields (k, 2, H, W) from their lattices (k, 2, points down, points right)."""
        field = drawn.new_zeros(len(drawn), 2, *size)
        self.add(drawn, field)
        return field

    def add(self, drawn: Tensor, points: Tensor, /) -> None:
        """Add the fields of the lattices `drawn` to `points` (k, 2, H, W)."""
        down, right = (_blocks(length, self.sigma) for length in points.shape[2:])
        # one product over all rows: matmul would go through them one by one
        near = drawn.unfold(-1, right.near, right.step).reshape(-1, right.near)
        rows = (near @ right.windows(drawn.device).T).view(*drawn.shape[:3], -1)
        near = rows.unfold(-2, down.near, down.step).transpose(-1, -2).flatten(0, 2)
        windows = down.windows(drawn.device).expand(len(near), -1, -1)
        points.view(-1, down.pixels, points.shape[-1]).baddbmm_(windows, near)


@dataclass(frozen=True)
class _Blocks:
    """One axis, cut into blocks of pixels that see the lattice alike.

    Attributes:
        count: how many blocks, all of the same length.
        pixels: of a block.
        step: lattice points from a block to the next.
        near: lattice points that a block is computed from.
        spacing: pixels from a lattice point to the next.
    """

    count: int
    pixels: int
    step: int
    near: int
    spacing: float
    sigma: float

    @property
    def points(self) -> int:
        """Lattice points of all blocks together."""
        return (self.count - 1) * self.step + self.near

    def windows(self, device: torch.device) -> Tensor:
        """(pixels, near): each pixel's Gaussian weights of the points near it, of unit norm."""
        return _windows(self, device)


@lru_cache(maxsize=64)
def _blocks(length: int, sigma: float) -> _Blocks:
    wanted = length / (_BLOCK * sigma)
    divisors = [count for count in range(1, length + 1) if length % count == 0]
    count = min(divisors, key=lambda count: abs(math.log(count / wanted)))
    pixels = length // count
    step = math.ceil(pixels / sigma)
    spacing = pixels / step
    return _Blocks(
        count, pixels, step, step + 2 * math.ceil(_REACH * sigma / spacing), spacing, sigma
    )


@lru_cache(maxsize=16)
def _windows(blocks: _Blocks, device: torch.device) -> Tensor:
    pixel = torch.arange(blocks.pixels, dtype=torch.float64) - (blocks.pixels - 1) / 2
    point = torch.arange(blocks.near, dtype=torch.float64) - (blocks.near - 1) / 2
    weights = torch.exp(-((pixel[:, None] - point * blocks.spacing) ** 2) / (2 * blocks.sigma**2))
    norms = weights.square().sum(1, keepdim=True).sqrt()
    return (weights / norms).float().to(device)
