"""Images of more than 8 bits keep their values, from the file to the network."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from bench.data.base import Splits
from bench.data.pixels import read_pixels
from bench.data.settings import DATASETS, FolderSettings
from bench.data.window import EIGHT_BITS, Window, from_record
from bench.errors import DataError
from bench.train.batches import ApplyWindow
from tests.builders.deep_images import png16

Save = Callable[[Path, np.ndarray], object]


def tiff(**options: Any) -> Save:
    return lambda path, values: tifffile.imwrite(path, values, **options)


def pillow(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path)


def lzw(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path, compression="tiff_lzw")


RGB: dict[str, Any] = {"photometric": "rgb"}
WAYS: dict[str, tuple[str, str, tuple[int, ...], Save]] = {
    "grey PNG": ("png", "uint16", (), pillow),
    "grey TIFF": ("tif", "uint16", (), pillow),
    "grey TIFF, LZW": ("tif", "uint16", (), lzw),
    "grey TIFF, big-endian": ("tif", "uint16", (), tiff(byteorder=">")),
    "grey TIFF, deflated": ("tif", "uint16", (), tiff(compression="zlib")),
    "grey TIFF, tiled": ("tif", "uint16", (), tiff(tile=(16, 16))),
    "signed TIFF": ("tif", "int16", (), tiff()),
    "signed TIFF, big-endian": ("tif", "int16", (), tiff(byteorder=">")),
    "colour PNG": ("png", "uint16", (3,), png16),
    "colour PNG, filtered": ("png", "uint16", (3,), lambda p, v: png16(p, v, 1)),
    "colour PNG with alpha": ("png", "uint16", (4,), png16),
    "grey PNG with alpha": ("png", "uint16", (2,), png16),
    "colour TIFF": ("tif", "uint16", (3,), tiff(**RGB)),
    "colour TIFF, big-endian": ("tif", "uint16", (3,), tiff(byteorder=">", **RGB)),
    "colour TIFF, deflated": ("tif", "uint16", (3,), tiff(compression="zlib", **RGB)),
    "colour TIFF, deflated, big-endian": (
        "tif", "uint16", (3,), tiff(compression="zlib", byteorder=">", **RGB),
    ),
    "colour TIFF with alpha": ("tif", "uint16", (4,), tiff(extrasamples=["unassalpha"], **RGB)),
    "float TIFF": ("tif", "float32", (), tiff()),
    "32-bit TIFF": ("tif", "int32", (), tiff()),
    "unsigned 32-bit TIFF": ("tif", "uint32", (), tiff()),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_value_is_read_as_it_was_written(way: str, tmp_path: Path):
    ending, dtype, channels, save = WAYS[way]
    random = np.random.default_rng(0)
    low = np.iinfo(dtype).min if dtype != "float32" else -5
    high = np.iinfo(dtype).max if dtype != "float32" else 5
    values = random.uniform(low, high, (20, 30, *channels)).astype(dtype)
    values[0, 0], values[0, 1] = low, high
    save(tmp_path / f"a.{ending}", values)
    found, facts = read_pixels(tmp_path / f"a.{ending}")
    colours = values[..., :3] if channels in ((3,), (4,)) else values.reshape(20, 30, -1)[..., :1]
    assert np.array_equal(found, colours)
    assert facts.bits == 8 * np.dtype(dtype).itemsize
    assert facts.kind == {"uint32": "int32"}.get(dtype, dtype)
    assert (facts.low, facts.high) == (colours.min(), colours.max())


@pytest.mark.parametrize(("bits", "top"), [(1, 255), (2, 255), (4, 255), (8, 255)])
def test_up_to_eight_bits_are_read_as_8(bits: int, top: int, tmp_path: Path):
    image = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1" if bits == 1 else "L")
    image.save(tmp_path / "a.png")
    found, facts = read_pixels(tmp_path / "a.png")
    assert found.dtype == np.uint8
    assert (facts.kind, facts.high) == ("uint8", top)


def test_twelve_bits_packed_in_tiff_are_read(tmp_path: Path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 6
    packed = bytearray()
    for row in values:
        for a, b in row.reshape(-1, 2).tolist():
            packed += bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
    offset = 8 + 2 + 8 * 12 + 4
    tags = [(256, 30), (257, 20), (258, 12), (259, 1), (262, 1), (273, offset), (278, 20)]
    tags.append((279, len(packed)))
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
    )
    content = b"II*\0\x08\0\0\0" + directory + bytes(4) + bytes(packed)
    (tmp_path / "b.tif").write_bytes(content)
    found, facts = read_pixels(tmp_path / "b.tif")
    assert np.array_equal(found[..., 0], values)
    assert (facts.bits, facts.kind) == (12, "uint16")


@pytest.mark.parametrize(
    ("name", "save", "message"),
    [
        ("a.tif", tiff(planarconfig="separate", photometric="rgb"), "plane by plane.*contig"),
        ("a.tif", tiff(photometric="separated", planarconfig="contig"), "CMYK of 16 bits"),
    ],
)
def test_wide_colours_that_would_lose_bits_are_refused(
    name: str, save: Save, message: str, tmp_path: Path
):
    channels = 4 if "CMYK" in message else 3
    values = np.zeros((20, 30, channels), np.uint16)
    save(tmp_path / name, values.transpose(2, 0, 1) if channels == 3 else values)
    with pytest.raises(DataError, match=message):
        read_pixels(tmp_path / name)


def test_planes_of_eight_bits_are_read(tmp_path: Path):
    values = np.random.default_rng(0).integers(0, 256, (3, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, planarconfig="separate", photometric="rgb")
    assert np.array_equal(read_pixels(tmp_path / "a.tif").values, values.transpose(1, 2, 0))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_where_zero_is_white_it_is_shown_white(dtype: str, tmp_path: Path):
    top = np.iinfo(dtype).max
    values = np.array([[0, top, 5]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    assert read_pixels(tmp_path / "a.tif").values[0, :, 0].tolist() == [top, 0, top - 5]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((20, 30, 3), np.float32), "TIFF of a kind that is not read"),
        (np.zeros((20, 30), np.float64), "TIFF of a kind that is not read"),
        (np.zeros((20, 30), np.float16), "TIFF of a kind that is not read"),
        (np.zeros((20, 30, 5), np.uint8), "TIFF of a kind that is not read"),
        (np.full((20, 30), -3, np.int8), "8 bits with a sign"),
    ],
)
def test_other_tiffs_are_refused(values: np.ndarray, message: str, tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", values, planarconfig="contig" if values.ndim > 2 else None)
    with pytest.raises(DataError, match=message):
        read_pixels(tmp_path / "a.tif")


def test_wide_ppm_is_refused(tmp_path: Path):
    (tmp_path / "a.ppm").write_bytes(b"P6 2 1 4095\n" + bytes(12))
    with pytest.raises(DataError, match="PPM with more than 8 bits a colour; store"):
        read_pixels(tmp_path / "a.ppm")


def test_wide_pgm_is_read(tmp_path: Path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 65535\n" + bytes([1, 2, 3, 4]))
    assert read_pixels(tmp_path / "a.pgm").values[0, :, 0].tolist() == [0x0102, 0x0304]


# Whole data sets


def folder(root: Path, image: Callable[[int], np.ndarray], ending: str = "png") -> Path:
    """Twelve images of 24×24 with masks."""
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for i in range(12):
        values = image(i)
        if ending == "png" and values.dtype == np.uint16 and values.ndim == 3:
            png16(root / f"images/p{i:02d}.png", values)
        elif ending == "tif":
            tifffile.imwrite(root / f"images/p{i:02d}.tif", values)
        else:
            Image.fromarray(values).save(root / f"images/p{i:02d}.{ending}")
        mask = np.zeros((24, 24), np.uint8)
        mask[5:12, 5 + i % 3 :] = 1
        Image.fromarray(mask).save(root / f"masks/p{i:02d}.png")
    return root


def prepared(root: Path, **fields: Any) -> Splits:
    settings = FolderSettings.model_validate({"root": str(root), "image_size": 16, **fields})
    found: Splits = DATASETS.build(settings).prepare()
    return found


def twelve_bits(i: int) -> np.ndarray:
    values = np.random.default_rng(i).integers(0, 4096, (24, 24), np.uint16)
    values[:2, :2] = 0, 4095
    return values


def shown(splits: Splits, split: str = "train") -> np.ndarray:
    """What the network would get before normalisation, 0–255."""
    images = splits.splits[split].images
    stored = torch.from_numpy(np.array(images).view(np.int16 if images.itemsize == 2 else np.uint8))
    return ApplyWindow(splits.window)(stored).float().numpy()


def test_twelve_bits_in_sixteen_are_not_squeezed(tmp_path: Path):
    found = prepared(folder(tmp_path, twelve_bits))
    assert found.splits["train"].images.dtype == np.uint16
    assert (found.window.low, found.window.high, found.window.origin) == (0, 4095, "auto")
    assert len(np.unique(found.splits["train"].images)) > 800
    assert shown(found).max() > 190
    assert "0 to 4095 (the range of the training split) become 0 to 1" in found.notes[0]


def test_sixteen_bits_train_like_eight_bits_of_the_same_picture(tmp_path: Path):
    def eight(i: int) -> np.ndarray:
        values = np.random.default_rng(i).integers(0, 256, (24, 24, 3), np.uint8)
        values[0, 0], values[0, 1] = 0, 255
        return values

    narrow = prepared(folder(tmp_path / "8", eight))
    wide = prepared(folder(tmp_path / "16", lambda i: eight(i).astype(np.uint16) * 257))
    assert narrow.window == EIGHT_BITS
    assert (
        np.abs(shown(narrow) - shown(wide)).max() <= 1.01
    )  # 8 bits are rounded, down the rows and along them


def test_signed_values_have_their_own_zero(tmp_path: Path):
    def hounsfield(i: int) -> np.ndarray:
        return np.random.default_rng(i).integers(-1000, 2001, (24, 24)).astype(np.int16)

    found = prepared(folder(tmp_path, hounsfield, "tif"), window=[-160, 240])
    assert (found.window.low, found.window.high) == (-160, 240)
    values = found.splits["train"].images.astype(int) - 32768
    expected = ((values + 160) / 400 * 255).clip(0, 255)
    assert np.allclose(shown(found), expected, atol=1e-3)


@pytest.mark.parametrize(
    ("window", "low", "high"),
    [("auto", 0, 4095), ("full", 0, 65535), ([100, 2000], 100, 2000)],
)
def test_windows(window: Any, low: float, high: float, tmp_path: Path):
    found = prepared(folder(tmp_path, twelve_bits), window=window)
    assert (found.window.low, found.window.high) == (low, high)
    values = found.splits["val"].images.astype(float)
    expected = ((values - low) / (high - low) * 255).clip(0, 255)
    assert np.allclose(shown(found, "val"), expected, atol=1e-3)


def test_the_window_is_the_training_splits(tmp_path: Path):
    def brighter_outside_training(i: int) -> np.ndarray:
        return twelve_bits(i) * (8 if i in (0, 5, 10) else 1)

    found = prepared(folder(tmp_path, brighter_outside_training))
    assert found.window.high == 4095
    assert shown(found, "val").max() == 255


def with_a_dead_pixel(root: Path) -> Path:
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(12):
        values = np.random.default_rng(i).integers(100, 1100, (64, 64), np.uint16)
        if i == 1:
            values[3, 3] = 65535
        Image.fromarray(values).save(root / f"images/p{i:02d}.png")
        Image.fromarray(np.eye(64, dtype=np.uint8)).save(root / f"masks/p{i:02d}.png")
    return root


def test_a_dead_pixel_is_told_and_the_remedy_works(tmp_path: Path):
    found = prepared(with_a_dead_pixel(tmp_path), image_size=64)
    assert found.window.high == 65535
    (note,) = (note for note in found.notes if "a few pixels stretch that range" in note)
    assert "`data.window: percentiles`" in note
    found = prepared(tmp_path, window="percentiles", image_size=64)
    assert 100 <= found.window.low <= 110
    assert 1090 <= found.window.high <= 1100


def test_the_window_is_part_of_the_fingerprint(tmp_path: Path):
    root = folder(tmp_path, twelve_bits)
    prints = {prepared(root, window=w).fingerprint for w in ("auto", "full", [0, 100])}
    assert len(prints) == 3


def test_eight_bits_may_have_a_window(tmp_path: Path):
    root = folder(tmp_path, lambda i: (twelve_bits(i) % 50).astype(np.uint8))
    plain, full, dark = (prepared(root, **f) for f in ({}, {"window": "full"}, {"window": [0, 49]}))
    assert plain.fingerprint == full.fingerprint
    assert plain.notes == ()
    assert dark.fingerprint != plain.fingerprint
    assert dark.splits["train"].images.dtype == np.uint8
    assert shown(dark).max() > 4 * shown(plain).max()


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_values_without_a_range_are_refused_and_the_remedy_works(dtype: str, tmp_path: Path):
    def picture(i: int) -> np.ndarray:
        return np.random.default_rng(i).uniform(-70_000, 70_000, (24, 24)).astype(dtype)

    root = folder(tmp_path, picture, "tif")
    message = rf"p\d\d\.tif: {dtype} pixels have no fixed range .*`data\.window: \[low, high\]`"
    with pytest.raises(DataError, match=message):
        prepared(root)
    found = prepared(root, window=[-70_000, 70_000])
    assert found.window.kind == dtype
    assert 100 < shown(found).mean() < 150


def test_undefined_pixels_are_refused(tmp_path: Path):
    def broken(i: int) -> np.ndarray:
        return np.full((24, 24), np.nan, np.float32)

    with pytest.raises(DataError, match="has infinite or undefined pixels"):
        prepared(folder(tmp_path, broken, "tif"), window=[0, 1])


def test_mixed_depths_are_refused_and_the_remedy_works(tmp_path: Path):
    def mixed(i: int) -> np.ndarray:
        values = np.random.default_rng(i).integers(0, 256, (24, 24), np.uint8)
        return values.astype(np.uint16) * 257 if i % 2 else values

    root = folder(tmp_path, mixed)
    with pytest.raises(DataError, match=r"some store .* others .*`data\.window: full`"):
        prepared(root)
    found = prepared(root, window="full")
    again = prepared(root, window="full")
    assert found.fingerprint == again.fingerprint
    means = shown(found).mean((1, 2, 3))
    assert means.std() < 10  # both halves are as bright
    alike = prepared(folder(tmp_path / "8", lambda i: np.uint8(mixed(i) / (257 if i % 2 else 1))))
    assert np.abs(shown(found) - shown(alike)).max() <= 1.01


def test_an_empty_window_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"every training pixel is 7: .*data\.window"):
        prepared(folder(tmp_path, lambda i: np.full((24, 24), 7, np.uint16)))


@pytest.mark.parametrize("window", [[5, 5], [9, 2], "own", [1], 3])
def test_impossible_windows_are_refused_by_the_spec(window: Any):
    with pytest.raises(ValueError, match="window"):
        FolderSettings.model_validate({"root": ".", "window": window})


def test_a_window_survives_its_record():
    window = Window(-5.5, 100, "int16", "percentiles", -32768, 1)
    assert from_record(window.record()) == window
    assert from_record(None) == EIGHT_BITS
    assert from_record({"another": 1}) == EIGHT_BITS


def test_rounding_does_not_depend_on_the_last_digit():
    from bench.data.window import coding, encode

    half = np.array([0.5 - 1e-10, 0.5, 0.5 + 1e-10, 1.5 - 1e-10])
    assert encode(half, "uint16", coding("uint16", "full")).tolist() == [1, 1, 1, 2]
