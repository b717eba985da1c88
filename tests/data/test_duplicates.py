from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from bench.data.base import Array, Split
from bench.data.duplicates import Twin, look, twins
from bench.data.oxford_pet import OxfordPet
from bench.data.shapes import Shapes


def pictures(count: int, size: int = 48, seed: int = 0) -> Array:
    """Smooth random scenes."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (count, 6, 6, 3), np.uint8)
    return np.stack([resize(image, size) for image in small])


def resize(image: Array, size: int) -> Array:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def split(images: Array, prefix: str) -> Split:
    return Split(images, None, tuple(f"{prefix}{i}" for i in range(len(images))))


def splits(train: Array, val: Array, test: Array) -> dict[str, Split]:
    found = (("train", train), ("val", val), ("test", test))
    return {name: split(images, name[1]) for name, images in found}


def recompressed(image: Array) -> Array:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=40)
    return np.asarray(Image.open(file))


CHANGES: dict[str, Any] = {
    "recompressed": recompressed,
    "of another size": lambda image: resize(resize(image, 30), 48),
    "brighter": lambda image: np.asarray(
        ImageEnhance.Brightness(Image.fromarray(image)).enhance(1.15)
    ),
    "grey": lambda image: np.asarray(Image.fromarray(image).convert("L").convert("RGB")),
}


def test_different_pictures_are_no_twins() -> None:
    assert twins(splits(pictures(80), pictures(20, seed=1), pictures(20, seed=2))) == []


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_changed_copy_is_nearly_identical(change: str) -> None:
    train = pictures(40)
    test = pictures(10, seed=1)
    test[3] = CHANGES[change](train[17])
    found = twins(splits(train, pictures(5, seed=2), test))
    assert found == [Twin("test", "e3", "train", "r17", identical=False)]


def test_the_same_picture_is_identical_and_each_pair_of_splits_counts() -> None:
    train, val, test = (pictures(5, seed=seed) for seed in range(3))
    val[0] = test[4] = train[2]
    assert twins(splits(train, val, test)) == [
        Twin("val", "a0", "train", "r2", identical=True),
        Twin("test", "e4", "train", "r2", identical=True),
        Twin("test", "e4", "val", "a0", identical=True),
    ]


def test_one_level_of_one_pixel_is_not_identical() -> None:
    train = pictures(5)
    val = train[[2]].copy()
    val[0, 0, 0, 0] ^= 1
    assert twins(splits(train, val, pictures(5, seed=2))) == [
        Twin("val", "a0", "train", "r2", identical=False)
    ]


def test_flat_pictures_are_twins_only_when_they_are_identical() -> None:
    grey = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 90, 91, 92)])
    found = twins(splits(grey[:2], grey[2:3], grey[[1, 3]]))
    assert found == [Twin("test", "e0", "train", "r1", identical=True)]


def test_a_thumbnail_is_the_mean_of_areas() -> None:
    # left half 10, right half 30 in rows of 36: 9 cells of mean 10, then 9 of 30; cells between
    image = np.full((1, 16, 36, 3), 10, np.uint8)
    image[:, :, 18:] = 30
    found = look(image).thumbnails.reshape(16, 18)
    assert np.allclose(found[:, :9], -(288**-0.5))
    assert np.allclose(found[:, 9:], 288**-0.5)
    # in 9 cells a row the middle one is 20: two of 8 steps rise, in each of 8 rows
    assert look(image).hashes.reshape(8, 8).tolist() == [[-1, -1, -1, 1, 1, -1, -1, -1]] * 8


def test_sizes_below_the_thumbnails_work() -> None:
    train = pictures(9, size=8)
    found = twins(splits(train, pictures(9, size=8, seed=1), train[[4]]))
    assert found == [Twin("test", "e0", "train", "r4", identical=True)]


def test_procedural_animals_are_all_different() -> None:
    animals = Shapes(
        image_size=32, normalize="none", train=300, val=60, test=60, kinds=1, difficulty=0.5,
        border="foreground", seed=0,
    ).prepare()  # fmt: skip
    assert twins(animals.splits) == []


@pytest.mark.pets
def test_the_copies_among_the_provided_pets(pets_root: Path) -> None:
    """Found by eye among all pairs of up to 12 bits: the next pair is of two different cats."""
    pets = OxfordPet(
        root=str(pets_root), download=False, image_size=64, normalize="none", border="ignore",
        on_error="fail",
    ).prepare()  # fmt: skip
    assert twins(pets.splits) == [
        Twin("val", "Abyssinian_177", "train", "Abyssinian_11", identical=False),
        Twin("test", "Abyssinian_99", "train", "Abyssinian_151", identical=False),
    ]
