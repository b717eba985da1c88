"""The colours of sample pictures, and how their panels stand: known to who draws and who reads."""

from __future__ import annotations

import numpy as np

# Okabe and Ito's colours, which colour-blind readers can tell apart; black is the background.
PALETTE = np.array(
    [
        (0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
        (0, 114, 178), (213, 94, 0), (204, 121, 167), (153, 153, 153),
    ],
    np.uint8,
)  # fmt: skip
IGNORED = np.array((90, 90, 90), np.uint8)
MISSED = np.array((213, 94, 0), np.uint8)
EXTRA = np.array((86, 180, 233), np.uint8)
CONFUSED = np.array((240, 228, 66), np.uint8)
GAP = 2
"""White pixels between image, truth, prediction and errors."""
