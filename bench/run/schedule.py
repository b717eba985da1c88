"""When trials end that workers take one after the other. Pure: seconds are passed in."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


def ends(seconds: Iterable[float], workers: int, busy: Iterable[float] = ()) -> list[float]:
    """When each trial ends, in seconds from now; whoever is free takes the next.

    Args:
        seconds: how long each takes, in the order in which they are begun.
        workers: how many trials run at a time.
        busy: seconds until each of the workers that have a trial is free.
    """
    running = list(busy)
    free = [*running, *[0.0] * (workers - len(running))]
    heapq.heapify(free)
    found = []
    for each in seconds:
        end = free[0] + each
        heapq.heapreplace(free, end)
        found.append(end)
    return found


def makespan(seconds: Iterable[float], workers: int, busy: Iterable[float] = ()) -> float:
    """Seconds until the last of them has ended, and of `busy` too."""
    running = list(busy)
    return max([0.0, *running, *ends(seconds, workers, running)])
