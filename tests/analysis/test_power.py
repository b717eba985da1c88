from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.power import TTestPower

from bench.analysis import power


@pytest.mark.parametrize(
    ("difference", "n", "level"),
    [(1.0, 5, 0.05), (0.5, 34, 0.05), (2.0, 5, 0.01), (-0.8, 12, 0.05 / 7)],
)
def test_power_agrees_with_statsmodels(difference: float, n: int, level: float) -> None:
    # statsmodels also counts rejections to the wrong side, which are rare here
    expected = TTestPower().power(difference, n, level)
    assert power.power_of_difference(difference, n, level) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("difference", "level"), [(1.0, 0.05), (0.5, 0.01), (-0.2, 0.05 / 4)])
def test_seeds_agree_with_statsmodels(difference: float, level: float) -> None:
    expected = TTestPower().solve_power(difference, None, level, power.POWER)
    assert power.seeds_for_difference(difference, level) == math.ceil(expected)


@pytest.mark.parametrize(
    ("difference", "margin", "n", "level"),
    [(0.0, 1.0, 12, 0.05), (0.3, 1.0, 12, 0.05), (0.0, 2.0, 4, 0.02), (0.0, 0.7, 5, 0.05)],
)
def test_power_of_equivalence_agrees_with_simulation(
    difference: float, margin: float, n: int, level: float
) -> None:
    runs = 40_000
    drawn = np.random.default_rng(0).normal(difference, 1.0, (runs, n))
    reach = scipy.stats.t.isf(level, n - 1) * drawn.std(axis=1, ddof=1) / math.sqrt(n)
    share = (np.abs(drawn.mean(axis=1)) + reach < margin).mean()
    expected = power.power_of_equivalence(difference, margin, n, level)
    assert share == pytest.approx(expected, abs=4 * math.sqrt(0.25 / runs))


def test_equivalence_has_the_test_s_size_at_the_margin() -> None:
    # with many pairs only the nearer margin counts: its one-sided test rejects at its level
    assert power.power_of_equivalence(0.5, 0.5, 400, 0.05) == pytest.approx(0.05, abs=1e-3)


def test_seeds_for_equivalence_are_the_fewest() -> None:
    needed = power.seeds_for_equivalence(0.1, 0.6, 0.05)
    assert needed is not None
    powers = [power.power_of_equivalence(0.1, 0.6, n, 0.05) for n in (needed - 1, needed)]
    assert powers[0] < power.POWER <= powers[1]


def test_nobody_is_sent_too_far() -> None:
    assert power.seeds_for_difference(0.01, 0.05) is None
    assert power.seeds_for_difference(0.0, 0.05) is None
    assert power.seeds_for_equivalence(0.999, 1.0, 0.05) is None


def test_never_fewer_than_three() -> None:
    assert power.seeds_for_difference(100.0, 0.05) == 3
    assert power.seeds_for_equivalence(0.0, 100.0, 0.05) == 3


@pytest.mark.parametrize("n", [3, 5, 20])
def test_smallest_difference_and_margin_have_the_power(n: int) -> None:
    size, margin = power.smallest_difference(n, 0.01), power.smallest_margin(n, 0.01)
    assert power.power_of_difference(size, n, 0.01) == pytest.approx(0.8, abs=1e-4)
    assert power.power_of_equivalence(0.0, margin, n, 0.01) == pytest.approx(0.8, abs=1e-4)
