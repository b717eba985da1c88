"""Folders of images and masks in every way that people store them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.base import Splits
from bench.data.settings import DATASETS, FolderSettings

Pixels = np.ndarray[Any, Any]
Save = Callable[[Pixels, Path], object]
COUNT, HEIGHT, WIDTH = 12, 24, 32


def truth(i: int, classes: int = 2) -> Pixels:
    """The mask (24, 32) of sample i: class k in a rectangle of its own."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    for label in range(1, classes):
        left = 2 + (i % 3) + 7 * (label - 1)
        found[4:12, left : left + 6] = label
    return found


def picture(i: int, classes: int = 2) -> Pixels:
    """The image (24, 32, 3) of sample i: brighter where its mask is not 0."""
    noise = np.random.default_rng(i).integers(0, 40, (HEIGHT, WIDTH, 3))
    return (noise + 90 * (truth(i, classes)[..., None] > 0)).astype(np.uint8)


def plain(pixels: Pixels, path: Path) -> None:
    Image.fromarray(pixels).save(path)


def made(
    root: Path,
    *,
    image: Save = plain,
    mask: Save = plain,
    image_name: str = "p{:02d}.png",
    mask_name: str = "p{:02d}.png",
    classes: int = 2,
) -> Path:
    """Twelve pairs in `images/` and `masks/`."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for i in range(COUNT):
        image(picture(i, classes), root / "images" / image_name.format(i))
        mask(truth(i, classes), root / "masks" / mask_name.format(i))
    return root


def prepared(root: Path, **fields: Any) -> Splits:
    """As it is read at 32×32, by default."""
    settings = FolderSettings.model_validate({"root": str(root), "image_size": 32, **fields})
    found: Splits = DATASETS.build(settings).prepare()
    return found


def expected(classes: int = 2) -> Pixels:
    """The training masks (9, 32, 32) as they are to be read."""
    chosen = [i for i in range(COUNT) if i % 5]
    small = [
        Image.fromarray(truth(i, classes)).resize((32, 32), Image.Resampling.NEAREST)
        for i in chosen
    ]
    return np.stack([np.asarray(mask) for mask in small])


def is_right(splits: Splits, classes: int = 2) -> bool:
    """Whether training masks are those that were drawn, and lie on what is bright."""
    train = splits.splits["train"]
    assert train.masks is not None
    bright = splits.window.picture(train.images).mean(3) > 70
    agreement = (bright == (train.masks > 0)).mean()
    return bool(np.array_equal(train.masks, expected(classes)) and agreement > 0.97)
