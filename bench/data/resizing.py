"""Images stretched to another size, with the same bits on every machine.

torch's bilinear filter is used, which widens with the reduction (antialiased). 8 bits are worked on
in whole numbers, more bits in float64.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from bench.data.fitting import Size
from bench.data.pages import LARGE_PIXELS, STRIP_PIXELS, Values


def resized(values: Values, size: Size) -> Values:
    """(H, W, C) stretched to `size`: uint8 as such, anything else as float64."""
    height, width = values.shape[:2]
    if values.dtype == np.uint8 or height * width <= LARGE_PIXELS:
        return _stretched(values, *size)
    # float64 of the whole would take four times its memory; columns first, as torch has it
    rows = max(1, STRIP_PIXELS // width)
    strips = (values[top : top + rows] for top in range(0, height, rows))
    narrow = np.concatenate([_stretched(strip, len(strip), size[1]) for strip in strips])
    return _stretched(narrow, *size)


def _stretched(values: Values, height: int, width: int) -> Values:
    exact = values if values.dtype == np.uint8 else values.astype(np.float64)
    # a batch of one, channels last in memory: so is what comes back
    pixels = torch.from_numpy(exact)[None].permute(0, 3, 1, 2)
    small = interpolate(pixels, (height, width), mode="bilinear", antialias=True)
    found: Values = small[0].permute(1, 2, 0).numpy()
    return found
