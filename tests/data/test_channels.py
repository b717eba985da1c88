"""More channels than three, more bits than eight, sides that differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from bench.data.fitting import Fitting
from bench.data.settings import FolderSettings
from bench.errors import DataError
from bench.labels import IGNORE_LABEL
from tests.data.test_layouts import SIZE, mask, read


def bands(i: int, count: int, dtype: Any = np.uint16) -> np.ndarray[Any, Any]:
    """(H, W, count); band k of image i has the value 100 k + i."""
    values = np.zeros((SIZE, SIZE, count), dtype)
    values[:] = 100 * np.arange(count) + i
    return values


def save(file: Path, values: np.ndarray[Any, Any], form: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    planes = np.ascontiguousarray(np.moveaxis(values, 2, 0))
    if form == "pixels":
        tifffile.imwrite(file, values, photometric="minisblack", planarconfig="contig")
    elif form == "planes":
        tifffile.imwrite(file, planes, photometric="minisblack", planarconfig="separate")
    elif form == "pages":
        tifffile.imwrite(file, planes, photometric="minisblack")
    elif form == "deflate":
        tifffile.imwrite(
            file, values, photometric="minisblack", planarconfig="contig", compression="zlib"
        )
    else:
        np.save(file.with_suffix(".npy"), values if form == "npy" else planes)


def five_bands(root: Path, form: str, dtype: Any = np.uint16, count: int = 5) -> Path:
    for i in range(10):
        save(root / f"images/{i}.tif", bands(i, count, dtype), form)
        mask(root / f"masks/{i}.png", i)
    return root


@pytest.mark.parametrize("form", ["pixels", "planes", "pages", "deflate", "npy", "npy planes"])
def test_channels_by_index(form: str, tmp_path: Path) -> None:
    root = five_bands(tmp_path, form)
    found = read(root, channels=[4, 0], normalize="unit", window="full")
    split = found.splits["train"]
    assert (split.images.shape[1:], split.images.dtype) == ((SIZE, SIZE, 2), np.uint16)
    for name, pixels in zip(split.names, split.images, strict=True):
        assert pixels[0, 0].tolist() == [400 + int(name), int(name)]


def test_which_channels_has_to_be_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"say in `data\.channels` which channels"):
        read(five_bands(tmp_path, "pixels"))
    with pytest.raises(DataError, match=r"has 5 channels: say .*\[0, 1, 2, 3, 4\]"):
        read(five_bands(tmp_path / "a", "npy"))
    with pytest.raises(DataError, match=r"has 5 channels, data\.channels asks for 5: .* 0 to 4"):
        read(tmp_path, channels=[0, 5], normalize="unit")


def test_one_channel_of_a_photo(tmp_path: Path) -> None:
    for i in range(10):
        values = np.zeros((SIZE, SIZE, 3), np.uint8)
        values[..., 1] = i
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / f"images/{i}.png")
        mask(tmp_path / f"masks/{i}.png", i)
    split = read(tmp_path, channels=[1], normalize="unit").splits["train"]
    assert split.images.shape[3] == 1
    assert [int(image[0, 0, 0]) for image in split.images] == list(map(int, split.names))


def test_a_file_for_each_channel(tmp_path: Path) -> None:
    """Satellites' bands and microscopes' stains: by name."""
    for i in range(10):
        for k, name in enumerate(("B02", "B03", "B08", "B11")):
            file = tmp_path / f"scenes/{i}/T_{name}.tif"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((SIZE, SIZE), 1000 * k + i, np.uint16)).save(file)
        mask(tmp_path / f"labels/{i}.png", i)
    settings: Any = {
        "images": "scenes/{scene}/T_{channel}.tif",
        "masks": "labels/{scene}.png",
        "normalize": "unit",
    }
    split = read(tmp_path, channels=["B08", "B02"], window="full", **settings).splits["train"]
    assert split.images.shape[3] == 2
    for name, pixels in zip(split.names, split.images, strict=True):
        assert pixels[0, 0].tolist() == [2000 + int(name), int(name)]
    with pytest.raises(DataError, match=r"no file of the channel 'B8A' \(did you mean"):
        read(tmp_path, channels=["B02", "B8A"], **settings)


def test_what_channels_cannot_be() -> None:
    with pytest.raises(ValueError, match="imagenet is of red, green and blue, not of 5"):
        FolderSettings(root="x", channels=range(5))
    with pytest.raises(ValueError, match="all numbers or all names"):
        FolderSettings(root="x", channels=[1, "red"], normalize="unit")
    with pytest.raises(ValueError, match="names need"):
        FolderSettings(root="x", channels=["red", "nir"], normalize="unit")


def test_twelve_bits(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / "images").mkdir(exist_ok=True)
        levels = np.linspace(0, 4095, SIZE * SIZE).reshape(SIZE, SIZE).astype(np.uint16)
        Image.fromarray(levels).save(tmp_path / f"images/{i}.png")
        mask(tmp_path / f"masks/{i}.png", i)
    found = read(tmp_path, channels=[0], normalize="unit")
    assert found.splits["train"].images.shape[3] == 1
    assert (found.window.low, found.window.high) == (0, 4095)


# sizes


def test_sides_that_differ(tmp_path: Path) -> None:
    for i in range(10):
        file = tmp_path / f"images/{i}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 32), (i, i, i)).save(file)
        mask(tmp_path / f"masks/{i}.png", 1)
    (tmp_path / "masks").mkdir(exist_ok=True)
    for i in range(10):
        values = np.zeros((32, 64), np.uint8)
        values[:, 32:] = 1
        Image.fromarray(values).save(tmp_path / f"masks/{i}.png")

    def split(**settings: Any) -> Any:
        return read_sized(tmp_path, **settings).splits["train"]

    wide = split(image_size=[16, 32])
    assert wide.images.shape[1:] == (16, 32, 3)
    assert np.array_equal(wide.masks[0, 0], [0] * 16 + [1] * 16)
    boxed = split(image_size=[16, 16], fit="letterbox")
    assert boxed.masks[0, :, 0].tolist() == [IGNORE_LABEL] * 4 + [0] * 8 + [IGNORE_LABEL] * 4
    assert boxed.images[0, :, 0, 0].tolist() == [0] * 4 + [int(boxed.names[0])] * 8 + [0] * 4
    cut = split(image_size=16, fit="crop")
    assert np.array_equal(cut.masks[0, 0], [0] * 8 + [1] * 8)
    assert len({split(image_size=16).images.tobytes(), boxed.images.tobytes()}) == 2


def read_sized(root: Path, **settings: Any) -> Any:
    from bench.data.settings import DATASETS

    return DATASETS.build(FolderSettings(root=str(root), **settings)).prepare()


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (7, 100), (333, 500), (16, 16)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox", "crop"])
def test_what_is_fitted_has_the_size_and_comes_back(shape: tuple[int, int], fit: Any) -> None:
    fitting = Fitting((16, 24), fit)
    inner = fitting.inner(*shape)
    placed = fitting.pad_or_cut(np.ones((*inner, 2), np.uint8), 7)
    assert placed.shape == (16, 24, 2)
    assert (7 in placed) == (fit == "letterbox" and inner != (16, 24))
    if fit == "crop" and inner != (16, 24):
        with pytest.raises(ValueError, match="does not see all"):
            fitting.region(*shape)
        return
    top, left, height, width = fitting.region(*shape)
    is_bar = placed == 7
    assert not is_bar[top : top + height, left : left + width].any()
    assert is_bar.sum() == 2 * (16 * 24 - height * width)
