"""What a hypothesis may claim, and the p-values of these claims from whichever test is right.

A hypothesis has bounds: one (0, or a margin on one side), or for equivalence two. Significant, it
says on which side of them the mean difference lies. Regions that exclude each other need no
correction between them (partitioning; Goeman, Solari and Stijnen 2010); the two sides of one
region, "beyond the margins", do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy.typing as npt
from scipy import special

from bench.analysis import sign_test
from bench.analysis.stats import Sample
from bench.analysis.two_sources import Over, TwoSources
from bench.spec.hypotheses import Expect


class Claim(StrEnum):
    """What a significant test says of the difference a − b."""

    ABOVE = "above"
    """Over the (upper) bound."""
    BELOW = "below"
    """Under the (lower) bound."""
    WITHIN = "within"
    """Between the bounds."""


class Bounds(NamedTuple):
    """The differences that separate the claims; equal but for equivalence."""

    low: float
    high: float

    @classmethod
    def of(cls, expect: Expect, margin: float | None) -> Bounds:
        """Of a hypothesis; `margin` is given with those that allow one."""
        m = margin or 0.0
        if expect == "equivalent":
            return cls(-m, m)
        bound = {"not_higher": m, "not_lower": -m}.get(expect, 0.0)
        return cls(bound, bound)


def is_expected(claim: Claim, expect: Expect) -> bool:
    """Whether a claim is what the hypothesis expects; if not it refutes it."""
    if expect == "equivalent":
        return claim is Claim.WITHIN
    return claim is (Claim.ABOVE if expect in ("higher", "not_lower") else Claim.BELOW)


@dataclass(frozen=True)
class Evidence:
    """One-sided p-values of what may be claimed; all NaN where there is no test.

    Attributes:
        above, below: of the difference over the upper bound, and under the lower one.
        within: for equivalence, of the difference over the lower and under the upper bound.
        two_sided: whether above and below are corrected for each other; not in a sign test of one
            bound, where either is tested at the full level.
    """

    above: float
    below: float
    within: tuple[float, float] | None = None
    two_sided: bool = True

    @property
    def p(self) -> float:
        """Of the claim that is nearest: the one test of a hypothesis."""
        if self._is_inside:
            return max(self.within or ())
        smaller = min(self.above, self.below)
        return min(2 * smaller, 1.0) if self.two_sided else smaller  # NaN first: it stays

    @property
    def claim(self) -> Claim:
        """The claim that this p is of."""
        if self._is_inside:
            return Claim.WITHIN
        return Claim.ABOVE if self.above < self.below else Claim.BELOW

    @property
    def _is_inside(self) -> bool:
        """Whether the estimate lies between the bounds."""
        return self.within is not None and max(self.within) < 0.5


UNTESTED = Evidence(math.nan, math.nan)


def of_two_sources(found: TwoSources, bounds: Bounds, over: Over) -> Evidence:
    """Of seeds, images or both."""

    def above(bound: float) -> float:
        return found.p_above(bound, over)

    def below(bound: float) -> float:
        return found.p_below(bound, over)

    within = None if bounds.low == bounds.high else (above(bounds.low), below(bounds.high))
    return Evidence(above(bounds.high), below(bounds.low), within)


def of_sample(sample: Sample, bounds: Bounds) -> Evidence:
    """By t-tests over seeds, or folds (`cross_validation.corrected_resampled`)."""
    mean = sample.mean

    def beyond(distance: float) -> float:
        return float(special.stdtr(sample.n - 1, -distance / sample.error))

    within = None
    if bounds.low != bounds.high:
        within = beyond(mean - bounds.low), beyond(bounds.high - mean)
    return Evidence(beyond(mean - bounds.high), beyond(bounds.low - mean), within)


def of_runs(differences: npt.ArrayLike, bounds: Bounds) -> Evidence:
    """By sign tests of the median of runs minus a number."""
    above, below = sign_test.p_above, sign_test.p_below
    beyond = above(differences, bounds.high), below(differences, bounds.low)
    if bounds.low == bounds.high:
        return Evidence(*beyond, two_sided=False)
    return Evidence(*beyond, (above(differences, bounds.low), below(differences, bounds.high)))


def larger(one: Evidence, other: Evidence) -> Evidence:
    """What both tests support: of runs against a number, the sign test and that over images."""
    within = None
    if one.within is not None and other.within is not None:
        within = (max(one.within[0], other.within[0]), max(one.within[1], other.within[1]))
    two_sided = one.two_sided and other.two_sided
    above, below = max(one.above, other.above), max(one.below, other.below)
    return Evidence(above, below, within, two_sided)
