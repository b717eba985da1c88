"""How many seeds a question needs, and what so many seeds can answer: power of t-tests.

Differences and margins are in units of the standard deviation of the paired differences.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

POWER = 0.8
FEWEST = 3
"""Pairs below which nothing is concluded."""
MOST = 1000
"""The most seeds that are ever recommended."""

_CHANCES = (np.arange(2000) + 0.5) / 2000  # the middles of equally likely slices


def power_of_difference(difference: float, n: int, level: float) -> float:
    """Chance that a two-sided t-test of n differences rejects 0 towards the true `difference`.

    By the noncentral t-distribution; a rejection to the wrong side is no success.
    """
    bound = stats.t.isf(level / 2, n - 1)
    return float(stats.nct.sf(bound, n - 1, abs(difference) * math.sqrt(n)))


def power_of_equivalence(difference: float, margin: float, n: int, level: float) -> float:
    """Chance that two one-sided t-tests, each at `level`, both reject a true `difference`.

    Exact up to the integral over the sample's standard deviation s, whose square is distributed as
    χ²/(n − 1): both reject where the mean lies further than t·s/√n inside either margin.
    """
    spread = np.sqrt(special.chdtri(n - 1, 1 - _CHANCES) / (n - 1))
    reach = stats.t.isf(level, n - 1) * spread
    low, high = (math.sqrt(n) * (side * margin - difference) - side * reach for side in (-1, 1))
    return float(np.maximum(0.0, special.ndtr(high) - special.ndtr(low)).mean())


def seeds_for_difference(difference: float, level: float) -> int | None:
    """The fewest pairs with `POWER` to find the difference; None: more than `MOST`."""
    return _fewest(lambda n: power_of_difference(difference, n, level))


def seeds_for_equivalence(difference: float, margin: float, level: float) -> int | None:
    """The fewest pairs with `POWER` to find it within `margin`; None: more than `MOST`."""
    return _fewest(lambda n: power_of_equivalence(difference, margin, n, level))


def _fewest(power: Callable[[int], float]) -> int | None:
    counts = range(FEWEST, MOST + 1)  # power grows with the pairs
    at = bisect.bisect_left(counts, POWER, key=power)
    return counts[at] if at < len(counts) else None


def smallest_difference(n: int, level: float) -> float:
    """The true difference that n pairs find with `POWER`."""
    return _root(lambda size: power_of_difference(size, n, level))


def smallest_margin(n: int, level: float) -> float:
    """The margin within which n pairs find arms that do not differ at all, with `POWER`."""
    return _root(lambda size: power_of_equivalence(0.0, size, n, level))


def _root(power: Callable[[float], float]) -> float:
    """Where the growing `power` reaches `POWER`."""
    high = 1.0
    while power(high) < POWER:
        high *= 2
    return float(optimize.brentq(lambda size: power(size) - POWER, 0.0, high, xtol=1e-6))
