"""All channels of an image file, for networks that see more (or fewer) than red, green and blue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.data.array_files import is_array, read_array
from bench.data.pages import (
    MAX_PIXELS,
    Opening,
    Page,
    UnreadableError,
    Values,
    opened,
    turn_for_large,
)
from bench.data.plain import open_plain
from bench.errors import DataError, first_line

MOST_CHANNELS = 64
_TIFF_ENDINGS = (".tif", ".tiff")
_REMEDY = "replace the file, or take it out of the data set"


def count_channels(file: Path) -> int:
    """How many channels the file has.

    Raises:
        UnreadableError: it cannot be read.
    """
    if is_array(file):
        return int(read_array(file).shape[2])
    if file.suffix.lower() in _TIFF_ENDINGS:
        return int(_tiff(file, None, only_shape=True)[2])
    return opened(file, Opening(page=1), lambda page: len(_bands(page)))


def _bands(page: Page) -> tuple[str, ...]:
    return page.image.getbands() if page.image.mode != "P" else ("R", "G", "B")


def read_tiff(file: Path, opening: Opening) -> Values:
    """All channels (H, W, C) of a TIFF: samples of a pixel, planes, or pages of one shape.

    Raises:
        UnreadableError: it cannot be read, is too large, or has other dimensions.
    """
    found: Values = _tiff(file, opening.page, only_shape=False)
    return found


def is_tiff(file: Path) -> bool:
    """Whether a file is a TIFF, by its ending."""
    return file.suffix.lower() in _TIFF_ENDINGS


def _tiff(file: Path, page: int | None, *, only_shape: bool) -> Any:
    import tifffile

    try:
        with open_plain(file) as content, tifffile.TiffFile(content, name=file.name) as tiff:
            series = tiff.series[0] if page is None else tiff.pages[page - 1]
            axes, shape = str(series.axes), tuple(series.shape)
            order = _order(axes, shape)
            height, width, channels = (shape[i] if i is not None else 1 for i in order)
            if height * width > MAX_PIXELS:
                raise ValueError(
                    f"{height * width:,} pixels are more than the {MAX_PIXELS:,} allowed"
                )
            if only_shape:
                return height, width, channels
            with turn_for_large(height * width * channels // 3):
                values = np.asarray(series.asarray())
    except (MemoryError, DataError):
        raise
    except Exception as error:  # a broken file raises nearly anything
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UnreadableError(file, f"cannot be read as a TIFF ({reason})", _REMEDY) from error
    kept = [i for i in order if i is not None]
    values = values.transpose([*kept, *(i for i in range(values.ndim) if i not in kept)])
    values = values.reshape(height, width, channels)
    return np.ascontiguousarray(values)


def _order(axes: str, shape: tuple[int, ...]) -> tuple[int, int, int | None]:
    """Which of a TIFF's dimensions are rows, columns and channels.

    Raises:
        ValueError: there are more of more than one entry.
    """
    rows, columns = axes.index("Y"), axes.index("X")
    others = [i for i in range(len(axes)) if i not in (rows, columns) and shape[i] > 1]
    if len(others) > 1 or (others and shape[others[0]] > MOST_CHANNELS):
        raise ValueError(f"it has the dimensions {shape} ({axes}); choose one with `data.page`")
    return rows, columns, others[0] if others else None


def indices_of(channels: tuple[int | str, ...] | None) -> tuple[int, ...] | None:
    """`data.channels` as indices in one file; None: red, green and blue, or a file for each."""
    if channels is None:
        return None
    indices = tuple(channel for channel in channels if isinstance(channel, int))
    return indices or (0,)  # of a file for each channel the only one


def count_of(channels: tuple[int | str, ...] | None) -> int:
    """How many channels the network gets."""
    return 3 if channels is None else len(channels)


def names_of(channels: tuple[int | str, ...] | None) -> tuple[str, ...]:
    """`data.channels` as names; empty: they are indices."""
    return tuple(channel for channel in channels or () if isinstance(channel, str))


def chosen_channels(values: Values, opening: Opening, file: Path) -> Values:
    """The channels (H, W, C) that `data.channels` names of all that a file has.

    Raises:
        UnreadableError: the file has fewer.
    """
    if opening.channels is None:
        return values
    count = values.shape[2]
    if max(opening.channels) >= count:
        raise UnreadableError(
            file,
            f"has {count} channels, data.channels asks for {max(opening.channels)}",
            f"they are counted from 0: choose of 0 to {count - 1}",
        )
    return np.ascontiguousarray(values[..., list(opening.channels)])
