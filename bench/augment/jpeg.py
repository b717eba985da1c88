"""Compression as JPEG does it: what it loses, without the file."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment.base import Size
from bench.augment.draws import Range, uniform

_BLOCK = 8
# ITU-T T.81, annex K.1: the tables that libjpeg scales by its quality
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_CORNER = ((17, 18, 24, 47), (18, 21, 26, 66), (24, 26, 56, 99), (47, 66, 99, 99))
# JFIF: from RGB to Y, Cb and Cr (both around 0), and back
_TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


class Jpeg:
    """Blocks of 8×8 pixels, their frequencies rounded; colours at half the resolution.

    Coding is left out, which loses nothing. Images of other than three channels are compressed
    channel by channel, as brightness is.
    """

    def __init__(self, p: float, quality: Range) -> None:
        self.p = p
        self.quality = quality

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 1) by how much the tables are scaled, as libjpeg scales them."""
        quality = uniform(n, self.quality, generator).round()
        scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
        return scale.float().view(n, 1)

    def adjust(self, images: Tensor, drawn: Tensor, /) -> Tensor:
        """Values are rounded to whole levels before and after, as those of files are."""
        height, width = images.shape[2:]
        luma, chroma = (_scaled(table, drawn) for table in _tables(images.device))
        if images.shape[1] != 3:
            return _rounded(_compressed(images.round() - 128, luma) + 128)
        to_ycc, to_rgb = _colours(images.device)
        ycc = torch.einsum("ij,kjhw->kihw", to_ycc, images.round())
        y = _compressed(ycc[:, :1].round() - 128, luma) + 128
        half = F.avg_pool2d(_padded(ycc[:, 1:], 2), 2).round()
        half = _compressed(half, chroma)
        # libjpeg's "fancy" upsampling weights neighbours by 3/4 and 1/4 along each axis
        whole = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
        found = torch.cat([y, whole[:, :, :height, :width]], 1)
        return _rounded(torch.einsum("ij,kjhw->kihw", to_rgb, found))


def _rounded(images: Tensor) -> Tensor:
    return images.round_().clamp_(0, 255)


def _compressed(planes: Tensor, table: Tensor) -> Tensor:
    """(k, c, h, w) values around 0 as they come back, with a table (k, 8, 8) of divisors."""
    height, width = planes.shape[2:]
    padded, dct = _padded(planes, _BLOCK), _dct(planes.device)
    rows, columns = (length // _BLOCK for length in padded.shape[2:])
    shape = (*planes.shape[:2], rows, _BLOCK, columns, _BLOCK)
    blocks, steps = padded.reshape(shape).transpose(3, 4), table[:, None, None, None]
    found = ((dct @ blocks @ dct.T) / steps).round_() * steps
    whole: Tensor = (dct.T @ found @ dct).transpose(3, 4).reshape(padded.shape)
    return whole[:, :, :height, :width]


def _padded(planes: Tensor, multiple: int) -> Tensor:
    """Whole blocks: beyond the edge the edge's values go on."""
    height, width = planes.shape[2:]
    return F.pad(planes, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def _scaled(table: Tensor, scale: Tensor) -> Tensor:
    """(k, 8, 8) divisors of (8, 8) for scales (k, 1), in per cent."""
    return ((table * scale[:, :, None] + 50) / 100).floor_().clamp_(1, 255)


@lru_cache(maxsize=4)
def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """(8, 8) float32 each: of brightness and of colours."""
    chroma = torch.full((_BLOCK, _BLOCK), 99.0)
    chroma[:4, :4] = torch.tensor(_CHROMA_CORNER)
    return torch.tensor(_LUMA, dtype=torch.float32).to(device), chroma.to(device)


@lru_cache(maxsize=4)
def _colours(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.tensor(_TO_YCC).to(device), torch.tensor(_TO_RGB).to(device)


@lru_cache(maxsize=4)
def _dct(device: torch.device) -> Tensor:
    """(8, 8) float32: the orthonormal cosine transform, a row for each frequency."""
    pixel, frequency = (torch.arange(_BLOCK, dtype=torch.float64) for _ in range(2))
    waves = torch.cos((2 * pixel + 1) * frequency[:, None] * math.pi / (2 * _BLOCK))
    waves[0] /= math.sqrt(2)
    return (waves / 2).float().to(device)
