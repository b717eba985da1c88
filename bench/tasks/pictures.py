"""Sample pictures: plain numpy, (H, W, 3) uint8."""

from __future__ import annotations

import numpy as np

from bench.labels import IGNORE_LABEL
from bench.tasks.base import Picture

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


def colour(mask: Picture) -> Picture:
    """(H, W) labels → (H, W, 3) colours; more classes than colours start again after the first."""
    index = np.where(mask == 0, 0, (mask.astype(int) - 1) % (len(PALETTE) - 1) + 1)
    found = PALETTE[index]
    found[mask == IGNORE_LABEL] = IGNORED
    return found


def errors(image: Picture, truth: Picture, prediction: Picture) -> Picture:
    """On the image in dim grey: missed foreground orange, extra blue, confused classes yellow."""
    grey = image.mean(axis=2, keepdims=True) * 0.5
    found = np.broadcast_to(grey, image.shape).astype(np.uint8)
    wrong = (truth != prediction) & (truth != IGNORE_LABEL)
    found[wrong & (prediction == 0)] = MISSED
    found[wrong & (truth == 0)] = EXTRA
    found[wrong & (truth != 0) & (prediction != 0)] = CONFUSED
    return found


def overlay(image: Picture, mask: Picture, strength: float = 0.5) -> Picture:
    """The image with its foreground tinted in the class's colour."""
    tinted = image * (1 - strength) + colour(mask) * strength
    return np.where((mask > 0)[..., None], tinted, image).astype(np.uint8)


def side_by_side(image: Picture, truth: Picture, prediction: Picture) -> Picture:
    """Image, truth, prediction and error map in one row, with white gaps."""
    gap = np.full((image.shape[0], GAP, 3), 255, np.uint8)
    panels = [image, colour(truth), colour(prediction), errors(image, truth, prediction)]
    row = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(row, axis=1)
