"""Elastic deformation after Simard et al. (2003)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from bench.augment.base import Size

# sigmas by which the lattice exceeds the frame: at the frame's edge the covariance is as good as
# inside (off by 2e-4) with 2 or more, off by 3e-3 with 1
_REACH = 2


class Elastic:
    """Smooth random displacements, independent in x and y.

    Simard's field is noise on every pixel, smoothed. Smoothing removes nearly all of it, so the
    noise is drawn on a lattice `sigma` pixels apart instead: the sum of Gaussians about its points
    has the same standard deviation at every pixel (exactly, by normalisation) and the same
    covariance exp(-r² / 4 sigma²) to 2e-4, for two small matrix products. The noise is normal:
    what a sum over the many pixels within a smoothing window tends to.
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

    def displacement(
        self, n: int, size: Size, generator: torch.Generator, device: torch.device, /
    ) -> Tensor | None:
        """One field per sample."""
        if self.alpha == 0:
            return None
        down, right = (_windows(length, self.sigma, device) for length in size)
        lattice = (n, 2, down.shape[1], right.shape[1])
        noise = (torch.randn(lattice, generator=generator) * self.deviation).to(device)
        field: Tensor = down @ noise @ right.T
        return field


@lru_cache(maxsize=16)
def _windows(length: int, sigma: float, device: torch.device) -> Tensor:
    """(length, points): each pixel's Gaussian weights of the lattice's points, of unit norm."""
    points = math.ceil((length - 1) / sigma) + 2 * _REACH + 1
    pixel = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
    point = (torch.arange(points, dtype=torch.float64) - (points - 1) / 2) * sigma
    weights = torch.exp(-((pixel[:, None] - point) ** 2) / (2 * sigma**2))
    norms: Tensor = weights.square().sum(1, keepdim=True).sqrt()
    return (weights / norms).float().to(device)
