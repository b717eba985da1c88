"""How an image of any size becomes one of the size that is trained on, and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Fit = Literal["stretch", "letterbox", "crop"]
Size = tuple[int, int]
"""Height and width, in pixels."""


def as_size(image_size: int | Size) -> Size:
    """`data.image_size`: one number is height and width."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


class Region(NamedTuple):
    """Where an image lies in what the network sees of it, in pixels of the latter."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Fitting:
    """How images are fitted.

    Attributes:
        size: what they get.
        fit: `stretch` changes their shape; `letterbox` keeps it and adds bars; `crop` keeps it and
            cuts off what is too much at both ends.
    """

    size: Size
    fit: Fit = "stretch"

    def inner(self, height: int, width: int) -> Size:
        """The size that an image is resized to before bars are added or ends are cut off."""
        if self.fit == "stretch":
            return self.size
        scales = self.size[0] / height, self.size[1] / width
        scale = min(scales) if self.fit == "letterbox" else max(scales)
        # the side that fits does so exactly, whatever rounding says
        return tuple(  # type: ignore[return-value]  # of two
            wanted if own == scale else max(1, round(side * scale))
            for wanted, own, side in zip(self.size, scales, (height, width), strict=True)
        )

    def pad_or_cut(self, values: npt.NDArray[Any], fill: int) -> npt.NDArray[Any]:
        """Values (h, w, …) of the inner size as (H, W, …) of `size`, in the middle.

        Args:
            values: as they were resized.
            fill: what bars consist of.
        """
        if values.shape[:2] == self.size:
            return values
        for axis, wanted in enumerate(self.size):
            own = values.shape[axis]
            if own > wanted:
                start = (own - wanted) // 2
                values = np.take(values, range(start, start + wanted), axis)
            elif own < wanted:
                before = (wanted - own) // 2
                widths = [(0, 0)] * values.ndim
                widths[axis] = (before, wanted - own - before)
                values = np.pad(values, widths, constant_values=fill)
        return np.ascontiguousarray(values)

    def region(self, height: int, width: int) -> Region:
        """Where an image of this size lies in what it was fitted to; `crop` sees its middle only.

        Raises:
            ValueError: with `crop`, for an image of another shape.
        """
        inner = self.inner(height, width)
        top, left = ((whole - own) // 2 for whole, own in zip(self.size, inner, strict=True))
        if min(top, left) < 0:
            raise ValueError(f"{self.fit} does not see all of an image of {width}×{height}")
        return Region(top, left, *inner)
