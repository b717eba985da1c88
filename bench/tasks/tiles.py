"""A network over images larger than those that it is trained on: overlapping tiles, blended."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain, pairwise, product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.tasks.outputs import main_output

OVERLAP = 0.5
"""Of two neighbouring tiles at least, as a share of a tile's side."""

Size = tuple[int, int]
"""Height and width, in pixels."""


class Scored(NamedTuple):
    """Scores of a tile or strip of images, and its masks where they are known.

    Attributes:
        scores: (B, K, h, w) before softmax.
        masks: (B, h, w) uint8; None: not known.
    """

    scores: Tensor
    masks: Tensor | None = None


class TiledModel(nn.Module):
    """A segmentation network that sees an image tile by tile.

    Each tile's scores are weighted by a pyramid that is highest in its middle, so that no seams
    are left where tiles meet. An image no larger than a tile is seen whole. Images smaller than a
    tile on one side are extended by reflection at their end.

    Args:
        model: takes (B, C, *tile).
        tile: height and width.
        overlap: of neighbouring tiles.
    """

    def __init__(self, model: nn.Module, tile: Size, overlap: float = OVERLAP) -> None:
        super().__init__()
        self.model, self.tile, self.overlap = model, tile, overlap

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to blended scores (B, K, H, W)."""
        size = images.shape[2], images.shape[3]
        if size == self.tile:
            return main_output(self.model(images))
        images = extended(images, self.tile)
        whole = images.shape[2], images.shape[3]
        (height, width), corners = self.tile, tile_corners(whole, self.tile, self.overlap)
        parts = (images[:, :, top : top + height, left : left + width] for top, left in corners)
        tiles = (Scored(main_output(self.model(part.contiguous())).float()) for part in parts)
        strips = blended_strips(tiles, whole, self.tile, self.overlap)
        return torch.cat([strip.scores for strip in strips], 2)[:, :, : size[0], : size[1]]


def blended_strips(
    tiles: Iterator[Scored], size: Size, tile: Size, overlap: float = OVERLAP
) -> Iterator[Scored]:
    """An image from its tiles, strip by strip from top to bottom; a strip is as wide as the image.

    No more than a row of tiles is in memory: a strip is complete once no further tile reaches it.

    Args:
        tiles: in the order of `tile_corners`; no more of them are taken than the image has.
        size: of the image, at least a tile's.
        tile: height and width of a tile.
        overlap: of neighbouring tiles.
    """
    width = tile[1]
    tops, lefts = (tile_starts(*sides, overlap) for sides in zip(size, tile, strict=True))
    first = next(tiles)
    tiles, device = chain([first], tiles), first.scores.device
    down, across = (_ramp(side).to(device) for side in tile)
    total_down, total_across = _summed(down, tops, size[0]), _summed(across, lefts, size[1])
    weights = down[:, None] * across
    row = _zeros_of_width(first, size[1])
    for top, end in pairwise([*tops, size[0]]):
        for left in lefts:
            scores, masks = next(tiles)
            row.scores[..., left : left + width] += scores * weights
            if row.masks is not None and masks is not None:
                row.masks[..., left : left + width] = masks
        done = end - top
        blended = row.scores[:, :, :done] / (total_down[top:end, None] * total_across)
        yield Scored(blended, None if row.masks is None else row.masks[:, :done])
        row = _moved_down(row, done)


def _zeros_of_width(tile: Scored, width: int) -> Scored:
    """An empty row of tiles like this one."""
    scores = tile.scores.new_zeros((*tile.scores.shape[:3], width))
    if tile.masks is None:
        return Scored(scores)
    return Scored(scores, tile.masks.new_zeros((*tile.masks.shape[:2], width)))


def _moved_down(row: Scored, by: int) -> Scored:
    """What the next row of tiles shares with this one, and zeros below."""
    found = []
    for part, axis in ((row.scores, 2), (row.masks, 1)):
        if part is not None:
            kept = part.narrow(axis, by, part.shape[axis] - by)
            found.append(torch.cat([kept, torch.zeros_like(part.narrow(axis, 0, by))], axis))
    return Scored(*found)


def tile_starts(side: int, tile: int, overlap: float = OVERLAP) -> list[int]:
    """Where tiles begin so that they cover a side, evenly and with at least this overlap."""
    if side <= tile:
        return [0]
    step = max(1, math.floor(tile * (1 - overlap)))
    count = math.ceil((side - tile) / step) + 1
    return [round(i * (side - tile) / (count - 1)) for i in range(count)]


def tile_corners(size: Size, tile: Size, overlap: float = OVERLAP) -> list[tuple[int, int]]:
    """Top and left of each tile, row by row."""
    tops, lefts = (tile_starts(*sides, overlap) for sides in zip(size, tile, strict=True))
    return list(product(tops, lefts))


def _ramp(side: int) -> Tensor:
    """(side,) weights from nearly 0 at the edges to 1 in the middle."""
    middle = (side - 1) / 2
    distance = (torch.arange(side) - middle).abs()
    return 1 - distance / (middle + 1)


def _summed(ramp: Tensor, starts: list[int], side: int) -> Tensor:
    """(side,) the sum of the weights of all tiles along a side."""
    total = ramp.new_zeros(side)
    for start in starts:
        total[start : start + len(ramp)] += ramp
    return total


def extended(images: Tensor, tile: Size) -> Tensor:
    """Images (B, C, H, W) at least as large as a tile, reflected at their bottom and right."""
    for axis, wanted in zip((2, 3), tile, strict=True):
        while (own := images.shape[axis]) < wanted:
            more = min(wanted - own, own)
            images = torch.cat([images, images.narrow(axis, own - more, more).flip(axis)], axis)
    return images
