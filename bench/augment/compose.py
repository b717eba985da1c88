"""All geometric transforms of a sample, composed: where its output pixels look, on the CPU.

Only small matrices are worked on here, for a whole batch at once. `bench.augment.resample` makes
pictures of them, on any device, without ever asking the device for anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.augment.base import Displacement, Size

# pixels; far above rounding in float64, far below what can be seen
_PIXEL_TOLERANCE = 1e-4


@dataclass(frozen=True)
class AffineDraw:
    """An affine transform, drawn: the samples (k,) it applies to, in order, and their matrices."""

    rows: Tensor
    matrices: Tensor


@dataclass(frozen=True)
class DisplacementDraw:
    """A displacement, drawn: the samples (k,) it applies to, in order, and their draws (k, …)."""

    rows: Tensor
    transform: Displacement
    drawn: Tensor


Draw = AffineDraw | DisplacementDraw


@dataclass(frozen=True)
class PixelMap:
    """Where output pixels x of k samples look: at A·x + B·d(x), in pixels from the centre.

    Attributes:
        straight: (k, 2, 3) A, float64.
        turn: (k, 2, 2) B, float64; d are the displacements up to here.
    """

    straight: Tensor
    turn: Tensor


@dataclass(frozen=True)
class DisplacementStep:
    """A displacement on the way.

    Attributes:
        transform: which displaces.
        drawn: (k, …) its draws.
        pixel_map: where the pixels look before it.
        away: that is not where they are, so the displacement has to be looked up there.
    """

    transform: Displacement
    drawn: Tensor
    pixel_map: PixelMap
    away: bool


@dataclass(frozen=True)
class Route:
    """Samples whose pixels find their values in the same way.

    Attributes:
        rows: k samples of the batch, in order.
        displacements: in the order in which a pixel meets them.
        pixel_map: where the pixels look in the end.
        exact: that is always the centre of a pixel, so that pixels are copied.
    """

    rows: list[int]
    displacements: tuple[DisplacementStep, ...]
    pixel_map: PixelMap
    exact: bool


def compose_routes(draws: Sequence[Draw], n: int, size: Size) -> list[Route]:
    """Compose `draws`, in the order in which they act on the image, for a batch of `n` samples.

    Samples that nothing was drawn for are on no route.
    """
    composer = _Composer(n)
    for draw in reversed(draws):  # where a pixel looks is traced back, from the output to the input
        composer.add(draw)
    return composer.compose_routes(size)


@dataclass(frozen=True)
class _DisplacementRecord:
    """A displacement, and where all samples of the batch looked before it."""

    draw: DisplacementDraw
    pixel_map: PixelMap


class _Composer:
    def __init__(self, n: int) -> None:
        self._touched = torch.zeros(n, dtype=torch.bool)
        self._displaced = torch.zeros(n, dtype=torch.bool)
        self._straight = torch.eye(3, dtype=torch.float64)[:2].repeat(n, 1, 1)
        self._turn = torch.eye(2, dtype=torch.float64).repeat(n, 1, 1)
        self._records: list[_DisplacementRecord] = []
        self._modes: list[Tensor] = []  # (n,) each: not bent 0, bent 1, bent away from home 2

    def add(self, draw: Draw) -> None:
        """Let the samples that were drawn for look further."""
        self._touched[draw.rows] = True
        if isinstance(draw, AffineDraw):
            self._add_affine(draw.rows, draw.matrices)
        else:
            self._add_displacement(draw)

    def _add_affine(self, rows: Tensor, matrices: Tensor) -> None:
        linear = matrices[:, :, :2]
        self._straight[rows] = linear @ self._straight[rows]
        self._straight[rows, :, 2] += matrices[:, :, 2]
        self._turn[rows] = linear @ self._turn[rows]

    def _add_displacement(self, draw: DisplacementDraw) -> None:
        home = torch.eye(3, dtype=torch.float64)[:2]
        moved = (self._straight[draw.rows] != home).flatten(1).any(1)
        mode = torch.zeros(len(self._displaced), dtype=torch.int8)
        mode[draw.rows] = 1 + (moved | self._displaced[draw.rows]).to(torch.int8)
        self._modes.append(mode)
        self._records.append(
            _DisplacementRecord(draw, PixelMap(self._straight.clone(), self._turn.clone()))
        )
        self._turn[draw.rows] = torch.eye(2, dtype=torch.float64)
        self._displaced[draw.rows] = True

    def compose_routes(self, size: Size) -> list[Route]:
        """The samples drawn for, grouped by how their pixels find their values."""
        exact = ~self._displaced & self._maps_pixels_to_pixels(size)
        modes = torch.stack([exact.to(torch.int8), *self._modes], 1)
        rows = self._touched.nonzero().flatten()
        kinds, kind = torch.unique(modes[rows], dim=0, return_inverse=True)
        return [
            self._route(rows[kind == i], bool(first), list(how))
            for i, (first, *how) in enumerate(kinds.tolist())
        ]

    def _route(self, rows: Tensor, exact: bool, how: list[int]) -> Route:
        displacements: list[DisplacementStep] = []
        for turn, mode in zip(self._records, how, strict=True):
            if mode:
                drawn = turn.draw.drawn[torch.searchsorted(turn.draw.rows, rows)]
                pixel_map = PixelMap(turn.pixel_map.straight[rows], turn.pixel_map.turn[rows])
                displacements.append(
                    DisplacementStep(turn.draw.transform, drawn, pixel_map, away=mode == 2)
                )
        pixel_map = PixelMap(self._straight[rows], self._turn[rows])
        return Route(rows.tolist(), tuple(displacements), pixel_map, exact)

    def _maps_pixels_to_pixels(self, size: Size) -> Tensor:
        """(n,) bool: A maps pixels onto pixels, as flips and quarter turns do."""
        height, width = size
        linear, shift = self._straight[:, :, :2], self._straight[:, :, 2]
        centre = torch.tensor([width - 1, height - 1], dtype=torch.float64) / 2
        # where the upper left pixel's centre looks, in pixels from there
        first = shift - linear @ centre + centre
        steady = (linear - linear.round()).abs().amax((1, 2)) * max(size) < _PIXEL_TOLERANCE
        return steady & ((first - first.round()).abs().amax(1) < _PIXEL_TOLERANCE)
