"""Transforms as a user would write them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.augment.elastic import Elastic


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

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        phase = 2 * math.pi * torch.rand(n, 1, generator=generator)
        return phase if self.phase is None else torch.full((n, 1), self.phase)

    def displacement(self, drawn: Tensor, size: tuple[int, int]) -> Tensor:
        along = torch.arange(size[1 - self.axis], device=drawn.device)
        wave = torch.sin(2 * math.pi * along / self.period + drawn)
        field = torch.zeros(len(drawn), 2, *size, device=drawn.device)
        field[:, 1 - self.axis] = self.height * wave.unsqueeze(1 + self.axis)
        return field


class Bend:
    """Elastic deformation that does not say that it is linear."""

    def __init__(self, p: float, alpha: float, sigma: float) -> None:
        self.p = p
        elastic = Elastic(p, alpha, sigma)
        self.draw, self.displacement = elastic.draw, elastic.displacement


class Tint:
    """Mix the picture with a random colour."""

    def __init__(self, p: float, share: float) -> None:
        self.p, self.share = p, share

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        return 255 * torch.rand(n, 3, 1, 1, generator=generator)

    def adjust(self, images: Tensor, drawn: Tensor) -> Tensor:
        return images.lerp(drawn, self.share)


class Bystander:
    """No transform at all."""

    def __init__(self, p: float) -> None:
        self.p = p
