"""Arrays and TIFF files of somebody else: no code is run, no memory taken for bombs."""

from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bench.data.array_files import read_npy
from bench.data.channels import read_tiff
from bench.data.pages import Opening
from bench.data.pixels import read_pixels
from bench.errors import DataError
from tests.data.test_layouts import image, in_folder, read, table


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/bench-was-run",)


def header(file: Path, shape: tuple[int, ...], dtype: Any = np.uint8) -> Path:
    with file.open("wb") as opened:
        description = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
                       "fortran_order": False, "shape": shape}  # fmt: skip
        np.lib.format.write_array_header_1_0(opened, description)
    return file


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((10**6, 10**6), np.uint8, "more than the 100,000,000 allowed"),
        ((10**4, 10**4, 10**4), np.uint8, "more than|slice"),
        ((5,), np.uint8, "its shape is"),
        ((8, 0), np.uint8, "its shape is"),
        ((8, 8), np.complex128, "its values are complex128"),
        ((8, 8), "<U5", "its values are"),
        ((8, 8), np.uint8, "cannot be read as an array"),  # nothing after the header
    ],
)
def test_headers_that_promise_too_much(
    shape: tuple[int, ...], dtype: Any, message: str, tmp_path: Path
) -> None:
    file = header(tmp_path / "a.npy", shape, dtype)
    tracemalloc.start()
    with pytest.raises(DataError, match=message) as caught:
        read_npy(file)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    np.save(file, np.array([[Evil()]], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="its values are object"):
        read_npy(file)
    file.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="cannot be read as an array"):
        read_npy(file)
    assert not Path("/tmp/bench-was-run").exists()


def test_a_tiff_of_more_pixels_than_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    small = np.zeros((20_000, 6_000), np.uint8)
    tifffile.imwrite(file, small, compression="zlib")
    with pytest.raises(DataError, match="120,000,000 pixels are more than"):
        read_tiff(file, Opening(channels=(0,)))


@pytest.mark.parametrize("content", [b"", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"no TIFF at all"])
def test_broken_tiffs_are_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: cannot be read") as caught:
        read_tiff(file, Opening(channels=(0,)))
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize("name", ["a.npy", "a.tif"])
def test_a_fifo_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="FIFO"):
        read_pixels(tmp_path / name, Opening(channels=(0,)))


def test_a_table_leads_out_by_no_link(tmp_path: Path) -> None:
    """Neither by `..` nor by a folder that is a link."""
    root = tmp_path / "d"
    in_folder(root, "images/{i}.png", "masks/{i}.png")
    image(tmp_path / "elsewhere/secret.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    for path in ("linked/secret.png", "../elsewhere/secret.png", str(tmp_path / "elsewhere")):
        table(root, f"image,mask\n{path},masks/1.png\n")
        with pytest.raises(DataError, match="there is no file"):
            read(root, table={"file": "list.csv"})
    (root / "images/0.png").unlink()
    (root / "images/0.png").symlink_to(tmp_path / "elsewhere/secret.png")
    table(root, "image,mask\n" + "\n".join(f"images/{i}.png,masks/{i}.png" for i in range(10)))
    with pytest.raises(DataError, match="is a link to"):
        read(root, table={"file": "list.csv"})
