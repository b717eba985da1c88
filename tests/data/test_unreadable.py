"""Samples that cannot be read, and what `data.on_error: skip` makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.decode import load_pairs
from bench.data.sample_files import Pair
from bench.errors import DataError
from tests.builders.image_files import LABELS, png, reading, saved


def several(folder: Path, count: int = 6) -> list[Pair]:
    """Images of their number in every pixel, with masks."""
    folder.mkdir()
    return [
        Pair(
            f"s{i}",
            saved(folder / f"s{i}.png", np.full((8, 8, 3), i, np.uint8)),
            saved(folder / f"m{i}.png", np.full((8, 8), i % 2, np.uint8)),
        )
        for i in range(count)
    ]


def truncate(pairs: list[Pair]) -> str:
    pairs[2].image.write_bytes(pairs[2].image.read_bytes()[:40])
    return "s2.png: cannot be read as an image"


def remove(pairs: list[Pair]) -> str:
    pairs[2].mask.unlink()
    return "m2.png: there is no such file"


def repaint(pairs: list[Pair]) -> str:
    saved(pairs[2].mask, np.full((8, 8), 9, np.uint8))
    return "m2.png: unexpected mask value 9"


def turn(pairs: list[Pair]) -> str:
    saved(pairs[2].mask, np.zeros((8, 4), np.uint8))
    return "m2.png: the mask is 4×8, its image s2.png 8×8"


def bomb(pairs: list[Pair]) -> str:
    png(pairs[2].image, 20_000, 20_000)
    return "s2.png: 400,000,000 pixels are more than the 100,000,000 allowed"


@pytest.mark.parametrize("damage", [truncate, remove, repaint, turn, bomb])
def test_a_sample_that_cannot_be_read_is_skipped_where_asked(tmp_path: Path, damage: Any):
    pairs = several(tmp_path / "data")
    wrong = damage(pairs)
    with pytest.raises(DataError, match=r"[sm]2\.png: ") as caught:
        load_pairs(pairs, LABELS, reading(tmp_path))
    assert "\n" not in str(caught.value)
    for _ in range(2):  # made, then from the cache
        found = load_pairs(pairs, LABELS, reading(tmp_path, skip=True))
        assert found.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4, 5]
        assert found.masks[:, 0, 0].tolist() == [0, 1, 1, 0, 1]
        assert list(found.skipped) == ["s2"]
        assert found.skipped["s2"].startswith(wrong)


def test_skipping_nothing_is_the_same_data_from_the_same_cache(tmp_path: Path):
    pairs = several(tmp_path / "data")
    first = load_pairs(pairs, LABELS, reading(tmp_path))
    calls: list[int] = []
    again = load_pairs(
        pairs, LABELS, reading(tmp_path, skip=True, progress=lambda i, _: calls.append(i))
    )
    assert (calls, again.content, again.skipped) == ([], first.content, {})


def test_more_than_a_few_are_no_accident(tmp_path: Path):
    pairs = several(tmp_path / "data", 50)
    for pair in pairs[:2]:
        pair.image.write_bytes(b"rubbish")
    found = load_pairs(pairs, LABELS, reading(tmp_path, skip=True))
    assert (len(found.images), len(found.skipped)) == (48, 2)
    pairs[2].image.write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"more than 2 of 50 samples cannot be read.*mend them"):
        load_pairs(pairs, LABELS, reading(tmp_path, skip=True))
