"""What a data set hands to training: uint8 arrays in memory, one set per split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Called with (images done, images in all) while a cache is built."""


@dataclass(frozen=True)
class Split:
    """One split's samples, in a fixed order.

    Attributes:
        images: (N, H, W, 3) uint8, possibly memory-mapped.
        masks: (N, H, W) uint8, class 0…K-1, or `IGNORE_LABEL` where not scored.
        names: N names, unique in the data set.
    """

    images: Array
    masks: Array
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Splits:
    """A data set, ready to train on.

    Attributes:
        splits: `train`, `val` and `test`.
        classes: names of the mask's classes, background first.
        fingerprint: hash of the decoded content, the splits and the settings.
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
