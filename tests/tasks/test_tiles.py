"""Tiles cover an image, and their blend is what the network says where it says the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

from bench.tasks.tiles import TiledModel, tile_starts


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
