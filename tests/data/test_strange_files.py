"""Files of a data set that are no files, and images that are large."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench.data import decode, pages, pixels, resizing
from bench.data.masks import Labels, read_mask
from bench.data.names import text_of
from bench.data.pages import UnreadableError
from bench.data.pixels import read_pixels
from bench.data.threads import in_threads
from bench.errors import DataError


def socket_at(path: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


STRANGE: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a socket": socket_at,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_plain_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "7.png"
    STRANGE[kind](path)
    begun = time.monotonic()
    for read in (read_pixels, read_mask):
        with pytest.raises(
            UnreadableError, match=r"7\.png: cannot be read as an image \("
        ) as error:
            read(path)
        if kind != "a folder":
            assert "not a plain file" in str(error.value)
    with pytest.raises(DataError, match=r"7\.png: cannot be read \(.*\): say it"):
        text_of(path, "say it")
    assert time.monotonic() - begun < 10


def test_large_images_are_decoded_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight threads, and never two large images in memory; small ones do not wait for them."""
    for i in range(8):
        Image.fromarray(np.zeros((20, 20 + i, 3), np.uint8)).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(pages, "LARGE_PIXELS", 20 * 23)
    inside: set[str] = set()
    most, small = [], threading.Event()

    def read(page: pages.Page) -> int:
        width = page.image.width
        if width <= 23:
            small.set()
            return width
        inside.add(str(width))
        most.append(len(inside))
        assert small.wait(10)
        time.sleep(0.02)
        inside.discard(str(width))
        return width

    files = [tmp_path / f"{i}.png" for i in (7, 6, 5, 4, 3, 2, 1, 0)]
    found = in_threads(lambda file: pages.opened(file, pages.AS_SEEN, read), files, threads=8)
    assert sorted(found) == list(range(20, 28))
    assert most == [1, 1, 1, 1]


def test_a_large_image_is_made_smaller_before_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels are in memory until then, and so is its mask."""
    monkeypatch.setattr(pages, "LARGE_PIXELS", 100)
    seen: list[str] = []

    def watch(module: object, name: str) -> None:
        real = getattr(module, name)

        def call(*arguments: Any) -> Any:
            seen.append(threading.current_thread().name)
            time.sleep(0.01)  # the others would come in between
            return real(*arguments)

        monkeypatch.setattr(module, name, call)

    watch(pixels, "_pixels")  # the image is decoded
    watch(decode, "shrink_mask")  # the last step
    pairs = []
    for i in range(8):
        image, mask = tmp_path / f"{i}.png", tmp_path / f"{i}_mask.png"
        Image.fromarray(np.full((20, 20, 3), i, np.uint8)).save(image)
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(mask)
        pairs.append(decode.Pair(str(i), image, mask))
    reading, labels = decode.Reading(tmp_path, (8, 8)), Labels({0: 0}, "")
    found = list(in_threads(lambda p: decode.decode_pair(p, reading, labels), pairs, threads=8))
    assert [int(sample.arrays[0][0, 0, 0]) for sample in found] == list(range(8))
    assert len(seen) == 16
    assert seen[::2] == seen[1::2]
    with pages.one_sample():  # nobody holds it any more
        assert decode.decode_pair(pairs[0], reading, labels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "L", "P", "1", "I;16", "F", "LA"])
def test_strips_of_a_large_image_are_the_whole(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 256, (37, 23, 3), np.uint8)
    colours = Image.fromarray(values)
    image = (
        Image.fromarray(values[..., 0].astype(np.uint16) * 200)
        if mode == "I;16"
        else colours.convert(mode)
    )
    expected = np.array(image)
    as_colours = np.array(image.convert("RGB")) if mode != "I;16" else None
    monkeypatch.setattr(pixels, "LARGE_PIXELS", 0)
    monkeypatch.setattr(pixels, "STRIP_PIXELS", 100)
    found = pixels.array_of(image)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    if as_colours is not None:
        assert np.array_equal(pixels.array_of(image, "RGB"), as_colours)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "int64"])
@pytest.mark.parametrize("shape", [(90, 41, 1), (33, 101, 3), (7, 300, 1)])
@pytest.mark.parametrize("size", [8, 33, 64])
def test_a_large_image_is_stretched_to_the_same_bits(
    dtype: str, shape: tuple[int, ...], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = (np.random.default_rng(0).random(shape) * 30_000).astype(dtype)
    whole = resizing.resized(values, (size, size))
    monkeypatch.setattr(resizing, "LARGE_PIXELS", 0)
    monkeypatch.setattr(resizing, "STRIP_PIXELS", 500)
    assert np.array_equal(resizing.resized(values, (size, size)), whole)


def test_a_mask_in_colours_that_cannot_be_grey_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mask.tif"
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(path)

    def load(_image: Image.Image) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr("PIL.TiffImagePlugin.TiffImageFile.load", load)
    with pytest.raises(UnreadableError):
        read_mask(path)
