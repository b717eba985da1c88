"""Images of any kind, read as a trial's own were read."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bench.data.base import Images
from bench.data.decode import resized
from bench.data.pages import AS_SEEN, Opening, UnreadableError
from bench.data.pixels import Pixels, read_pixels
from bench.data.settings import FilesSettings
from bench.data.window import DEPTH, EIGHT_BITS, FULL, Kind, Window, encode
from bench.errors import DataError
from bench.tasks.base import Picture
from bench.train.trial_parts import TrialParts


class Image(NamedTuple):
    """An image to be predicted.

    Attributes:
        values: (1, size, size, 3) as the trial's data set stores images, at its size.
        window: which of these values are 0 and 1.
        shown: (H, W, 3) uint8, as a viewer shows it.
    """

    values: Images
    window: Window
    shown: Picture


class ImageReader:
    """Reads images as the trial's own were read."""

    def __init__(self, parts: TrialParts) -> None:
        data = parts.trial.settings.data
        self._size = data.image_size
        self._opening = AS_SEEN
        if isinstance(data, FilesSettings):
            self._opening = Opening(data.exif, data.page)
        self._window = parts.window or EIGHT_BITS

    def of_values(self, values: npt.NDArray[np.uint8]) -> Image:
        """An image that is in memory, (H, W, 3) uint8.

        Raises:
            DataError: it is something else, or the trial was trained on deeper images.
        """
        if values.dtype != np.uint8 or values.ndim != 3 or values.shape[2] != 3 or not values.size:
            found = f"{values.dtype} {values.shape}"
            raise DataError(f"an image in memory has (H, W, 3) uint8 values, not {found}")
        if self._window.kind != "uint8":
            raise DataError(
                f"the trial was trained on {self._window.kind} values: predict from files, whose "
                "depth is known"
            )
        return Image(resized(values, self._size)[None], self._window, values)

    def read(self, path: Path) -> Image:
        """The image of a file.

        Raises:
            DataError: it cannot be read, or stores its values in a way that says nothing of those
                that the trial was trained on.
        """
        pixels = read_pixels(path, self._opening)
        window = self._window_for(pixels, path)
        if pixels.facts.kind == "uint8" and self._window.kind == "uint8":
            return Image(resized(pixels.values, self._size)[None], window, pixels.values)
        kind: Kind = "uint8" if self._window.kind == "uint8" else "uint16"
        values = pixels.values.astype(np.float64)
        small, whole = (
            np.broadcast_to(stored, (*stored.shape[:2], 3))
            for stored in (
                encode(resized(values, self._size), kind, window),
                encode(values, kind, window),
            )
        )
        return Image(small[None], self._window, self._window.picture(whole))

    def _window_for(self, pixels: Pixels, path: Path) -> Window:
        """How the file's values become those of the trial's arrays."""
        facts, trained = pixels.facts, self._window
        if facts.kind == trained.kind or (facts.kind == "int32" and trained.kind == "uint16"):
            return trained
        if facts.kind in FULL and (trained.kind == "uint8" or trained.origin == "full"):
            # each type's whole range stands for the other's
            least, most = FULL[facts.kind]
            low, high = trained.limits if trained.kind == "uint8" else (0, DEPTH)
            scale = 255 if trained.kind == "uint8" else DEPTH
            return Window(low, high, facts.kind, "full", least, (most - least) / scale)
        raise UnreadableError(
            path,
            f"stores {facts.kind} values ({facts.low:g} to {facts.high:g}), the trial was trained "
            f"on {trained.kind} ones from {trained.low:g} to {trained.high:g}",
            "predict images of the same kind",
        )
