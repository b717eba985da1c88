"""Random numbers, each sample its own, on the CPU."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Range = tuple[float, float]
"""(low, high)"""


def symmetric(n: int, generator: torch.Generator) -> Tensor:
    """(n,) float64, uniform in [-1, 1)."""
    return torch.rand(n, generator=generator, dtype=torch.float64) * 2 - 1


def uniform(n: int, between: Range, generator: torch.Generator) -> Tensor:
    """(n,) float64, uniform from low to high; both the same give just that."""
    low, high = between
    return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)


def log_uniform(n: int, between: Range, generator: torch.Generator) -> Tensor:
    """(n,) float64 from low to high, its logarithm uniform: 1/2 to 1 is as likely as 1 to 2."""
    low, high = between
    return low * uniform(n, (0, math.log(high / low)), generator).exp()
