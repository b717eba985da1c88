"""Slices of medical volumes: NIfTI files, and the files of DICOM series (`bench[medical]`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.pages import MAX_PIXELS, UnreadableError, Values
from bench.data.plain import open_plain
from bench.errors import DataError, first_line

NIFTI, DICOM = (".nii", ".nii.gz"), (".dcm",)
_MOST_VALUES = 20 * MAX_PIXELS
_REMEDY = "replace the file, or take it out of the data set"


def is_volume(file: Path) -> bool:
    """Whether a file holds several slices, by its ending."""
    return file.name.lower().endswith(NIFTI)


def is_dicom(file: Path) -> bool:
    """Whether a file is one of DICOM's, by its ending."""
    return file.name.lower().endswith(DICOM)


def count_slices(file: Path) -> int:
    """How many slices a volume has: its length along the third axis.

    Raises:
        UnreadableError: it is no volume.
    """
    return int(_checked_shape(file, _nifti(file))[2])


def read_slice(file: Path, number: int) -> Values:
    """A slice (H, W, 1) of a NIfTI volume, counted from 0 along the third axis; its first axis runs
    to the right and its second down.

    Raises:
        UnreadableError: it cannot be read, or has no such slice.
    """
    found = file.stat()
    values = _volume(file, found.st_size, found.st_mtime_ns)
    if number >= values.shape[2]:
        raise UnreadableError(file, f"has {values.shape[2]} slices, not {number + 1}", _REMEDY)
    return np.ascontiguousarray(values[:, :, number].T)[..., None]


@lru_cache(maxsize=2)  # one slice after the other is read of a volume that may be compressed
def _volume(file: Path, _size: int, _time: int) -> Values:
    image = _nifti(file)
    shape = _checked_shape(file, image)
    try:
        values: Values = np.asanyarray(image.dataobj).reshape(shape)
    except (OSError, ValueError, EOFError) as error:
        wrong = f"cannot be read as a NIfTI volume ({first_line(error)})"
        raise UnreadableError(file, wrong, _REMEDY) from error
    return values


def _checked_shape(file: Path, image: Any) -> tuple[int, ...]:
    """Of a volume that is small enough: three sides, others being one."""
    shape = (*image.shape, 1, 1)[:3]
    others = image.shape[3:]
    if any(side != 1 for side in others) or not all(image.shape):
        wrong = f"has the shape {tuple(image.shape)}"
        raise UnreadableError(file, wrong, "store one volume of three dimensions a file")
    if np.prod(shape, dtype=np.int64) > _MOST_VALUES or shape[0] * shape[1] > MAX_PIXELS:
        raise UnreadableError(file, f"of shape {shape} is too large", "store it smaller")
    return shape


def _nifti(file: Path) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise _missing("NIfTI volumes", "nibabel") from error
    try:
        with open_plain(file):  # no FIFO, which would be waited for
            pass
        return nibabel.load(file)
    except FileNotFoundError as error:
        raise UnreadableError(file, "there is no such file", _REMEDY) from error
    except Exception as error:  # a broken file raises nearly anything
        wrong = f"cannot be read as a NIfTI volume ({first_line(error)})"
        raise UnreadableError(file, wrong, _REMEDY) from error


def read_dicom(file: Path) -> Values:
    """A slice (H, W, C) of a DICOM series in its units (of CT, Hounsfield's).

    Raises:
        UnreadableError: it cannot be read, is too large, or has several frames.
    """
    try:
        import pydicom
    except ImportError as error:
        raise _missing("DICOM files", "pydicom") from error
    try:
        with open_plain(file) as content:
            data = pydicom.dcmread(content)
        rows, columns, frames = int(data.Rows), int(data.Columns), data.get("NumberOfFrames", 1)
        if rows * columns > MAX_PIXELS or int(frames or 1) != 1:
            raise ValueError(f"{frames} frames of {columns}×{rows} pixels; store one a file")
        values = np.asarray(data.pixel_array)
        slope, zero = float(data.get("RescaleSlope", 1)), float(data.get("RescaleIntercept", 0))
    except (MemoryError, DataError):
        raise
    except Exception as error:  # likewise
        wrong = f"cannot be read as DICOM ({first_line(error)})"
        raise UnreadableError(file, wrong, _REMEDY) from error
    if (slope, zero) != (1, 0):
        scaled = values * slope + zero
        whole = slope.is_integer() and zero.is_integer() and abs(scaled).max() < 2**15
        values = scaled.astype(np.int16) if whole else scaled.astype(np.float32)
    return values if values.ndim == 3 else values[..., None]


def _missing(what: str, package: str) -> DataError:
    return DataError(f"{what} need {package}, which is not installed: pip install 'bench[medical]'")
