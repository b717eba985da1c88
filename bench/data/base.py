"""What a data set hands to training: uint8 arrays in memory, one set per split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.errors import DataError

Array = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with (images done, images in all) while a cache is built."""


@dataclass(frozen=True)
class Split:
    """One split's samples, in a fixed order.

    Attributes:
        images: (N, H, W, 3) uint8, possibly memory-mapped (then copy-on-write: torch may wrap it).
        masks: (N, H, W) uint8, class 0…K-1, or `IGNORE_LABEL` where not scored; None: has none.
        names: N names, unique in the data set.
        labels: (N,) int64, one label per image; None: has none.

    Raises:
        DataError: the arrays are not of these types and shapes.
    """

    images: Array
    masks: Array | None
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count, *size = self.images.shape
        _check("images", self.images, np.uint8, (len(self.names), *size))
        _check("colours", self.images, np.uint8, (*self.images.shape[:3], 3))
        if self.masks is not None:
            _check("masks", self.masks, np.uint8, (count, *size[:2]))
        if self.labels is not None:
            _check("labels", self.labels, np.int64, (count,))

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Splits:
    """A data set, ready to train on.

    Attributes:
        splits: `train`, `val` and `test`.
        classes: names of the mask's classes, background first; empty: no masks.
        fingerprint: hash of the decoded content, the splits and the classes.
        notes: things a reader of the results should know (`a part of the data set: …`).
    """

    splits: Mapping[str, Split]
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """Names of the labels 0…K-1; empty: no labels."""


def _check(
    what: str, array: npt.NDArray[Any], kind: type[np.generic], shape: tuple[int, ...]
) -> None:
    if array.dtype != kind or array.shape != shape:
        raise DataError(
            f"a split's {what} must be {kind.__name__} of shape {shape}, not {array.dtype} of "
            f"shape {array.shape}"
        )


class DataSet(Protocol):
    """A data set; the constructor takes its settings as keywords."""

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Read from the cache, or decode, resize and fill the cache first.

        Raises:
            DataError: files are missing or unreadable; the message names them and the remedy.
        """
        ...
