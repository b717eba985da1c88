"""Counts over the arrays of a split, an image at a time: memory stays that of a few images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.data.base import Images
from bench.data.window import EIGHT_BITS, Window
from bench.labels import IGNORE_LABEL

Ints = npt.NDArray[np.int64]
_FEW_CLASSES = 12
"""Comparing with each of so many is faster than a histogram of 256 values."""
_SAMPLED_ROWS = 32
"""Greyness is tried on about as many rows and columns first: a colour image shows it there."""
_HISTOGRAM_VALUES = 4_000_000
"""Percentiles are taken from about so many values, evenly spread: more change no digit shown."""


@dataclass(frozen=True)
class PixelValues:
    """What values the images of a split have, at the size that is trained on, in files' own units.

    Attributes:
        bits: of a value of the array, 8 or 16.
        low, high: the least and the greatest value.
        dark, bright: the 0.1% and the 99.9% percentile, which single odd pixels do not move.
        blank: images whose pixels are all alike.
        grey: images whose channels are all alike, blank ones among them.
    """

    bits: int
    low: float
    high: float
    dark: float
    bright: float
    blank: int
    grey: int


def pixel_values(images: Images, window: Window = EIGHT_BITS) -> PixelValues | None:
    """The values of images (N, H, W, C); None where there are none.

    `window` says what a value of the array is in a file.
    """
    if not images.size:
        return None
    lows = np.array([image.min() for image in images])
    highs = np.array([image.max() for image in images])
    dark, bright = _percentiles(images, (0.001, 0.999))

    def stored(value: int) -> float:
        return window.zero + window.step * value

    return PixelValues(
        bits=8 * images.dtype.itemsize,
        low=stored(int(lows.min())),
        high=stored(int(highs.max())),
        dark=stored(dark),
        bright=stored(bright),
        blank=int((lows == highs).sum()),
        grey=sum(map(_is_grey, images)),
    )


def pixels_by_class(masks: npt.NDArray[np.uint8], classes: int) -> Ints:
    """How many pixels of masks (N, H, W) are of each class: (N, classes + 2).

    The last but one column counts pixels that are ignored, the last one those of no class at all.
    """
    found = np.zeros((len(masks), classes + 2), np.int64)
    values = [*range(classes), IGNORE_LABEL]
    for row, mask in zip(found, masks, strict=True):
        if classes <= _FEW_CLASSES:
            row[:-1] = [np.count_nonzero(mask == value) for value in values]
        else:
            row[:-1] = np.bincount(mask.ravel(), minlength=IGNORE_LABEL + 1)[values]
        row[-1] = mask.size - row.sum()
    return found


def _percentiles(images: Images, wanted: tuple[float, float]) -> tuple[int, int]:
    step = round((images.size / _HISTOGRAM_VALUES) ** 0.5)
    step = max(1, min(step, *images.shape[1:3]))
    counts = np.zeros(256**images.dtype.itemsize, np.int64)
    for image in images:
        values = image[step // 2 :: step, step // 2 :: step]
        counts += np.bincount(values.ravel(), minlength=len(counts))
    shares = np.cumsum(counts) / counts.sum()
    low, high = (int(np.searchsorted(shares, share)) for share in wanted)
    return low, high


def _is_grey(image: Images) -> bool:
    step = max(1, len(image) // _SAMPLED_ROWS)
    return _channels_agree(image[::step, ::step]) and _channels_agree(image)


def _channels_agree(image: Images) -> bool:
    return all(np.array_equal(image[..., 0], image[..., c]) for c in range(1, image.shape[-1]))
