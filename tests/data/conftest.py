from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten pictures in `images/` (two endings) and their masks of 0 and 1 in `masks/`."""
    root = tmp_path / "data"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(10):
        pixels = random.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"p{i}.{'png' if i % 2 else 'jpg'}")
        mask = np.zeros((20, 30), np.uint8)
        mask[:, i:15] = 1
        Image.fromarray(mask).save(root / "masks" / f"p{i}.png")
    return root
