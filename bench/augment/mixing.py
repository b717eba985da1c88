"""Samples mixed with others of their batch, labels too: mixup and CutMix.

The other is the sample before in the batch (the last one before the first), as in torchvision,
whose order is random anyway; it enters as it was before mixing. Draws are per sample, where
torchvision draws once for a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.augment.base import Size
from bench.augment.resample import to_device
from bench.labels import MISSING_LABEL


class MixedBatch(NamedTuple):
    """Images and what is learnt of them.

    Attributes:
        images: (B, C, H, W) float.
        target: (B, K) float shares of classes, (B, H, W) uint8 masks, or None.
    """

    images: Tensor
    target: Tensor | None


class Mixing(ABC):
    """A transform of a sample and the one before it in the batch.

    Attributes:
        p: probability that it applies, drawn per sample.
    """

    def __init__(self, p: float, alpha: float) -> None:
        self.p = p
        self._alpha = alpha

    def share(self, n: int, generator: torch.Generator) -> Tensor:
        """(n,) float64 from Beta(alpha, alpha), which torch draws with its global generator only.

        NumPy's draws are seeded by `generator`.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        drawn = np.random.default_rng(seed).beta(self._alpha, self._alpha, n)
        return torch.from_numpy(drawn)

    @abstractmethod
    def draw(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """What is random about `n` samples: (n, …) on the CPU."""

    @abstractmethod
    def own_share(self, drawn: Tensor, size: Size, /) -> Tensor:
        """(n,) float32: how much of a sample is left, by which its label counts."""

    @abstractmethod
    def mixed(self, own: Tensor, other: Tensor, drawn: Tensor, /) -> Tensor:
        """(k, C, H, W) images, or (k, 1, H, W) masks, `drawn` being on their device."""

    def __call__(
        self, batch: MixedBatch, applies: Tensor, generator: torch.Generator
    ) -> MixedBatch:
        """Mix the samples of a batch for which `applies` (B,), on the CPU, is true."""
        images, target = batch
        size: Size = (images.shape[-2], images.shape[-1])
        rows = applies.nonzero().flatten()
        if not len(rows):
            return batch
        drawn = self.draw(len(rows), size, generator)
        here, at = to_device(drawn, images.device), to_device(rows, images.device)

        def mix(values: Tensor) -> Tensor:
            own, other = values[at], values.roll(1, 0)[at]
            return values.index_copy(0, at, self.mixed(own, other, here).to(values.dtype))

        found = mix(images)
        if target is None:
            return MixedBatch(found, None)
        if target.dim() > 2:
            return MixedBatch(found, mix(target.unsqueeze(1)).squeeze(1))
        own_share = to_device(self.own_share(drawn, size), target.device)[:, None]
        own, other = target[at], target.roll(1, 0)[at]
        missing = (own == MISSING_LABEL) | (other == MISSING_LABEL)
        shares = torch.where(missing, MISSING_LABEL, own * own_share + other * (1 - own_share))
        return MixedBatch(found, target.index_copy(0, at, shares))


class MixUp(Mixing):
    """λ · image + (1 - λ) · other image."""

    def draw(self, n: int, _size: Size, generator: torch.Generator, /) -> Tensor:
        """(n,) λ."""
        return self.share(n, generator).float()

    def own_share(self, drawn: Tensor, _size: Size, /) -> Tensor:
        """λ."""
        return drawn

    def mixed(self, own: Tensor, other: Tensor, drawn: Tensor, /) -> Tensor:
        """Of images only: labels of pixels have no mean."""
        return torch.lerp(other, own, drawn.view(-1, 1, 1, 1))


class CutMix(Mixing):
    """A box of the other image; its area is what Beta's draw leaves, cut off at the edges.

    Centre and sides are drawn as in the paper and in torchvision.
    """

    def draw(self, n: int, size: Size, generator: torch.Generator, /) -> Tensor:
        """(n, 4) int64: left, top, right and bottom of the box, the latter two outside of it."""
        height, width = size
        half = 0.5 * (1 - self.share(n, generator)).sqrt()
        x, y = (torch.randint(length, (n,), generator=generator) for length in (width, height))
        half_x, half_y = (half * width).long(), (half * height).long()
        return torch.stack(
            [
                (x - half_x).clamp(min=0),
                (y - half_y).clamp(min=0),
                (x + half_x).clamp(max=width),
                (y + half_y).clamp(max=height),
            ],
            1,
        )

    def own_share(self, drawn: Tensor, size: Size, /) -> Tensor:
        """What the box leaves of the area."""
        left, top, right, bottom = drawn.unbind(1)
        return 1 - ((right - left) * (bottom - top)).float() / (size[0] * size[1])

    def mixed(self, own: Tensor, other: Tensor, drawn: Tensor, /) -> Tensor:
        """The other within the box."""
        left, top, right, bottom = (edge.view(-1, 1, 1, 1) for edge in drawn.unbind(1))
        y = torch.arange(own.shape[2], device=own.device).view(1, 1, -1, 1)
        x = torch.arange(own.shape[3], device=own.device).view(1, 1, 1, -1)
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        return torch.where(inside, other, own)


def as_shares(labels: Tensor, classes: int) -> Tensor:
    """(B,) labels, or (B, K) of several, 1, 0 or missing, as (B, K) float32 shares of classes."""
    return F.one_hot(labels, classes).float() if labels.dim() == 1 else labels.float()
