"""Claims against a number: about the typical run, the median, by the sign test.

At three to ten seeds no test of a mean holds its level where figures are skewed; the sign test does
whatever their distribution. Each side is tested at the full level, since "over the number" and "not
over it" exclude each other: only one of them can be claimed wrongly (partitioning; Goeman, Solari
and Stijnen 2010).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import special, stats

FEWEST_RUNS = 5
"""Below five runs nothing is significant at 5%: 4 of 4 has p = 0.0625."""

MOST_RUNS = 1000


def p_above(values: npt.ArrayLike, number: float) -> float:
    """One-sided p that the median is over `number`: P(Bin(n, ½) ≥ k), k of n runs being over it.

    A run equal to the number counts for neither side, but still among the n: dropping it would
    test another quantile than the median. NaN below `FEWEST_RUNS`; values may not be missing.
    """
    runs = np.asarray(values, dtype=float)
    if np.isnan(runs).any():
        raise ValueError("runs without a figure cannot be counted; leave them out")
    if len(runs) < FEWEST_RUNS:
        return math.nan
    return _at_least(int((runs > number).sum()), len(runs))


def p_below(values: npt.ArrayLike, number: float) -> float:
    """One-sided p that the median is under `number`."""
    return p_above(-np.asarray(values, dtype=float), -number)


def p_within(values: npt.ArrayLike, number: float, margin: float) -> float:
    """p that the median is within ±`margin` of the number: both margins' sign tests reject."""
    return max(p_above(values, number - margin), p_below(values, number + margin))


def p_outside(values: npt.ArrayLike, number: float, margin: float) -> float:
    """p that the median is beyond the margin on either side: twice the smaller one-sided p.

    Doubled, since a median at one margin may be claimed to be beyond the other, too.
    """
    smaller = min(p_above(values, number + margin), p_below(values, number - margin))
    return min(2 * smaller, 1.0)  # NaN first: it stays


def runs_needed(share: float, level: float, power: float = 0.8) -> int | None:
    """The fewest runs that find, with this power, that a `share` of all runs is beyond the number.

    With a share of 1 the fewest that can be significant at all. None: more than a thousand.
    """
    n = np.arange(FEWEST_RUNS, MOST_RUNS + 1)
    fewest_beyond = stats.binom.isf(level, n, 0.5) + 1
    enough = np.atleast_1d(stats.binom.sf(fewest_beyond - 1, n, share) >= power)
    return int(n[enough.argmax()]) if enough.any() else None


def median_interval(values: npt.ArrayLike, level: float = 0.05) -> tuple[float, float]:
    """Interval of confidence at least 1 − `level` for the median; NaN below six runs at 5%.

    The k-th smallest and k-th largest value, k the largest with 2·P(Bin(n, ½) < k) ≤ `level`: the
    numbers that no two-sided sign test rejects.
    """
    runs = np.sort(np.asarray(values, dtype=float))
    n = len(runs)
    k = sum(2 * (1 - _at_least(count, n)) <= level for count in range(1, n + 1))
    return (float(runs[k - 1]), float(runs[n - k])) if k else (math.nan, math.nan)


def _at_least(k: int, n: int) -> float:
    return float(special.bdtrc(k - 1, n, 0.5)) if k > 0 else 1.0
