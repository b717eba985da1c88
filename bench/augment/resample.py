"""The one resampling: from where pixels look to pictures, on the device of the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment.base import Linear, Size
from bench.augment.compose import DisplacementStep, PixelMap, Route
from bench.augment.threads import run_jobs

Sampling = Literal["nearest", "bilinear", "bicubic"]

# pixels that a thread works on at a time: image, grid and result should stay in its cache
_PIXELS = 2**17


class ResampledBatch:
    """A batch to be resampled, and what becomes of it.

    Attributes:
        result: (B, C, H, W); the batch itself where nothing is on any route.
    """

    def __init__(
        self, batch: Tensor, dtype: torch.dtype, how: Sampling, routes: Sequence[Route]
    ) -> None:
        """`batch` (B, C, H, W) of any type becomes `dtype`; `how` a pixel reads between others."""
        self._batch = batch
        self._how = how
        if not routes and (batch.dtype == dtype or batch.device.type != "cpu"):
            self.result = batch.to(dtype)
            return
        self.result = torch.empty(batch.shape, dtype=dtype, device=batch.device)
        if not routes:  # laid out as it was
            self.result = torch.empty_like(batch, dtype=dtype)
        touched = {row for route in routes for row in route.rows}
        rest = [row for row in range(len(batch)) if row not in touched]

        def copy(part: slice) -> None:
            put(self.result, rest[part], take(batch, rest[part]))

        parts = pieces(len(rest), (batch.shape[-2], batch.shape[-1]), batch.device)
        run_jobs([partial(copy, part) for part in parts], batch.device)

    def fill(self, rows: list[int], points: Tensor, exact: bool) -> None:
        """Fill k `rows` of the result with what is at `points` (k, H, W, 2)."""
        how: Sampling = "nearest" if exact else self._how
        seen = sample(take(self._batch, rows), points, how)
        if how == "bicubic":
            seen.clamp_(0, 255)
        # straight from float to uint8 takes twice as long
        put(self.result, rows, seen if self.result.is_floating_point() else seen.int())


def resample(layers: Sequence[ResampledBatch], routes: Sequence[Route], size: Size) -> None:
    """Let all layers look along the routes that they were made for, at the same points."""
    device = layers[0].result.device

    def fill(route: Route, on_device: _DeviceRoute, part: slice) -> None:
        points = on_device.points(part)
        for layer in layers:
            layer.fill(route.rows[part], points, route.exact)

    on_device: dict[int, _DeviceRoute] = {}

    def prepare(number: int) -> None:
        on_device[number] = _DeviceRoute(routes[number], size, device)

    run_jobs([partial(prepare, number) for number in range(len(routes))], device)
    jobs = [
        partial(fill, route, on_device[number], part)
        for number, route in enumerate(routes)
        for part in pieces(len(route.rows), size, device)
    ]
    run_jobs(jobs, device)


def pieces(n: int, size: Size, device: torch.device) -> Iterator[slice]:
    """Cuts `n` samples: on a CPU a few at a time, which stay in its cache; else not."""
    step = n
    if device.type == "cpu":
        height, width = size
        step = max(1, _PIXELS // (height * width))
    for start in range(0, n, max(step, 1)):
        yield slice(start, min(start + step, n))


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """`values` (CPU) on the device, without waiting for what the device has still to do."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def take(batch: Tensor, rows: list[int]) -> Tensor:
    """`batch[rows]` (rows in order), without a copy where they are neighbours."""
    if rows and rows[-1] - rows[0] == len(rows) - 1:
        return batch[rows[0] : rows[-1] + 1]
    index = to_device(torch.tensor(rows), batch.device)
    if batch.is_contiguous(memory_format=torch.channels_last):  # whole rows: ten times as fast
        return batch.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
    return batch.index_select(0, index)


def put(batch: Tensor, rows: list[int], values: Tensor) -> None:
    """`batch[rows] = values`."""
    if batch.device.type == "cpu":  # a third of the time of index_copy_
        for row, value in zip(rows, values.unbind(), strict=True):
            batch[row] = value
    else:
        batch.index_copy_(0, to_device(torch.tensor(rows), batch.device), values.to(batch.dtype))


def sample(images: Tensor, points: Tensor, how: Sampling) -> Tensor:
    """`images` (k, C, H, W) of any dtype, looked at in `points` (k, H, W, 2).

    Returns:
        (k, C, H, W) float32.
    """
    # points lie within the frame; "border" is for their neighbours
    return F.grid_sample(images.float(), points, how, padding_mode="border", align_corners=False)


class _DeviceRoute:
    """A route on the device."""

    def __init__(self, route: Route, size: Size, device: torch.device) -> None:
        self._size = size
        self._last = _Frame(route.pixel_map, size, device)
        self._displacements: list[_DeviceDisplacement] = []
        self._linear: tuple[Linear, Tensor] | None = None
        first = route.displacements[0] if len(route.displacements) == 1 else None
        if first is not None and not first.away and isinstance(first.transform, Linear):
            turn = _turn(route.pixel_map, size)
            turned = torch.bmm(turn, first.drawn.flatten(2)).view_as(first.drawn)
            self._linear = first.transform, to_device(turned, device)
        else:
            self._displacements = [
                _DeviceDisplacement(displacement, size, device)
                for displacement in route.displacements
            ]

    def points(self, part: slice) -> Tensor:
        """(k, H, W, 2) where `part` of the route's samples look in the end."""
        if self._linear is not None:
            transform, drawn = self._linear
            points = self._last.straight(part)
            transform.add(drawn[part], points)
            return _reflected(points)
        offsets: Tensor | None = None
        for displacement in self._displacements:
            offsets = displacement.after(offsets, part, self._size)
        return self._last.points(part, offsets)


class _DeviceDisplacement:
    """A displacement on a route, on the device."""

    def __init__(self, displacement: DisplacementStep, size: Size, device: torch.device) -> None:
        self._transform = displacement.transform
        self._drawn = to_device(displacement.drawn, device)
        self._turn = to_device(displacement.pixel_map.turn.float(), device)
        self._frame = _Frame(displacement.pixel_map, size, device) if displacement.away else None

    def after(self, offsets: Tensor | None, part: slice, size: Size) -> Tensor:
        """(k, 2, H·W) displacements up to and with this one, from those before it."""
        field = self._transform.displacement(self._drawn[part], size)
        if self._frame is not None:
            field = sample(field, self._frame.points(part, offsets), "bilinear")
        field = field.flatten(2)
        return field if offsets is None else torch.baddbmm(field, self._turn[part], offsets)


class _Frame:
    """A place, in units in which the frame is [0, 1/2], edge to edge."""

    def __init__(self, pixel_map: PixelMap, size: Size, device: torch.device) -> None:
        height, width = size
        straight = pixel_map.straight * _unit(size)
        straight[:, :, 2] += 1 / 4
        matrix = to_device(straight.float(), device)
        self._along = (matrix[:, :, 0, None] * _centred(width, device))[:, :, None, :]
        across = matrix[:, :, 1, None] * _centred(height, device) + matrix[:, :, 2, None]
        self._across = across[:, :, :, None]
        self._turn = to_device(_turn(pixel_map, size), device)

    def straight(self, part: slice) -> Tensor:
        """(k, 2, H, W): A·x of these samples."""
        return self._along[part] + self._across[part]

    def points(self, part: slice, offsets: Tensor | None) -> Tensor:
        """(k, H, W, 2): A·x + B·d of these samples for `offsets` d (k, 2, H·W), reflected."""
        points = self.straight(part)
        if offsets is not None:
            points.flatten(2).baddbmm_(self._turn[part], offsets)
        return _reflected(points)


def _unit(size: Size) -> Tensor:
    """(2, 1): a pixel along x and along y, where the frame is [0, 1/2]."""
    height, width = size
    return torch.tensor([[1 / (2 * width)], [1 / (2 * height)]], dtype=torch.float64)


def _turn(pixel_map: PixelMap, size: Size) -> Tensor:
    """(k, 2, 2) float32: B from pixels to these units."""
    return (pixel_map.turn * _unit(size)).float()


def _reflected(points: Tensor) -> Tensor:
    """(k, 2, H, W) points where the frame is [0, 1/2], as (k, H, W, 2) where it is [-1, 1].

    Going on reflected is a triangular wave of period 1. Writes into `points`.
    """
    points.sub_(points.round()).abs_()
    torch.add(_left(points.device), points, alpha=4, out=points)  # -1 + 4·points, in one pass
    return points.permute(0, 2, 3, 1)


@lru_cache(maxsize=4)
def _left(device: torch.device) -> Tensor:
    return torch.full((), -1.0, device=device)


@lru_cache(maxsize=16)
def _centred(length: int, device: torch.device) -> Tensor:
    return torch.arange(length, device=device) - (length - 1) / 2
