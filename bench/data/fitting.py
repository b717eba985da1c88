"""How an image of any size becomes one of the size that is trained on, and back again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.labels import IGNORE_LABEL

Fit = Literal["stretch", "letterbox", "crop"]
Size = tuple[int, int]
"""Height and width, in pixels."""


def as_size(image_size: int | Size) -> Size:
    """`data.image_size`: one number is height and width."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


class Canvas(NamedTuple):
    """Where an image lies in what the network saw of it, at the image's own scale.

    Attributes:
        size: of all that the network saw.
        top, left: where the image begins in it.
    """

    size: Size
    top: int
    left: int

    def cut_out(self, values: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
        """The image's part (H, W), of this size, of classes (h, w) of all that the network saw.

        What it has not seen of the image is `IGNORE_LABEL`.
        """
        if self.top < 0 or self.left < 0:
            found = np.full(size, IGNORE_LABEL, values.dtype)
            top, left = max(0, -self.top), max(0, -self.left)
            part = values[max(0, self.top) :, max(0, self.left) :][: size[0], : size[1]]
            found[top : top + part.shape[0], left : left + part.shape[1]] = part
            return found
        return values[self.top : self.top + size[0], self.left : self.left + size[1]]


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

    def canvas(self, height: int, width: int) -> Canvas:
        """Where an image lies in what a network saw of it; `crop` sees less than all of it."""
        inner = self.inner(height, width)
        scales = height / inner[0], width / inner[1]
        size = tuple(round(side * scale) for side, scale in zip(self.size, scales, strict=True))
        if self.fit == "letterbox":  # never smaller than the image that is cut out of it
            size = max(size[0], height), max(size[1], width)
        top, left = ((whole - own) // 2 for whole, own in zip(size, (height, width), strict=True))
        return Canvas((size[0], size[1]), top, left)
