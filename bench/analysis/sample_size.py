"""How many seeds or images a verdict over both needs, and what so many of them can settle.

The truth is taken to be as found: the mean difference and the components of its variance. More
seeds cannot remove what the choice of images contributes, nor more images what the seeds do. So
either number may be `None`: never enough, or more than is worth recommending.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from bench.analysis import behrens_fisher
from bench.analysis.two_sources import (
    FEWEST_GROUPS,
    FEWEST_SEEDS,
    TwoSources,
    seed_share,
    total_variance,
)

POWER = 0.8
MOST_SEEDS = 1000
MOST_IMAGES = 1_000_000

_CHANCES = (np.arange(500) + 0.5) / 500  # the middles of equally likely slices


@dataclass(frozen=True)
class Scatter:
    """Standard deviations of single seeds, single images (or groups) and their interaction.

    `correction` is that of `TwoSources`.
    """

    seeds: float
    images: float
    interaction: float
    correction: float = 0.0

    @classmethod
    def of(cls, found: TwoSources) -> Scatter:
        """As estimated from two seeds or more; a component that is estimated below 0 is 0."""
        return cls(
            seeds=math.sqrt(found.n_seeds * max(0.0, found.seeds - found.interaction)),
            images=math.sqrt(found.n_groups * max(0.0, found.images - found.interaction)),
            interaction=math.sqrt(found.n_seeds * found.n_groups * found.interaction),
            correction=found.correction,
        )


@dataclass(frozen=True)
class Precision:
    """How well so many seeds and images determine the mean; `n_seeds` may be infinite.

    Attributes:
        standard_error: of the mean over new seeds and new images.
        share: λ, as in `TwoSources`.
        df: Satterthwaite's (1946) degrees of freedom of the squared standard error.
        seeds_df, images_df: of either source.
    """

    standard_error: float
    share: float
    df: float
    seeds_df: float
    images_df: float

    def critical(self, tail: float) -> float:
        """What a standardised mean exceeds with probability `tail` when there is nothing."""
        if self.share == 0:
            return -float(special.stdtrit(self.images_df, tail))
        return float(behrens_fisher.quantile(tail, self.share, self.seeds_df, self.images_df))


def precision(scatter: Scatter, n_seeds: float, n_images: float) -> Precision:
    """What to expect of `n_seeds` seeds and `n_images` images, or groups of them."""
    interaction = scatter.interaction**2 / (n_seeds * n_images)
    seeds = scatter.seeds**2 / n_seeds + interaction
    images = scatter.images**2 / n_images + interaction
    variance = float(total_variance(seeds, images, interaction, scatter.correction))
    seeds_df, images_df = n_seeds - 1, n_images - 1
    of_images = (1 + scatter.correction) * images
    df = variance**2 / (
        seeds**2 / seeds_df + of_images**2 / images_df + interaction**2 / (seeds_df * images_df)
    )
    share = float(seed_share(seeds, images, scatter.correction))
    return Precision(math.sqrt(variance), share, df, seeds_df, images_df)


def power_of_difference(difference: float, known: Precision, level: float) -> float:
    """Chance that the two-sided test over both rejects 0 towards the true `difference`.

    By the noncentral t-distribution with Satterthwaite's degrees of freedom.
    """
    noncentrality = abs(difference) / known.standard_error
    return float(stats.nct.sf(known.critical(level / 2), known.df, noncentrality))


def power_of_equivalence(difference: float, margin: float, known: Precision, level: float) -> float:
    """Chance that two one-sided tests over both, each at `level`, reject a true `difference`.

    Both reject where the mean lies further than c·s inside either margin, s² distributed as
    χ²/f with Satterthwaite's f.
    """
    spread = np.sqrt(special.chdtri(known.df, 1 - _CHANCES) / known.df)
    reach = known.critical(level) * spread
    low, high = (
        (side * margin - difference) / known.standard_error - side * reach for side in (-1, 1)
    )
    return float(np.maximum(0.0, special.ndtr(high) - special.ndtr(low)).mean())


def needs_seeds(
    found: TwoSources, level: float, value: float = 0.0, margin: float | None = None
) -> int | None:
    """The fewest seeds, on as many images as now, with `POWER` to settle what was found.

    Args:
        found: the estimate; its mean says which of the regions is to be settled.
        level: of the two-sided test of `value`; with a margin of either one-sided test.
        value: the difference that the mean is tested against.
        margin: of equivalence: whether the mean is within ±`margin`, or beyond.
    """
    power = _power_to_settle(found, level, value, margin)
    return _fewest(lambda n: power(n, found.n_groups), FEWEST_SEEDS, MOST_SEEDS)


def needs_images(
    found: TwoSources, level: float, value: float = 0.0, margin: float | None = None
) -> int | None:
    """The fewest images (or groups, where there are), with as many seeds as now; see above."""
    power = _power_to_settle(found, level, value, margin)
    return _fewest(lambda n: power(found.n_seeds, n), FEWEST_GROUPS, MOST_IMAGES)


def smallest_difference(
    scatter: Scatter, n_images: float, level: float, n_seeds: float = math.inf
) -> float:
    """The true difference that is found with `POWER`; by default with endless seeds.

    With endless seeds about 2.8·σ_i/√n at a level of 5%: the floor that images set.
    """
    known = precision(scatter, n_seeds, n_images)
    high = known.standard_error
    if high == 0:
        return 0.0
    while power_of_difference(high, known, level) < POWER:
        high *= 2
    found = optimize.brentq(
        lambda size: power_of_difference(size, known, level) - POWER, 0.0, high, xtol=1e-6 * high
    )
    return float(found)


def _power_to_settle(
    found: TwoSources, level: float, value: float, margin: float | None
) -> Callable[[float, float], float]:
    """Power by numbers of seeds and images for the region in which the mean was found."""
    scatter, mean = Scatter.of(found), found.mean

    def power(n_seeds: float, n_images: float) -> float:
        if not found.testable():
            return 0.0
        known = precision(scatter, n_seeds, n_images)
        if margin is not None and abs(mean) < margin:
            return power_of_equivalence(mean, margin, known, level)
        distance = abs(mean - value) if margin is None else abs(mean) - margin
        return power_of_difference(distance, known, level)

    return power


def _fewest(power: Callable[[int], float], low: int, high: int) -> int | None:
    if power(high) < POWER:
        return None
    counts = range(low, high + 1)  # power grows with either number
    return counts[bisect.bisect_left(counts, POWER, key=power)]
