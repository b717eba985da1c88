"""What a data set hands to training: uint8 arrays in memory, one set per split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

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
        masks: (N, H, W) uint8, class 0…K-1, or `IGNORE_LABEL` where not scored.
        names: N names, unique in the data set.

    Raises:
        DataError: the arrays are not of these types and shapes.
    """

    images: Array
    masks: Array
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        for what, array, dims in (("images", self.images, 4), ("masks", self.masks, 3)):
            if array.dtype != np.uint8 or array.ndim != dims:
                raise DataError(
                    f"a split's {what} must be uint8 with {dims} dimensions, "
                    f"not {array.dtype} of shape {array.shape}"
                )
        if self.images.shape != (*self.masks.shape, 3) or len(self.images) != len(self.names):
            raise DataError(
                f"a split's images {self.images.shape}, masks {self.masks.shape} and "
                f"{len(self.names)} names do not belong together"
            )

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Splits:
    """A data set, ready to train on.

    Attributes:
        splits: `train`, `val` and `test`.
        classes: names of the mask's classes, background first.
        fingerprint: hash of the decoded content, the splits and the classes.
        notes: things a reader of the results should know (`a part of the data set: …`).
    """

    splits: Mapping[str, Split]
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()


class DataSet(Protocol):
    """A data set; the constructor takes its settings as keywords."""

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Read from the cache, or decode, resize and fill the cache first.

        Raises:
            DataError: files are missing or unreadable; the message names them and the remedy.
        """
        ...
