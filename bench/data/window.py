"""Which stored values become 0 and 1: images of any depth as one range of numbers.

Images of 8 bits rest as they are. Deeper ones rest as uint16, and a window says which of their
values become black (0) and white (255, before `data.normalize`); in between it is linear, and what
lies outside is cut off. The window is a property of the training split: every split, `evaluate` and
`predict` use the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.errors import DataError

Kind = Literal["uint8", "uint16", "int16", "int32", "float32"]
"""How a file stores a value; 1 to 8 bits are `uint8`, 9 to 16 bits `uint16` (or `int16`)."""
Origin = Literal["full", "auto", "percentiles", "given"]
Setting = Literal["auto", "full", "percentiles"] | tuple[float, float]

FULL: Mapping[Kind, tuple[int, int]] = {
    "uint8": (0, 255),
    "uint16": (0, 65_535),
    "int16": (-32_768, 32_767),
}
"""The values that a kind can have. The others have no range worth the name."""
DEPTH = 65_535
PERCENTILES = (0.1, 99.9)
"""Of the pixels of the training images; robust against dead and saturated pixels."""
_SAMPLE = 64  # images that percentiles are taken of: evenly spaced, 50 MB at 256 pixels
_STRETCHED = 0.25
"""Where the percentiles span less of the window than this, a few pixels darken all others."""


@dataclass(frozen=True)
class Window:
    """The values that become 0 and 1.

    Attributes:
        low, high: in the files' own values.
        kind: how the files store a value.
        origin: where the window is from.
        zero, step: the file's value is `zero + step · array value`.
    """

    low: float = 0
    high: float = 255
    kind: Kind = "uint8"
    origin: Origin = "auto"
    zero: float = 0
    step: float = 1

    @property
    def limits(self) -> tuple[float, float]:
        """`low` and `high` as values of the arrays."""
        return (self.low - self.zero) / self.step, (self.high - self.zero) / self.step

    @property
    def is_plain(self) -> bool:
        """Whether the arrays are 0–255 as they are."""
        return self.limits == (0, 255)

    def levels(self, images: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Arrays of any shape as float32 0–255."""
        low, high = self.limits
        scale = np.float32(255 / (high - low))
        found = (images.astype(np.float32) - np.float32(low)) * scale
        return np.clip(found, 0, 255, out=found)

    def picture(self, images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Arrays of any shape as 8 bits, to be looked at."""
        if self.is_plain and images.dtype == np.uint8:
            return np.asarray(images, np.uint8)
        return (self.levels(images) + np.float32(0.5)).astype(np.uint8)

    def shown(self, images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Images (…, C) as red, green and blue, (…, 3): of other channels the first three, or one
        as grey."""
        channels = images.shape[-1]
        chosen = [0, 1, 2] if channels >= 3 else [0, 0, 0]
        return self.picture(images if channels == 3 else images[..., chosen])

    def record(self) -> dict[str, Any]:
        """As JSON values, for `from_record`."""
        return asdict(self)


EIGHT_BITS = Window()


def from_record(record: Any) -> Window:
    """What `Window.record` gave; anything else (an older record has none) is 8 bits' window."""
    try:
        return Window(**record)
    except TypeError:
        return EIGHT_BITS


def encode(values: npt.NDArray[Any], kind: Kind, window: Window) -> npt.NDArray[Any]:
    """Float64 values of a file (…), at any resolution, as the arrays of a data set store them."""
    dtype, most = (np.uint8, 255) if kind == "uint8" else (np.uint16, DEPTH)
    stored = (values - window.zero) / window.step
    # The excess rounds what is halfway up, whatever the processor's last digits are.
    return np.clip(np.floor(stored + 0.500001), 0, most).astype(dtype)


def coding(kind: Kind, setting: Setting, *, mixed: bool = False) -> Window:
    """How files of this kind are stored; its limits are the full range or the window given.

    Raises:
        ValueError: the kind has no range, and none is given.
    """
    given = setting if isinstance(setting, tuple) else None
    if mixed:
        least, most = FULL[kind]
        return Window(least, most, kind, "full", least, (most - least) / DEPTH)
    if kind in FULL:
        low, high = given or map(float, FULL[kind])
        return Window(low, high, kind, "given" if given else "full", zero=FULL[kind][0])
    if given is None:
        raise ValueError(f"{kind} pixels have no fixed range")
    return Window(*given, kind, "given", given[0], (given[1] - given[0]) / DEPTH)


def derive(
    setting: Setting, stored: Window, ranges: Iterable[tuple[float, float]], images: Any
) -> Window:
    """The window of a data set.

    Args:
        setting: `data.window`.
        stored: how its arrays store values; see `coding`.
        ranges: the least and the greatest value of each training file.
        images: (N, H, W, 3) the training images.

    Raises:
        DataError: the window is empty.
    """
    kind, zero, step = stored.kind, stored.zero, stored.step
    if isinstance(setting, tuple) or setting == "full" or kind not in FULL:
        return stored
    if setting == "percentiles":
        low, high = (zero + step * limit for limit in percentile_limits(images))
    elif kind == "uint8":
        return stored if stored.origin != "full" else EIGHT_BITS
    else:
        pairs = list(ranges)
        low, high = min(pair[0] for pair in pairs), max(pair[1] for pair in pairs)
    if high <= low:
        raise DataError(
            f"data.window: every training pixel is {low:g}: check the images, or set data.window "
            "to [low, high]"
        )
    return Window(low, high, kind, setting, zero, step)


def percentile_limits(images: npt.NDArray[Any]) -> tuple[float, float]:
    """The array values that `PERCENTILES` of the pixels lie below."""
    chosen = np.unique(np.linspace(0, len(images) - 1, _SAMPLE).astype(int))
    counts = np.zeros(DEPTH + 1, np.int64)
    for index in chosen:
        counts += np.bincount(np.asarray(images[index]).ravel(), minlength=DEPTH + 1)
    below = np.cumsum(counts) / counts.sum() * 100
    low, high = (int(np.searchsorted(below, share)) for share in PERCENTILES)
    return low, high


def notes(window: Window, images: npt.NDArray[Any]) -> tuple[str, ...]:
    """What a reader should know of the window: nothing where 8 bits are used as they are."""
    if window.kind == "uint8" and window.is_plain:
        return ()
    where = {
        "full": "the whole range of their type",
        "auto": "the range of the training split",
        "percentiles": f"{PERCENTILES[0]:g}% to {PERCENTILES[1]:g}% of the training pixels",
        "given": "data.window",
    }[window.origin]
    found: tuple[str, ...] = (
        f"images of {window.kind} values: {window.low:g} to {window.high:g} ({where}) become 0 to "
        "1; values beyond are cut off",
    )
    if window.origin == "auto":
        low, high = (window.zero + window.step * limit for limit in percentile_limits(images))
        if high - low < _STRETCHED * (window.high - window.low):
            found += (
                f"a few pixels stretch that range: {PERCENTILES[0]:g}% to {PERCENTILES[1]:g}% of "
                f"the training pixels are from {low:g} to {high:g}; `data.window: percentiles` "
                "uses those, and cuts off what is beyond",
            )
    return found
