from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.evidence import Bounds
from bench.analysis.futility import (
    LastLook,
    chance_of_runs,
    chance_over_both,
    chance_over_images,
    chance_over_seeds,
    predictive_power,
)
from bench.analysis.stats import Sample
from bench.analysis.two_sources import Over, two_sources

from .simulated import DEFAULT, Table

LAST = LastLook(20, 0.0131, 0.04)


def test_levels_of_the_last_look() -> None:
    found = LastLook.of(DEFAULT, 0.05)
    assert found.n_seeds == 20
    assert found.beyond == pytest.approx(float(DEFAULT.level(8, 0.05)) / 2)
    assert found.within == pytest.approx(float(DEFAULT.level(8, 0.1)) / 2)


@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_by_simulation(margin: float) -> None:
    rng, n, last = np.random.default_rng(1), 6, LAST.n_seeds
    x = rng.normal(0.5, 1, n)
    mean, sd = x.mean(), x.std(ddof=1)
    # mean and variance from their posterior under a flat prior, then the seeds to come
    scale = sd * np.sqrt((n - 1) / rng.chisquare(n - 1, 200_000))
    truth = mean + scale / math.sqrt(n) * rng.normal(size=200_000)
    to_come = truth + scale / math.sqrt(last - n) * rng.normal(size=200_000)
    at_last = (n * mean + (last - n) * to_come) / last
    error = sd / math.sqrt(last)
    beyond, within = (stats.t.isf(tail, last - 1) * error for tail in (LAST.beyond, LAST.within))
    claimed = (np.abs(at_last) > margin + beyond) | (np.abs(at_last) < margin - within)
    found = chance_over_seeds(Sample(mean, sd, n), Bounds(-margin, margin), LAST)
    assert found == pytest.approx(claimed.mean(), abs=0.005)


def test_nothing_to_come() -> None:
    bounds = Bounds(0.0, 0.0)
    assert predictive_power(0.5, 0.0, 4, bounds, 0.3, 0.3) == 1.0
    assert predictive_power(0.2, 0.0, 4, bounds, 0.3, 0.3) == 0.0


def test_seeds_cannot_settle_what_images_leave_open() -> None:
    tables = Table(6, 30, 0.01, 0.1, 0.02).draw_many(1, np.random.default_rng(0))[0]
    found = two_sources(tables - tables.mean() + 0.02)
    by_seed = (tables - tables.mean() + 0.02).mean(axis=1)
    sample = Sample(float(by_seed.mean()), float(by_seed.std(ddof=1)), 6)
    assert chance_over_seeds(sample, Bounds(0, 0), LAST) > 0.9
    assert chance_over_both(found, Bounds(0, 0), LAST) < 0.01


def test_without_images_both_are_alike() -> None:
    tables = Table(6, 5000, 0.05, 0.0, 0.01).draw_many(1, np.random.default_rng(2))[0]
    tables += 0.02 - tables.mean()
    by_seed = tables.mean(axis=1)
    sample = Sample(float(by_seed.mean()), float(by_seed.std(ddof=1)), 6)
    over_seeds = chance_over_seeds(sample, Bounds(0, 0), LAST)
    assert 0.05 < over_seeds < 0.95
    assert chance_over_both(two_sources(tables), Bounds(0, 0), LAST) == pytest.approx(
        over_seeds, abs=0.02
    )


@pytest.mark.parametrize(
    ("runs", "last", "chance"),
    [
        ([1.0] * 4, 5, 4.5 / 5),  # the fifth of five must be beyond, too: P = (4 + ½)/(4 + 1)
        ([1.0] * 5, 5, 1.0),
        ([1.0] * 4 + [-1.0], 5, 0.0),
        ([-1.0] * 4, 5, 4.5 / 5),  # under the number is a claim as well
        ([0.0] * 5, 6, 0.0),  # equal to it counts for neither side
    ],
)
def test_chance_of_runs_against_a_number(runs: list[float], last: int, chance: float) -> None:
    found = chance_of_runs(runs, Bounds(0.0, 0.0), LastLook(last, 0.025, 0.05))
    assert found == pytest.approx(chance, abs=1e-9)


def test_chance_of_runs_within_margins() -> None:
    inside, outside = ([value] * 4 for value in (0.0, 2.0))
    last = LastLook(5, 0.01, 0.05)
    assert chance_of_runs(inside, Bounds(-1.0, 1.0), last) == pytest.approx(0.9)
    # beyond the margins is a two-sided claim: five runs never have P ≤ 0.01
    assert chance_of_runs(outside, Bounds(-1.0, 1.0), last) == 0.0


@pytest.mark.parametrize("mean", [0.01, 0.2])
def test_over_images_the_last_look_itself_is_certain(mean: float) -> None:
    rng = np.random.default_rng(0)
    found = two_sources(mean + rng.normal(0, 0.2, (1, 60)) + rng.normal(0, 0.05, (6, 60)))
    last = LastLook(6, 0.025, 0.05)
    significant = found.p_above(0.0, Over.IMAGES) <= 0.025
    assert chance_over_images(found, Bounds(0.0, 0.0), last) == float(significant)


def test_over_images_more_seeds_hardly_help() -> None:
    rng = np.random.default_rng(1)
    found = two_sources(0.01 + rng.normal(0, 0.2, (1, 60)) + rng.normal(0, 0.01, (5, 60)))
    assert chance_over_images(found, Bounds(0.0, 0.0), LastLook(20, 0.013, 0.026)) < 0.1
