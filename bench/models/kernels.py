"""Triton kernels for CUDA tensors that are channels last in memory.

Every element of an output is written by one program, which gathers what belongs to it: there are no
atomic additions, so that a backward pass gives the same bits each time.
"""

# Triton compiles these functions: their parameters have no Python types
# mypy: disable-error-code="no-untyped-def,untyped-decorator,no-untyped-call"
# ruff: noqa: N803

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

PIXELS = 64
"""Pixels of one program, at most."""
CHANNELS = 64
"""Channels of one program, at most: 128 bytes of bf16, one cache line."""


@triton.jit
def _pad(source, padded, height, width, channels, pixels, margin, P: tl.constexpr, C: tl.constexpr):
    pixel = tl.program_id(0) * P + tl.arange(0, P)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    wide, high = width + 2 * margin, height + 2 * margin
    column, above = pixel % wide, pixel // wide
    row, image = above % high, above // high
    row = height - 1 - tl.abs(height - 1 - tl.abs(row - margin))
    column = width - 1 - tl.abs(width - 1 - tl.abs(column - margin))
    inside = (pixel < pixels)[:, None] & (channel < channels)[None, :]
    place = ((image * height + row) * width + column).to(tl.int64) * channels
    values = tl.load(source + place[:, None] + channel[None, :], mask=inside)
    tl.store(
        padded + (pixel.to(tl.int64) * channels)[:, None] + channel[None, :], values, mask=inside
    )


@triton.jit
def _preimage(place, size, margin, which: tl.constexpr):
    """Where a pixel has gone to under reflection: inwards, before the start, behind the end."""
    if which == 0:
        found, there = place + margin, place >= 0
    elif which == 1:
        found, there = margin - place, (place >= 1) & (place <= margin)
    else:
        found = 2 * (size - 1) - place + margin
        there = (place >= size - 1 - margin) & (place <= size - 2)
    return found, there


@triton.jit
def _pad_backward(
    padded, gradient, height, width, channels, pixels, margin, P: tl.constexpr, C: tl.constexpr
):
    pixel = tl.program_id(0) * P + tl.arange(0, P)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    wide, high = width + 2 * margin, height + 2 * margin
    column, above = pixel % width, pixel // width
    row, image = above % height, above // height
    inside = (pixel < pixels)[:, None] & (channel < channels)[None, :]
    total = tl.zeros((P, C), dtype=tl.float32)
    for across in tl.static_range(3):
        y, y_there = _preimage(row, height, margin, across)
        for along in tl.static_range(3):
            x, x_there = _preimage(column, width, margin, along)
            place = ((image * high + y) * wide + x).to(tl.int64) * channels
            mask = inside & (y_there & x_there)[:, None]
            values = tl.load(padded + place[:, None] + channel[None, :], mask=mask, other=0.0)
            total += values.to(tl.float32)
    places = (pixel.to(tl.int64) * channels)[:, None] + channel[None, :]
    tl.store(gradient + places, total.to(gradient.dtype.element_ty), mask=inside)


@triton.jit
def _between(place, size, scale):
    """The two neighbours of an output pixel, and the weight of the second one."""
    exact = place.to(tl.float32) * scale
    first = tl.minimum(exact.to(tl.int32), size - 1)
    return first, tl.minimum(first + 1, size - 1), exact - first.to(tl.float32)


@triton.jit
def _upsample(
    source, enlarged, height, width, high, wide, channels, pixels, y_scale, x_scale,
    P: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * P + tl.arange(0, P)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    above = pixel // wide
    image = above // high
    top, bottom, down = _between(above % high, height, y_scale)
    left, right, along = _between(pixel % wide, width, x_scale)
    inside = (pixel < pixels)[:, None] & (channel < channels)[None, :]
    total = tl.zeros((P, C), dtype=tl.float32)
    for corner in tl.static_range(4):
        row, of_row = (top, 1 - down) if corner < 2 else (bottom, down)
        column, of_column = (left, 1 - along) if corner % 2 == 0 else (right, along)
        place = ((image * height + row) * width + column).to(tl.int64) * channels
        values = tl.load(source + place[:, None] + channel[None, :], mask=inside, other=0.0)
        total += (of_row * of_column)[:, None] * values.to(tl.float32)
    places = (pixel.to(tl.int64) * channels)[:, None] + channel[None, :]
    tl.store(enlarged + places, total.to(enlarged.dtype.element_ty), mask=inside)


@triton.jit
def _share(place, candidate, size, large, scale):
    """How much of an output pixel's value comes from the input pixel at `place`."""
    first, second, weight = _between(candidate, size, scale)
    share = tl.where(first == place, 1 - weight, 0.0) + tl.where(second == place, weight, 0.0)
    return tl.where(candidate < large, share, 0.0)


@triton.jit
def _upsample_backward(
    enlarged, gradient, height, width, high, wide, channels, pixels, y_scale, x_scale,
    REACH_Y: tl.constexpr, REACH_X: tl.constexpr, P: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    pixel = tl.program_id(0) * P + tl.arange(0, P)
    channel = tl.program_id(1) * C + tl.arange(0, C)
    column, above = pixel % width, pixel // width
    row, image = above % height, above // height
    inside = (pixel < pixels)[:, None] & (channel < channels)[None, :]
    y_start = tl.maximum(row - 1, 0) * (high - 1) // (height - 1)
    x_start = tl.maximum(column - 1, 0) * (wide - 1) // (width - 1)
    total = tl.zeros((P, C), dtype=tl.float32)
    for i in tl.static_range(REACH_Y):
        of_row = _share(row, y_start + i, height, high, y_scale)
        for j in tl.static_range(REACH_X):
            weight = of_row * _share(column, x_start + j, width, wide, x_scale)
            place = ((image * high + y_start + i) * wide + x_start + j).to(tl.int64) * channels
            mask = inside & (weight != 0)[:, None]
            values = tl.load(enlarged + place[:, None] + channel[None, :], mask=mask, other=0.0)
            total += weight[:, None] * values.to(tl.float32)
    places = (pixel.to(tl.int64) * channels)[:, None] + channel[None, :]
    tl.store(gradient + places, total.to(gradient.dtype.element_ty), mask=inside)


def pad(x: Tensor, margin: int) -> Tensor:
    """Reflect padding of `margin` pixels around (N, C, H, W)."""
    _, channels, height, width = x.shape
    padded = _empty(x, height + 2 * margin, width + 2 * margin)
    grid, block = _grid(padded)
    _pad[grid](x, padded, height, width, channels, _pixels(padded), margin, **block)
    return padded


def pad_backward(padded: Tensor, margin: int) -> Tensor:
    """The gradient of `pad`'s input from that of its output."""
    _, channels, high, wide = padded.shape
    height, width = high - 2 * margin, wide - 2 * margin
    gradient = _empty(padded, height, width)
    grid, block = _grid(gradient)
    _pad_backward[grid](
        padded, gradient, height, width, channels, _pixels(gradient), margin, **block
    )
    return gradient


def upsample(x: Tensor, high: int, wide: int) -> Tensor:
    """Bilinear interpolation of (N, C, H, W) to (N, C, high, wide), corners aligned."""
    _, channels, height, width = x.shape
    enlarged = _empty(x, high, wide)
    grid, block = _grid(enlarged)
    scales = _scale(height, high), _scale(width, wide)
    sizes = height, width, high, wide, channels, _pixels(enlarged)
    _upsample[grid](x, enlarged, *sizes, *scales, **block)
    return enlarged


def upsample_backward(enlarged: Tensor, height: int, width: int) -> Tensor:
    """The gradient of `upsample`'s input from that of its output."""
    _, channels, high, wide = enlarged.shape
    gradient = _empty(enlarged, height, width)
    grid, block = _grid(gradient)
    scales = _scale(height, high), _scale(width, wide)
    sizes = height, width, high, wide, channels, _pixels(gradient)
    reach = {"REACH_Y": reached(height, high), "REACH_X": reached(width, wide)}
    _upsample_backward[grid](enlarged, gradient, *sizes, *scales, **reach, **block)
    return gradient


def reached(small: int, large: int) -> int:
    """To how many pixels of a line of `large` one of `small` contributes, at most."""
    return -(-2 * (large - 1) // (small - 1)) + 1


def _scale(small: int, large: int) -> float:
    return (small - 1) / (large - 1)


def _empty(like: Tensor, height: int, width: int) -> Tensor:
    shape = (*like.shape[:2], height, width)
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _pixels(x: Tensor) -> int:
    return x.shape[0] * x.shape[2] * x.shape[3]


def _grid(out: Tensor) -> tuple[tuple[int, int], dict[str, int]]:
    channels = out.shape[1]
    at_once = min(CHANNELS, triton.next_power_of_2(channels))
    pixels = PIXELS * CHANNELS // at_once
    grid = (triton.cdiv(_pixels(out), pixels), triton.cdiv(channels, at_once))
    return grid, {"P": pixels, "C": at_once}
