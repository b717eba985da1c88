"""What a data set hands to training: arrays in memory, one set per split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bench.data.window import EIGHT_BITS, Kind, Window
from bench.errors import DataError

Array = npt.NDArray[np.uint8]
Images = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
Progress = Callable[[int, int], None]
"""Called with (images done, images in all) while a cache is built."""
_EXCHANGES_SIDES = 5  # EXIF orientations from here on


class FileFacts(NamedTuple):
    """What one image file is like, before it is resized.

    Attributes:
        width, height: as stored, in pixels, whatever EXIF says.
        mode: Pillow's name for its kind of pixels (`L`, `RGB`, `I;16`, …).
        bits: of one value.
        orientation: EXIF's 1 to 8; 1 where it says nothing.
        pages: how many images are in it.
        low, high: the least and the greatest value of the page that is read.
        kind: how a value is stored.
        remark: how it is read, where that is not plain.
    """

    width: int
    height: int
    mode: str
    bits: int
    orientation: int
    pages: int
    low: float
    high: float
    kind: Kind
    remark: str = ""

    def size(self, exif: str = "apply") -> tuple[int, int]:
        """Height and width as the file is read: turned as EXIF says, unless that is to `ignore`."""
        turned = exif == "apply" and self.orientation >= _EXCHANGES_SIDES
        return (self.width, self.height) if turned else (self.height, self.width)


@dataclass(frozen=True)
class Split:
    """One split's samples, in a fixed order.

    Attributes:
        images: (N, H, W, C) uint8, or uint16 where files have more than 8 bits; possibly
            memory-mapped (then copy-on-write: torch may wrap it). `Splits.window` says which
            values are black and white.
        masks: (N, H, W) uint8, class 0…K-1, or `IGNORE_LABEL` where not scored; None: has none.
        names: N names, unique in the data set.
        labels: (N,) int64, one label per image; where an image can have several of K labels, or
            none, (N, K) int64: 1, 0, or `MISSING_LABEL` where it is not known; None: has none.
        facts: of the N image files; empty: not read from files.
        mask_facts: of the N mask files, likewise.
        groups: N names of groups that are not split (`data.groups`); empty: there are none.

    Raises:
        DataError: the arrays are not of these types and shapes.
    """

    images: Images
    masks: Array | None
    names: tuple[str, ...]
    labels: npt.NDArray[np.int64] | None = None
    facts: tuple[FileFacts, ...] = ()
    mask_facts: tuple[FileFacts, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count, *size = self.images.shape
        depth = np.uint16 if self.images.dtype == np.uint16 else np.uint8
        _check("images", self.images, depth, (len(self.names), *size))
        if self.images.ndim != 4 or not self.images.shape[3]:
            raise DataError(f"a split's images must be (N, H, W, C), not {self.images.shape}")
        if self.masks is not None:
            _check("masks", self.masks, np.uint8, (count, *size[:2]))
        if self.labels is not None:
            several = self.labels.shape[1:] if self.labels.ndim == 2 else ()
            _check("labels", self.labels, np.int64, (count, *several))

    def __len__(self) -> int:
        return len(self.names)


class OwnSizes(Protocol):
    """The samples of a data set at their own sizes, by name, read when they are asked for."""

    def mask(self, name: str) -> Array:
        """Classes (H, W), or the ignore label, of all pixels of a mask."""
        ...

    def image(self, name: str) -> Images:
        """(1, h, w, C) as in the data set's arrays, but without bars and with nothing cut off."""
        ...


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
    window: Window = EIGHT_BITS
    """Which of the images' values become 0 and 1; 16-bit images need one of their own."""
    originals: OwnSizes | None = None
    """The samples at their own sizes; None: they have none but that of the arrays."""
    folds: tuple[Split, ...] = ()
    """Of cross-validation, for a survey: the images of every fold."""

    def __post_init__(self) -> None:
        wide = any(split.images.dtype == np.uint16 for split in self.splits.values())
        if wide and self.window == EIGHT_BITS:
            full = Window(0, 65_535, "uint16", "full")
            object.__setattr__(self, "window", full)


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
