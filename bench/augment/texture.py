"""Noise, blur and cutout."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment.base import Size
from bench.augment.draws import Range, symmetric, uniform

_SEEDS = 2**24  # all of them are floats

# the multipliers of Chris Wellons' hash "lowbias32", as signed words
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B - 2**32


class Noise:
    """Gaussian noise, independent in every pixel and channel.

    Drawing it on the CPU would make a GPU wait, and each device's own draws would differ. So a seed
    per sample is drawn, and the noise is counted from it: a hash of seed and position picks one of
    65,536 quantiles of the normal distribution, the same on every device.
    """

    def __init__(self, p: float, std: Range) -> None:
        self.p = p
        self.std = std

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 2): standard deviation and seed."""
        seed = torch.randint(_SEEDS, (n,), generator=generator)
        return torch.stack([uniform(n, self.std, generator).float(), seed.float()], 1)

    def adjust(self, images: Tensor, drawn: Tensor, /) -> Tensor:
        """One noise field per sample."""
        noise = normal(drawn[:, 1].to(torch.int32), images[0].numel()).reshape(images.shape)
        return torch.addcmul(images, noise, drawn[:, 0].view(-1, 1, 1, 1))


def normal(seeds: Tensor, count: int) -> Tensor:
    """(k, count) standard normal float32 from (k,) int32 seeds, at most 4.3 from 0."""
    words = _positions((count + 1) // 2, seeds.device) ^ _hashed(seeds * 2 + 1)[:, None]
    halves = _hashed(words).view(torch.int16).flatten().to(torch.int32).add_(2**15)
    values = _quantiles(seeds.device).index_select(0, halves)
    enough: Tensor = values.view(len(seeds), -1)[:, :count]
    return enough


def _hashed(words: Tensor) -> Tensor:
    """A one-to-one mixing of 32-bit words (int32)."""
    # shifts of negative numbers drag the sign along, which the masks take off again
    words = words ^ words >> 16 & 0xFFFF
    words.mul_(_FIRST)
    words.bitwise_xor_((words >> 15).bitwise_and_(0x1FFFF)).mul_(_SECOND)
    return words.bitwise_xor_((words >> 16).bitwise_and_(0xFFFF))


@lru_cache(maxsize=4)
def _positions(count: int, device: torch.device) -> Tensor:
    return _hashed(torch.arange(count, dtype=torch.int32, device=device))


@lru_cache(maxsize=4)
def _quantiles(device: torch.device) -> Tensor:
    """(2^16,) float32: the middles of as many equal parts of the normal distribution."""
    middles = (torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16
    values = torch.special.ndtri(middles)
    scaled: Tensor = values / values.square().mean().sqrt()
    return scaled.float().to(device)


class Blur:
    """Smoothing with a Gaussian; beyond the edge the edge's values go on."""

    def __init__(self, p: float, sigma: Range) -> None:
        self.p = p
        self.sigma = sigma
        self._reach = math.ceil(3 * sigma[1])  # 3 sigma hold 99.7% of the weight

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 1) standard deviations in pixels."""
        return uniform(n, self.sigma, generator).float().view(n, 1)

    def adjust(self, images: Tensor, sigma: Tensor, /) -> Tensor:
        """Along rows, then along columns, up to three sigma each way."""
        away = torch.arange(self._reach + 1, device=images.device)
        # a sigma of 0 leaves the weight of the pixel itself, which is exp(0)
        weights = torch.exp(-(away**2) / (2 * sigma.clamp_min(1e-3) ** 2))
        weights = weights / (2 * weights.sum(1, keepdim=True) - 1)
        return _smoothed(_smoothed(images, weights, dim=3), weights, dim=2)


def _smoothed(images: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Weighted sums along `dim`, of each sample with its own `weights` (k, 1 + pixels away)."""
    reach, length = weights.shape[1] - 1, images.shape[dim]
    pad = (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach)
    padded = F.pad(images, pad, mode="replicate")
    result = images * weights[:, 0].view(-1, 1, 1, 1)
    for away in range(1, reach + 1):
        pair = padded.narrow(dim, reach - away, length) + padded.narrow(dim, reach + away, length)
        result.addcmul_(pair, weights[:, away].view(-1, 1, 1, 1))
    return result


class Downscale:
    """A lower resolution, enlarged again by the nearest pixel."""

    def __init__(self, p: float, factor: Range) -> None:
        self.p = p
        self.factor = factor

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 1) the lower resolution as a part of the full one."""
        return uniform(n, self.factor, generator).float().view(n, 1)

    def adjust(self, images: Tensor, factor: Tensor, /) -> Tensor:
        """Each pixel takes the value in the middle of the block that it falls into."""
        rows, columns = (_in_blocks(length, factor) for length in images.shape[2:])
        wide = rows[:, None, :, None].expand(-1, images.shape[1], -1, images.shape[3])
        found = images.gather(2, wide)
        high = columns[:, None, None, :].expand(-1, images.shape[1], images.shape[2], -1)
        return found.gather(3, high)


def _in_blocks(length: int, factor: Tensor) -> Tensor:
    """(k, length) int64: which place each place of a line looks at, for k factors (k, 1)."""
    places = torch.arange(length, device=factor.device)
    blocks = (places * factor + 1e-4).floor()  # a factor of 1 leaves every place alone
    return ((blocks + 0.5) / factor).floor().long().clamp(max=length - 1)


class Cutout:
    """A box of the image's shape in the image's mean colour; the mask stays as it is.

    DeVries and Taylor (2017), with the box wholly within the image. What is hidden is still to be
    found, from what is around it.
    """

    def __init__(self, p: float, scale: Range) -> None:
        self.p = p
        self.scale = scale

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 3): side as a share of the full side, then where its centre is, from -1 to 1."""
        side = uniform(n, self.scale, generator)
        across, down = (symmetric(n, generator) * (1 - side) for _ in range(2))
        return torch.stack([side, across, down], 1).float()

    def adjust(self, images: Tensor, drawn: Tensor, /) -> Tensor:
        """Pixels whose centres the box covers."""
        side, across, down = (column.view(-1, 1) for column in drawn.unbind(1))
        rows, columns = (
            (_centres(length, images.device) - centre).abs() < side
            for length, centre in zip(images.shape[2:], (down, across), strict=True)
        )
        box = rows[:, None, :, None] & columns[:, None, None, :]
        return torch.where(box, images.mean((2, 3), keepdim=True), images)


def _centres(length: int, device: torch.device) -> Tensor:
    """(length,) the pixels' centres, with the image reaching from -1 to 1."""
    return (2 * torch.arange(length, device=device) + 1) / length - 1
