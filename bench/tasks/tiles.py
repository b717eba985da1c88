"""A network over images larger than those that it is trained on: overlapping tiles, blended."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench.tasks.outputs import main_output

OVERLAP = 0.5
"""Of two neighbouring tiles at least, as a share of a tile's side."""


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

    def __init__(self, model: nn.Module, tile: tuple[int, int], overlap: float = OVERLAP) -> None:
        super().__init__()
        self.model, self.tile, self.overlap = model, tile, overlap

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to blended scores (B, K, H, W)."""
        size = images.shape[2], images.shape[3]
        if size == self.tile:
            return main_output(self.model(images))
        images = _extended(images, self.tile)
        height, width = images.shape[2:]
        tops = tile_starts(height, self.tile[0], self.overlap)
        lefts = tile_starts(width, self.tile[1], self.overlap)
        weight = _pyramid(self.tile).to(images.device)
        total = torch.zeros((1, 1, height, width), device=images.device)
        blended: Tensor | None = None
        for top in tops:
            for left in lefts:
                rows, columns = slice(top, top + self.tile[0]), slice(left, left + self.tile[1])
                part = images[:, :, rows, columns].contiguous()
                scores = main_output(self.model(part)).float()
                if blended is None:
                    blended = scores.new_zeros((*scores.shape[:2], height, width))
                blended[:, :, rows, columns] += scores * weight
                total[:, :, rows, columns] += weight
        assert blended is not None
        return blended.div_(total)[:, :, : size[0], : size[1]]


def tile_starts(side: int, tile: int, overlap: float = OVERLAP) -> list[int]:
    """Where tiles begin so that they cover a side, evenly and with at least this overlap."""
    if side <= tile:
        return [0]
    step = max(1, math.floor(tile * (1 - overlap)))
    count = math.ceil((side - tile) / step) + 1
    return [round(i * (side - tile) / (count - 1)) for i in range(count)]


def _pyramid(tile: tuple[int, int]) -> Tensor:
    """(1, 1, h, w) weights from nearly 0 at the edges to 1 in the middle."""
    rows, columns = (_ramp(side) for side in tile)
    return (rows[:, None] * columns).view(1, 1, *tile)


def _ramp(side: int) -> Tensor:
    middle = (side - 1) / 2
    distance = (torch.arange(side) - middle).abs()
    return 1 - distance / (middle + 1)


def _extended(images: Tensor, tile: tuple[int, int]) -> Tensor:
    """Images at least as large as a tile, reflected at their bottom and right."""
    for axis, wanted in zip((2, 3), tile, strict=True):
        while (own := images.shape[axis]) < wanted:
            more = min(wanted - own, own)
            images = torch.cat([images, images.narrow(axis, own - more, more).flip(axis)], axis)
    return images
