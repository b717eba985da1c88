"""How much memory a trial takes, and how much there is. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MemoryKind = Literal["allocated", "resident"]
MARGIN = 1.1
"""Predictions were up to 8% low, in each of six arms: an epoch meets more than a few steps do."""


@dataclass(frozen=True)
class Footprint:
    """What one trial takes, and what there is.

    Attributes:
        peak_mb: the predicted `peak_memory_mb`; None: more than there is, or not known.
        kind: what that measures, as in `PeakMemory`; None: not known.
        free_mb: what the device has for it; None: not known.
        micro_batch: images at once, where `train.micro_batch: auto` found that fewer fit.
        parts_fit: whether the smallest parts of a batch fit; None: not known.
        problem: why nothing is known, in a line.
    """

    peak_mb: float | None
    kind: MemoryKind | None
    free_mb: float | None
    micro_batch: int | None = None
    parts_fit: bool | None = None
    problem: str | None = None

    @property
    def needed_mb(self) -> float | None:
        """The prediction with `MARGIN`: what has to be free."""
        return None if self.peak_mb is None else self.peak_mb * MARGIN

    @property
    def fits(self) -> bool | None:
        """Whether what is needed is no more than there is; None: not known."""
        if self.free_mb is None:
            return None
        return self.needed_mb is not None and self.needed_mb <= self.free_mb
