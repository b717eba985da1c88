"""Files of a data set that are no files, and images that are large."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import pixels
from bench.data.masks import read_mask
from bench.data.names import text_of
from bench.data.pixels import UnreadableError, read_pixels
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
    monkeypatch.setattr(pixels, "LARGE_PIXELS", 20 * 23)
    inside: set[str] = set()
    most, small = [], threading.Event()

    def read(page: pixels.Page) -> int:
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
    found = in_threads(lambda file: pixels.opened(file, pixels.AS_SEEN, read), files, threads=8)
    assert sorted(found) == list(range(20, 28))
    assert most == [1, 1, 1, 1]


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
