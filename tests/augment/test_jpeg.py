"""JPEG compression against Pillow's, which writes and reads a file."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from bench.augment.jpeg import Jpeg
from tests.augment.conformance import seeded


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth waves with an edge and some noise, as photographs have them."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    phases = np.arange(channels)
    waves = 128 + 90 * np.sin(x[..., None] / 17 + phases) * np.cos(y[..., None] / 11 - phases)
    waves[height // 3 :, width // 2 :] -= 50
    return (waves + rng.normal(0, 4, waves.shape)).clip(0, 255).astype(np.uint8)


def ours(image: np.ndarray, quality: float) -> np.ndarray:
    jpeg = Jpeg(1, (quality, quality))
    planes = torch.from_numpy(image).view(*image.shape[:2], -1).permute(2, 0, 1)[None].float()
    found = jpeg.adjust(planes, jpeg.draw(1, (1, 1), seeded()))[0].permute(1, 2, 0)
    return found.reshape(image.shape).numpy()


def pillows(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(np.float32)


@pytest.mark.parametrize("quality", [5, 30, 49, 50, 75, 95, 100])
@pytest.mark.parametrize("size", [(64, 96), (61, 93)])
def test_colours_are_what_pillow_reads_back(quality: int, size: tuple[int, int]) -> None:
    image = picture(*size)
    found, expected = ours(image, quality), pillows(image, quality)
    lost = np.abs(image - expected).mean()
    away = np.abs(found - expected).mean()
    assert away < 1, "libjpeg rounds its cosines and colours to integers"
    assert away < max(0.4 * lost, 0.8)


@pytest.mark.parametrize("quality", [10, 60, 90])
def test_one_channel_is_compressed_as_grey_images_are(quality: int) -> None:
    image = picture(40, 61, 1)[..., 0]
    assert np.abs(ours(image, quality) - pillows(image, quality)).mean() < 0.4


def test_lower_quality_loses_more_and_flat_images_nothing() -> None:
    image = picture(64, 64)
    lost = [np.abs(ours(image, quality) - image).mean() for quality in (90, 50, 10, 1)]
    assert lost == sorted(lost)
    flat = np.full((16, 16, 3), 128, np.uint8)
    assert np.array_equal(ours(flat, 50), flat)


def test_qualities_are_whole_and_within_the_range() -> None:
    scales = Jpeg(1, (48, 52)).draw(400, (1, 1), seeded()).flatten().tolist()
    assert set(scales) == {104.0, 102.0, 100.0, 98.0, 96.0}
