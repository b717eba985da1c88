"""How long trials take by an epoch, and how much time is left. Pure: times are passed in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SMOOTHING = 0.3
"""Weight of the last epoch in the mean over epochs: about the last six count."""


@dataclass
class TrialPace:
    """How fast one trial gets on; `started` and `begun` (the current epoch) are seconds of a clock.

    Until an epoch is done, its steps tell; from then on whole epochs do, with their validation and
    checkpoints, so that the time left does not jump where steps pause.
    """

    epochs: int
    started: float
    begun: float = 0.0
    done: int = 0
    part: float = 0.0
    """Of the current epoch, by its steps."""
    _first_part: float | None = None
    _seconds: float | None = None

    def __post_init__(self) -> None:
        self.begun = self.started

    @property
    def progress(self) -> float:
        """Epochs, with the part of the current one."""
        return min(self.done + self.part, float(self.epochs))

    def tick(self, now: float, epoch: int, part: float) -> None:
        """So much of an epoch is done."""
        if self._first_part is None:  # before it the worker was starting
            self.begun, self._first_part = now, part
        self.done, self.part = epoch - 1, part

    def epoch_done(self, now: float, epoch: int, measured: float | None = None) -> None:
        """An epoch is recorded; `measured` are its own seconds, for the first one without ticks."""
        seconds = now - self.begun
        if self._seconds is None:
            first = self._first_part
            whole = seconds / (1 - first) if first is not None and first < 1 else None
            self._seconds = whole or measured or seconds
        else:
            self._seconds += SMOOTHING * (seconds - self._seconds)
        self.begun, self.done, self.part = now, epoch, 0.0
        self._first_part = 0.0

    def seconds_per_epoch(self, now: float) -> float | None:
        """As far as is known."""
        if self._seconds is not None or self._first_part is None:
            return self._seconds
        part = self.part - self._first_part
        return (now - self.begun) / part if part > 0 else None

    def left(self, now: float) -> float | None:
        """Seconds until its last epoch is done; None: not known yet."""
        seconds = self.seconds_per_epoch(now)
        if seconds is None:
            return None
        if self._seconds is None:
            return seconds * (self.epochs - self.progress)
        whole = max(0, self.epochs - self.done)
        return max(whole * seconds - (now - self.begun), (whole - 1) * seconds, 0.0)


def time_left(
    running: Sequence[TrialPace],
    ended: Iterable[float],
    pending: Iterable[float],
    workers: int,
    now: float,
) -> float | None:
    """Seconds until all trials are done; None while nothing is known.

    Args:
        running: the trials that run.
        ended: seconds per epoch of trials that have ended.
        pending: epochs of the trials that have not begun, in their order.
        workers: how many trials run at a time.
        now: as the trials' clock says.
    """
    known = [pace for trial in running if (pace := trial.seconds_per_epoch(now)) is not None]
    known += ended
    if not known:
        return None
    mean = sum(known) / len(known)
    lefts = [
        mean * (trial.epochs - trial.progress) if (left := trial.left(now)) is None else left
        for trial in running
    ]
    free = [*lefts, *[0.0] * (workers - len(lefts))]  # when each worker is, in seconds from now
    heapq.heapify(free)
    for epochs in pending:
        heapq.heapreplace(free, free[0] + epochs * mean)
    return max(free)
