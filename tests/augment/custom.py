"""Transforms as a user would write them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Shift:
    """Move the picture by up to `most` pixels along each axis."""

    def __init__(self, p: float, most: float) -> None:
        self.p, self.most = p, most

    def matrices(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        matrices = torch.eye(3, dtype=torch.float64)[:2].repeat(n, 1, 1)
        draws = torch.rand(n, 2, generator=generator, dtype=torch.float64)
        matrices[:, :, 2] = (2 * draws - 1) * self.most
        return matrices


class Turn:
    """Turn by a fixed angle, counter-clockwise."""

    def __init__(self, p: float, degrees: float) -> None:
        self.p, self.degrees = p, degrees

    def matrices(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        c, s = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        return torch.tensor([[c, -s, 0], [s, c, 0]], dtype=torch.float64).repeat(n, 1, 1)


class Shove:
    """Move by a fixed number of pixels along x."""

    def __init__(self, p: float, x: float) -> None:
        self.p, self.x = p, x

    def matrices(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        return torch.tensor([[1, 0, self.x], [0, 1, 0]], dtype=torch.float64).repeat(n, 1, 1)


class Ripple:
    """Waves of `height` pixels along x (or y) that move the picture along y (or x)."""

    def __init__(
        self,
        p: float,
        height: float,
        period: float = 30,
        phase: float | None = None,
        axis: int = 0,
    ) -> None:
        self.p, self.height, self.period, self.phase = p, height, period, phase
        self.axis = axis

    def displacement(
        self,
        n: int,
        size: tuple[int, int],
        generator: torch.Generator,
        device: torch.device,
    ) -> Tensor:
        phase = 2 * math.pi * torch.rand(n, 1, generator=generator)
        if self.phase is not None:
            phase = torch.full((n, 1), self.phase)
        wave = torch.sin(2 * math.pi * torch.arange(size[1 - self.axis]) / self.period + phase)
        field = torch.zeros(n, 2, *size)
        field[:, 1 - self.axis] = self.height * wave.unsqueeze(1 + self.axis)
        return field.to(device)


class Bystander:
    """No transform at all."""

    def __init__(self, p: float) -> None:
        self.p = p
