"""Scores of an image at its own size, from those of what a network sees of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

_AT_ONCE = 1 << 24  # scores that are resized at once: 64 MB of fp32


Region = tuple[int, int, int, int]
"""Top, left, height and width of an image in what a network sees of it, in pixels of the latter."""


def own_size_bands(
    strips: Iterable[Tensor], region: Region, size: tuple[int, int]
) -> Iterator[Tensor]:
    """Scores of an image at its own size, band by band from top to bottom, (1, K, h, W) each.

    They are resized bilinearly, pixel centres aligned (`align_corners=False`), as by
    `torch.nn.functional.interpolate`.

    Args:
        strips: (1, K, h, w) scores of all that the network sees, from top to bottom.
        region: the image's part of it.
        size: the image's own height and width.
    """
    inside = _within(strips, region)
    if region[2:] == size:
        yield from inside
        return
    scores = torch.cat(list(inside), 2)
    if scores[0, :, 0, 0].numel() * size[0] * size[1] <= _AT_ONCE:
        yield _resized(scores, size)
        return
    yield from _bands(scores, size)


def _within(strips: Iterable[Tensor], region: Region) -> Iterator[Tensor]:
    """The region's part of each strip that has one."""
    top, left, height, width = region
    seen = 0
    for strip in strips:
        first, last = max(top - seen, 0), min(top + height - seen, strip.shape[2])
        if first < last:
            yield strip[:, :, first:last, left : left + width]
        seen += strip.shape[2]


def _bands(scores: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    """(1, K, h, w) scores resized, as many rows at a time as memory is meant for."""
    height, width = size
    source, classes = scores.shape[2], scores.shape[1]
    count = max(1, _AT_ONCE // (classes * width))
    for top in range(0, height, count):
        rows = torch.arange(top, min(top + count, height), device=scores.device)
        centre = ((rows + 0.5) * (source / height) - 0.5).clamp(0, source - 1)
        above = centre.floor().long()
        below = (above + 1).clamp(max=source - 1)
        share = (centre - above)[:, None]
        band = torch.lerp(scores[:, :, above], scores[:, :, below], share)
        yield _resized(band, (len(rows), width))


def _resized(scores: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
