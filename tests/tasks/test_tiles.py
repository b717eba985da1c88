"""Tiles cover an image, and their blend is what the network says where it says the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from bench.tasks.tiles import Scored, TiledModel, blended_strips, tile_corners, tile_starts


@pytest.mark.parametrize(("side", "tile"), [(64, 64), (65, 64), (100, 32), (1000, 96), (20, 64)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_tiles_cover_a_side_with_their_overlap(side: int, tile: int, overlap: float) -> None:
    starts = tile_starts(side, tile, overlap)
    assert starts[0] == 0
    assert max(starts[-1] + tile, side) == max(side, tile)
    steps = [after - before for before, after in pairwise(starts)]
    assert all(0 < step <= tile * (1 - overlap) + 1 for step in steps)


@pytest.mark.parametrize("size", [(32, 32), (50, 40), (33, 97), (20, 70), (5, 9)])
def test_a_network_without_context_says_the_same(size: tuple[int, int]) -> None:
    model = nn.Conv2d(3, 4, 1)
    images = torch.randn(2, 3, *size)
    found = TiledModel(model, (32, 32))(images)
    assert torch.allclose(found, model(images), atol=1e-5)


def test_seams_are_blended() -> None:
    """A network that says its column within the tile: no jump from one pixel to the next."""

    class Column(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            columns = torch.arange(images.shape[3], dtype=torch.float32)
            return columns.expand(len(images), 1, *images.shape[2:]).clone()

    found = TiledModel(Column(), (16, 16))(torch.zeros(1, 3, 16, 64))[0, 0, 8]
    hard = TiledModel(Column(), (16, 16), overlap=0.0)(torch.zeros(1, 3, 16, 64))[0, 0, 8]
    assert found.diff().abs().max() < 3
    assert hard.diff().abs().max() == 15


def test_several_outputs_are_tiled_by_their_main_one() -> None:
    class Heads(nn.Module):
        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": images[:, :2], "aux": images[:, :1]}

    images = torch.randn(1, 3, 40, 40)
    assert torch.allclose(TiledModel(Heads(), (16, 16))(images), images[:, :2], atol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (50, 40), (33, 97)])
def test_strips_are_the_whole_image_s_rows(size: tuple[int, int]) -> None:
    """No strip is higher than a tile, and together they are what the whole image has."""
    model, tile = nn.Conv2d(3, 4, 3, padding=1), (32, 24)
    images = torch.randn(1, 3, *size)
    masks = torch.randint(0, 4, (1, *size), dtype=torch.uint8)

    def part(top: int, left: int) -> Scored:
        rows, columns = slice(top, top + tile[0]), slice(left, left + tile[1])
        return Scored(model(images[:, :, rows, columns]), masks[:, rows, columns])

    tiles = iter([part(*corner) for corner in tile_corners(size, tile)])
    strips = list(blended_strips(tiles, size, tile))
    assert next(tiles, None) is None
    assert max(strip.scores.shape[2] for strip in strips) <= tile[0]
    whole = torch.cat([strip.scores for strip in strips], 2)
    assert torch.allclose(whole, TiledModel(model, tile)(images), atol=1e-6)
    assert torch.equal(torch.cat([strip.masks for strip in strips], 1), masks)  # type: ignore[misc]  # they are known
