"""How long a trial takes, part by part. Imports no torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

DurationSource = Literal["recorded", "measured"]


@dataclass(frozen=True)
class Duration:
    """Seconds of the parts of one trial.

    Attributes:
        start: from its process's start to the first step, with what the first steps take more
            (compiling, allocating).
        training: the steps of one epoch.
        frozen_training: the same while something is frozen; None: nothing is unfrozen later.
        validation: of one epoch.
        between: of one epoch: checkpoints, records, pictures.
        end: after the last epoch: the test split, scores, pictures.
        spread: half the range of what single measurements gave, as a part of the whole; NaN: of
            one only.
        count: how many measurements, or how many recorded trials.
        source: recorded: by finished trials; measured: by a few steps.
    """

    start: float
    training: float
    validation: float
    between: float
    end: float
    frozen_training: float | None = None
    spread: float = math.nan
    count: int = 1
    source: DurationSource = "measured"

    def seconds(self, epochs: int, unfreeze_epoch: int | None = None) -> float:
        """Of a trial of so many epochs, the first of which may have something frozen."""
        frozen = 0 if unfreeze_epoch is None else min(epochs, unfreeze_epoch - 1)
        of_frozen = self.training if self.frozen_training is None else self.frozen_training
        steps = frozen * of_frozen + (epochs - frozen) * self.training
        return self.start + steps + epochs * (self.validation + self.between) + self.end


@dataclass(frozen=True)
class UnknownDuration:
    """Why nothing is known of how long a trial takes, in a line."""

    problem: str


def mean_duration(found: Sequence[Duration], spread: float | None = None) -> Duration:
    """The mean of several, part by part.

    Args:
        found: of like trials: at least one.
        spread: of the mean; None: half the range of their epochs.
    """
    epochs = [one.training + one.validation + one.between for one in found]
    if spread is None:
        spread = half_range(epochs) if len(found) > 1 else found[0].spread
    frozen = [one.frozen_training for one in found if one.frozen_training is not None]
    return Duration(
        start=statistics.fmean(one.start for one in found),
        training=statistics.fmean(one.training for one in found),
        validation=statistics.fmean(one.validation for one in found),
        between=statistics.fmean(one.between for one in found),
        end=statistics.fmean(one.end for one in found),
        frozen_training=statistics.fmean(frozen) if frozen else None,
        spread=spread,
        count=sum(one.count for one in found),
        source=found[0].source,
    )


def half_range(values: Sequence[float]) -> float:
    """Half the range of positive values, as a part of their mean; NaN of fewer than two."""
    mean = statistics.fmean(values)
    if len(values) < 2 or mean <= 0:
        return math.nan
    return (max(values) - min(values)) / 2 / mean
