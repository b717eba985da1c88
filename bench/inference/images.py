"""Images of any kind, read as a trial's own were read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.data.base import Images
from bench.data.base_settings import OwnFilesSettings
from bench.data.channels import indices_of, names_of
from bench.data.fitting import Fitting, Region
from bench.data.pages import AS_SEEN, Opening, UnreadableError
from bench.data.pixels import Pixels, read_pixels
from bench.data.resizing import resized
from bench.data.settings import FilesSettings
from bench.data.window import DEPTH, EIGHT_BITS, FULL, Kind, Window, encode
from bench.errors import DataError
from bench.tasks.base import Picture
from bench.train.trial_parts import TrialParts


class Image(NamedTuple):
    """An image to be predicted.

    Attributes:
        values: (1, h, w, C) as the trial's data set stores images, at its size.
        window: which of these values are 0 and 1.
        shown: (H, W, 3) uint8, as a viewer shows it.
        region: where the image lies in what the network sees.
    """

    values: Images
    window: Window
    shown: Picture
    region: Region

    @property
    def size(self) -> tuple[int, int]:
        """Its own height and width."""
        height, width = self.shown.shape[:2]
        return height, width


class ImageReader:
    """Reads images as the trial's own were read."""

    def __init__(self, parts: TrialParts) -> None:
        data = parts.trial.settings.data
        self._fitting: Fitting = data.fitting
        self._channels = data.channel_count
        self._opening = AS_SEEN
        if isinstance(data, FilesSettings):
            self._opening = Opening(data.exif, data.page)
        if isinstance(data, OwnFilesSettings):
            # where each channel had a file of its own, all of one file's are taken in order
            names = names_of(data.channels)
            chosen = tuple(range(len(names))) if names else indices_of(data.channels)
            self._opening = replace(self._opening, channels=chosen)
        self._sees_all = parts.sees_all  # tile by tile
        self._window = parts.window or EIGHT_BITS

    def of_values(self, values: npt.NDArray[np.uint8]) -> Image:
        """An image that is in memory, (H, W, C) uint8.

        Raises:
            DataError: it is something else, or the trial was trained on deeper images.
        """
        channels = self._channels
        is_image = values.ndim == 3 and values.shape[2] == channels and values.size
        if values.dtype != np.uint8 or not is_image:
            found = f"{values.dtype} {values.shape}"
            raise DataError(f"an image in memory has (H, W, {channels}) uint8 values, not {found}")
        if self._window.kind != "uint8":
            raise DataError(
                f"the trial was trained on {self._window.kind} values: predict from files, whose "
                "depth is known"
            )
        small = self._whole(resized(values, self._inner(values)))
        return self._image(small, self._window, self._window.shown(values))

    def read(self, path: Path) -> Image:
        """The image of a file.

        Raises:
            DataError: it cannot be read, or stores its values in a way that says nothing of those
                that the trial was trained on.
        """
        pixels = read_pixels(path, self._opening)
        window = self._window_for(pixels, path)
        if pixels.facts.kind == "uint8" and self._window.kind == "uint8":
            small = self._whole(resized(pixels.values, self._inner(pixels.values)))
            return self._image(small, window, window.shown(pixels.values))
        kind: Kind = "uint8" if self._window.kind == "uint8" else "uint16"
        values = pixels.values.astype(np.float64)
        inner = encode(resized(values, self._inner(values)), kind, window)
        small, whole = (
            np.broadcast_to(stored, (*stored.shape[:2], self._channels))
            for stored in (self._whole(inner), encode(values, kind, window))
        )
        return self._image(small, self._window, self._window.shown(whole))

    def _inner(self, values: npt.NDArray[Any]) -> tuple[int, int]:
        height, width = values.shape[:2]
        return self._fitting.inner(height, width)

    def _whole(self, inner: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """An image at the size that the network sees, with its bars; nothing is cut off."""
        return inner if self._sees_all else self._fitting.pad_or_cut(inner, 0)

    def _image(self, values: Images, window: Window, shown: Picture) -> Image:
        height, width = shown.shape[:2]
        region = Region(0, 0, *values.shape[:2])
        if self._fitting.fit == "letterbox":
            region = self._fitting.region(height, width)
        return Image(values[None], window, shown, region)

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
