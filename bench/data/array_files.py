"""Arrays as images and masks: NumPy's (.npy), and slices of medical volumes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from bench.data.endings import ARRAY_ENDINGS
from bench.data.pages import MAX_PIXELS, UnreadableError, Values, one_line
from bench.data.plain import open_plain
from bench.data.volumes import is_dicom, is_volume, read_dicom, read_slice
from bench.errors import DataError, first_line

_MOST_CHANNELS = 64
_REMEDY = "save one image a file, by np.save of an array (H, W) or (H, W, C) of numbers"


def is_array(file: Path) -> bool:
    """Whether a file holds an array rather than an image, by its ending."""
    return file.name.lower().endswith(ARRAY_ENDINGS)


def read_array(file: Path, page: int | None = None) -> Values:
    """The values (H, W, C) of an array; of a volume the slice `page`, counted from 1.

    Raises:
        UnreadableError: it cannot be read, or is none of numbers.
    """
    if is_volume(file):
        return of_known_type(read_slice(file, (page or 1) - 1))
    if is_dicom(file):
        return of_known_type(read_dicom(file))
    return read_npy(file)


def read_npy(file: Path) -> Values:
    """The values (H, W, C), C being 1 for (H, W); channels may come first in the file.

    uint8 (booleans too), uint16, int16, int64 for other whole numbers, float32 for others.

    Raises:
        UnreadableError: it is no array of NumPy's, of numbers, of two or three dimensions.
    """
    try:
        with open_plain(file) as opened:
            version = np.lib.format.read_magic(opened)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(opened)
            _check(shape, dtype)  # before memory is taken for it
            opened.seek(0)
            values = np.lib.format.read_array(opened, allow_pickle=False)
    except (MemoryError, DataError):
        raise
    except Exception as error:  # NumPy raises several kinds
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UnreadableError(file, f"cannot be read as an array ({reason})", _REMEDY) from error
    if values.ndim == 2:
        values = values[..., None]
    elif values.shape[2] > _MOST_CHANNELS or values.shape[0] < values.shape[2] <= values.shape[1]:
        values = np.moveaxis(values, 0, 2)
    return np.ascontiguousarray(of_known_type(values))


def _check(shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> None:
    if len(shape) not in (2, 3) or not all(shape):
        raise ValueError(f"its shape is {shape}")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ValueError(f"its values are {dtype}")
    sides = sorted(shape)[-2:]
    if math.prod(sides) > MAX_PIXELS or math.prod(shape) > _MOST_CHANNELS * MAX_PIXELS:
        raise ValueError(f"{math.prod(sides):,} pixels are more than the {MAX_PIXELS:,} allowed")
    if len(shape) == 3 and min(shape[0], shape[2]) > _MOST_CHANNELS:
        raise ValueError(f"its shape is {shape}; one slice a file is read")


def of_known_type(values: Values) -> Values:
    """uint8, uint16 or int16 as they are; int64 for other whole numbers, float32 for others."""
    if values.dtype == bool:
        return values.astype(np.uint8)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype.itemsize == 1 and values.dtype.kind == "u":
        return values
    if values.dtype in (np.uint16, np.int16):
        return values.astype(values.dtype.newbyteorder("="))
    return values.astype(np.int64)


def one_channel(values: Values, file: Path) -> Values:
    """(H, W) of a mask's values (H, W, 1).

    Raises:
        UnreadableError: there are several channels.
    """
    if values.shape[2] != 1:
        wrong = f"{one_line(file.name)} has {values.shape[2]} channels, a mask has one"
        raise UnreadableError(file, wrong, "save the class of each pixel, an array (H, W)")
    return values[..., 0]
