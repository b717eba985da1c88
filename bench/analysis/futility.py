"""Whether more seeds can still settle a hypothesis: predictive power at the last look.

The mean at the last look is predicted from that at hand with a flat prior (Spiegelhalter, Freedman
and Blackburn 1986); scatter is taken to be as found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from bench.analysis.evidence import Bounds
from bench.analysis.sample_size import Scatter, precision
from bench.analysis.sequential import Boundaries
from bench.analysis.stats import Sample
from bench.analysis.two_sources import TwoSources


@dataclass(frozen=True)
class LastLook:
    """The last look, at the level that is left to a hypothesis.

    Attributes:
        n_seeds: how many there are then.
        beyond: tail of the one-sided test of either bound in a two-sided test.
        within: tail of either one-sided test of equivalence.
    """

    n_seeds: int
    beyond: float
    within: float

    @classmethod
    def of(cls, boundaries: Boundaries, alpha: float) -> LastLook:
        """Of looks with these boundaries; a one-sided test has the two-sided one's at twice α."""
        last = len(boundaries.looks) - 1
        both, doubled = boundaries.level(last, [alpha, min(1.0, 2 * alpha)]) / 2
        return cls(boundaries.looks[-1], float(both), float(doubled))


def chance_over_seeds(sample: Sample, bounds: Bounds, last: LastLook) -> float:
    """Chance that a t-test over seeds is significant at the last look.

    The mean's variance will fall from s²/n to s²/N, which is how far it will still move.
    """
    n, std = float(np.asarray(sample.n)), float(np.asarray(sample.std))
    error = std / math.sqrt(last.n_seeds)
    beyond, within = (
        -float(special.stdtrit(last.n_seeds - 1, tail)) * error
        for tail in (last.beyond, last.within)
    )
    to_come = std * math.sqrt(max(0.0, 1 / n - 1 / last.n_seeds))
    mean = float(np.asarray(sample.mean))
    return predictive_power(mean, to_come, n - 1, bounds, beyond, within)


def chance_over_both(found: TwoSources, bounds: Bounds, last: LastLook) -> float:
    """Chance that the test over seeds and these images is significant at the last look."""
    scatter = Scatter.of(found)
    now = precision(scatter, found.n_seeds, found.n_groups)
    then = precision(scatter, last.n_seeds, found.n_groups)
    beyond, within = (
        then.critical(tail) * then.standard_error for tail in (last.beyond, last.within)
    )
    to_come = math.sqrt(max(0.0, now.standard_error**2 - then.standard_error**2))
    return predictive_power(found.mean, to_come, found.n_seeds - 1, bounds, beyond, within)


def chance_over_images(found: TwoSources, bounds: Bounds, last: LastLook) -> float:
    """Chance that the test over these images, with the seeds' trained models, is significant."""
    scatter = Scatter.of(found)
    now = precision(scatter, found.n_seeds, found.n_groups)
    then = precision(scatter, last.n_seeds, found.n_groups)
    variance = (scatter.images**2 + scatter.interaction**2 / last.n_seeds) / found.n_groups
    beyond, within = (
        -float(special.stdtrit(found.n_groups - 1, tail)) * math.sqrt(variance)
        for tail in (last.beyond, last.within)
    )
    to_come = math.sqrt(max(0.0, now.standard_error**2 - then.standard_error**2))
    return predictive_power(found.mean, to_come, found.n_seeds - 1, bounds, beyond, within)


def chance_of_runs(differences: npt.ArrayLike, bounds: Bounds, last: LastLook) -> float:
    """Chance that a sign test of runs minus a number is significant at the last look.

    The share of runs beyond a bound has Jeffreys' prior, so that how many of the runs to come are
    beyond it is beta-binomial.
    """
    runs = np.asarray(differences, dtype=float)
    tail = last.within if bounds.low == bounds.high else last.beyond
    claims = {
        "above": (runs > bounds.high, tail),
        "below": (runs < bounds.low, tail),
    }
    chance = sum(_chance_of_count(beyond, last.n_seeds, at) for beyond, at in claims.values())
    if bounds.low < bounds.high:
        sides = (runs > bounds.low, runs < bounds.high)
        chance += min(_chance_of_count(inside, last.n_seeds, last.within) for inside in sides)
    return min(1.0, chance)


def _chance_of_count(beyond: npt.NDArray[np.bool_], n_last: int, tail: float) -> float:
    """Chance that of `n_last` runs so many are beyond that P(Bin(n, ½) ≥ their number) ≤ tail."""
    n, k = len(beyond), int(beyond.sum())
    needed = int(stats.binom.isf(tail, n_last, 0.5)) + 1
    to_come = n_last - n
    if to_come <= 0:
        return float(k >= needed)
    return float(stats.betabinom.sf(needed - k - 1, to_come, k + 0.5, n - k + 0.5))


def predictive_power(
    mean: float, to_come: float, df: float, bounds: Bounds, beyond: float, within: float
) -> float:
    """Chance that the last mean lies far enough beyond the bounds, or for equivalence within.

    Args:
        mean: the mean now.
        to_come: standard error of the last mean, given the one now.
        df: of the variance over seeds.
        bounds: of the hypothesis; only where they differ may anything be claimed within.
        beyond, within: how far from a bound the last mean is significant, outside and inside.
    """

    def below(value: float) -> float:
        if to_come == 0:
            return float(mean < value)
        return float(special.stdtr(df, (value - mean) / to_come))

    chance = below(bounds.low - beyond) + 1 - below(bounds.high + beyond)
    return chance + max(0.0, below(bounds.high - within) - below(bounds.low + within))
