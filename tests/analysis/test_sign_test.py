from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.sign_test import (
    median_interval,
    p_above,
    p_below,
    p_outside,
    p_within,
    runs_needed,
)

FIVE = [0.06, 0.07, 0.11, 0.3, 0.9]


def test_five_of_five() -> None:
    assert p_above(FIVE, 0.05) == 1 / 32  # settles one hypothesis, not two: over 0.025
    assert p_below(FIVE, 0.05) == 1.0
    assert p_below(FIVE, 1.0) == 1 / 32


@pytest.mark.parametrize(("k", "n", "expected"), [(7, 8, 9 / 256), (9, 10, 11 / 1024)])
def test_most_of_them(k: int, n: int, expected: float) -> None:
    values = [1.0] * k + [-1.0] * (n - k)
    assert p_above(values, 0.0) == pytest.approx(expected)
    assert p_above(values, 0.0) == pytest.approx(
        stats.binomtest(k, n, alternative="greater").pvalue
    )


def test_four_runs_are_too_few() -> None:
    assert math.isnan(p_above(FIVE[:4], 0.0))
    assert math.isnan(p_outside(FIVE[:4], 0.0, 0.01))
    assert math.isnan(p_within(FIVE[:4], 0.0, 1.0))


def test_run_equal_to_the_number_counts_for_neither_side() -> None:
    values = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert p_above(values, 0.0) == pytest.approx(7 / 64)  # 5 of 6, not 5 of 5
    assert p_below(values, 0.0) == 1.0


def test_missing_runs_are_refused() -> None:
    with pytest.raises(ValueError, match="leave them out"):
        p_above([*FIVE, math.nan], 0.0)


def test_equivalence_to_a_number() -> None:
    values = [0.49, 0.5, 0.5, 0.51, 0.52]
    assert p_within(values, 0.5, 0.05) == 1 / 32
    assert p_within(values, 0.5, 0.015) == pytest.approx(6 / 32)
    assert p_outside(values, 0.5, 0.05) == 1.0
    assert p_outside([v + 1 for v in values], 0.5, 0.05) == pytest.approx(2 / 32)


def test_runs_needed() -> None:
    assert [runs_needed(1.0, level) for level in (0.1, 0.05, 0.025, 1 / 64, 0.005)] == [
        5,
        5,
        6,
        6,
        8,
    ]
    assert runs_needed(0.5, 0.05) is None
    n = runs_needed(0.8, 0.05)
    assert n is not None
    values = np.random.default_rng(0).random((4000, n)) < 0.8
    found = [p_above(row.astype(float), 0.5) <= 0.05 for row in values]
    assert 0.78 < np.mean(found) < 0.9


def test_interval_of_the_median() -> None:
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0]) == (1.0, 6.0)  # 1 − 2/64
    assert math.isnan(median_interval(FIVE)[0])  # 1 − 2/32 is less than 95%
    values = np.random.default_rng(1).lognormal(0, 1, 25)
    low, high = median_interval(values)
    inside = stats.quantile_test(values, q=np.nextafter(low, 9), p=0.5).pvalue
    outside = stats.quantile_test(values, q=np.nextafter(low, -9), p=0.5).pvalue
    assert outside <= 0.05 < inside
    assert low < np.median(values) < high


@pytest.mark.parametrize("runs", [5, 8, 10])
def test_errors_where_runs_are_skewed(runs: int) -> None:
    values = np.random.default_rng(runs).lognormal(0, 1, (20_000, runs))
    above = (values > 1).sum(axis=1)  # the median is 1
    p = np.array([p_above([1.0] * k + [-1.0] * (runs - k), 0.0) for k in range(runs + 1)])
    for count in (above, runs - above):
        assert (p[count] <= 0.05).mean() <= 0.045
    t_test = stats.ttest_1samp(values, math.exp(0.5), axis=1, alternative="less").pvalue
    assert (t_test <= 0.05).mean() > 0.08  # of the mean: guards the simulation
