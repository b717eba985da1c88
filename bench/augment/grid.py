"""The one sampling grid into which all geometric transforms of a sample compose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment.base import Affine, Size, Transform

Sampling = Literal["nearest", "bilinear", "bicubic"]

# pixels; far above rounding in float64, far below what can be seen
_EXACT = 1e-4


@dataclass(frozen=True)
class Part:
    """Samples that are resampled in the same way.

    Attributes:
        rows: (k,) which samples, on the CPU.
        points: (k, H, W, 2) where to look, in `grid_sample`'s coordinates.
        exact: every point is the centre of a pixel, so that pixels are copied.
    """

    rows: Tensor
    points: Tensor
    exact: bool


class Grid:
    """Where each output pixel of n samples looks in its input.

    A pixel x looks at A·x + B·d(x), in pixels from the centre: matrices A and B are kept per sample
    on the CPU; the displacements d, on the device, exist for samples that are `bent`. A transform
    that is added acts on where the grid already points: the last one in order of application to the
    image is added first.
    """

    def __init__(self, n: int, size: Size, device: torch.device) -> None:
        self._size = size
        self._device = device
        self._straight = torch.eye(3, dtype=torch.float64)[:2].repeat(n, 1, 1)
        self._turn = torch.eye(2, dtype=torch.float64).repeat(n, 1, 1)
        self._bent = torch.zeros(n, dtype=torch.bool)
        self._offsets: Tensor | None = None

    def add(self, transform: Transform, rows: Tensor, generator: torch.Generator) -> None:
        """Compose samples `rows` (k,) with draws of `transform`."""
        if isinstance(transform, Affine):
            self._add_affine(rows, transform.matrices(len(rows), self._size, generator))
            return
        field = transform.displacement(len(rows), self._size, generator, self._device)
        if field is not None:
            self._add_displacement(rows, field)

    def _add_affine(self, rows: Tensor, matrices: Tensor) -> None:
        linear = matrices[:, :, :2]
        self._straight[rows] = linear @ self._straight[rows]
        self._straight[rows, :, 2] += matrices[:, :, 2]
        self._turn[rows] = linear @ self._turn[rows]

    def _add_displacement(self, rows: Tensor, field: Tensor) -> None:
        field = self._at_points(rows, field)
        if self._offsets is None and len(rows) == len(self._bent):
            self._offsets = field
        else:
            self._offsets = self._unturned_offsets().index_add(0, rows.to(self._device), field)
        self._bent[rows] = True
        self._turn = torch.eye(2, dtype=torch.float64).repeat(len(self._bent), 1, 1)

    def parts(self) -> Iterator[Part]:
        """All samples, in up to three groups."""
        exact = ~self._bent & self._keeps_pixels()
        for member, is_exact in ((exact, True), (~exact & ~self._bent, False), (self._bent, False)):
            rows = member.nonzero().flatten()
            if len(rows):
                yield Part(rows, self._points(rows), is_exact)

    def _points(self, rows: Tensor) -> Tensor:
        """(k, H, W, 2), with (-1, -1) the upper left corner of the upper left pixel."""
        height, width = self._size
        # grid_sample's unit is half the side
        unit = torch.tensor([[2 / width], [2 / height]], dtype=torch.float64)
        matrix = (self._straight[rows] * unit).float().to(self._device)
        down, right = (self._centred(length) for length in (height, width))
        along = matrix[:, :, 0, None] * right
        across = matrix[:, :, 1, None] * down + matrix[:, :, 2, None]
        points = (along[:, :, None, :] + across[:, :, :, None]).flatten(2)
        if self._offsets is not None and bool(self._bent[rows].any()):
            turn = (self._turn[rows] * unit).float().to(self._device)
            points.baddbmm_(turn, take(self._offsets, rows).flatten(2))
        return points.reshape(-1, 2, *self._size).permute(0, 2, 3, 1)

    def _centred(self, length: int) -> Tensor:
        return torch.arange(length, device=self._device) - (length - 1) / 2

    def _at_points(self, rows: Tensor, field: Tensor) -> Tensor:
        """`field` (k, 2, H, W) evaluated where samples `rows` (k,) point so far (bilinear)."""
        at_home = torch.eye(3, dtype=torch.float64)[:2]
        away = self._bent[rows] | (self._straight[rows] != at_home).flatten(1).any(1)
        some = away.nonzero().flatten()
        if not len(some):
            return field
        moved = sample(take(field, some), self._points(rows[some]), "bilinear")
        return field.index_copy(0, some.to(self._device), moved)

    def _unturned_offsets(self) -> Tensor:
        """(n, 2, H, W): the displacements as they are with B = 1."""
        if self._offsets is None:
            shape = (len(self._bent), 2, *self._size)
            return torch.zeros(shape, device=self._device)
        turn = self._turn.float().to(self._device)
        return torch.bmm(turn, self._offsets.flatten(2)).reshape_as(self._offsets)

    def _keeps_pixels(self) -> Tensor:
        """(n,) bool: A maps pixels onto pixels, as flips and quarter turns do."""
        height, width = self._size
        linear, shift = self._straight[:, :, :2], self._straight[:, :, 2]
        centre = torch.tensor([width - 1, height - 1], dtype=torch.float64) / 2
        # where the upper left pixel's centre looks, in pixels from there
        first = shift - linear @ centre + centre
        steady = (linear - linear.round()).abs().amax((1, 2)) * max(self._size) < _EXACT
        return steady & ((first - first.round()).abs().amax(1) < _EXACT)


def sample(images: Tensor, points: Tensor, how: Sampling) -> Tensor:
    """`images` (k, C, H, W) of any dtype, looked at in `points` (k, H, W, 2), reflected outside.

    Returns:
        (k, C, H, W) float32.
    """
    images = images.to(torch.float32, memory_format=torch.contiguous_format)
    return F.grid_sample(images, points, how, padding_mode="reflection", align_corners=False)


def take(batch: Tensor, rows: Tensor) -> Tensor:
    """`batch[rows]`, without a copy where the rows, which are in order, are all there are."""
    return batch if len(rows) == len(batch) else batch[rows.to(batch.device)]
