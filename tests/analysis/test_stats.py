from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from bench.analysis.stats import (
    Sample,
    grouped_intervals,
    half_width,
    holm,
    mean_interval,
    outside,
    paired_differences,
    two_sided,
    within,
)


def test_interval_of_three_by_hand():
    # sd 0.1, t(0.975, 2) = 4.302653, so half the width is 4.302653 · 0.1 / √3 = 0.248414
    found = mean_interval([0.8, 0.9, 1.0])
    assert found.mean == pytest.approx(0.9)
    assert found.low == pytest.approx(0.651586, abs=1e-6)
    assert found.high == pytest.approx(1.148414, abs=1e-6)  # beyond 1: not clipped
    assert found.n == 3
    assert found.known


def test_interval_of_two_by_hand():
    # sd √2, divided by √2: half the width is t(0.975, 1) = 12.706205
    found = mean_interval([1.0, 3.0])
    assert (found.low, found.high) == pytest.approx((2 - 12.706205, 2 + 12.706205), abs=1e-5)


def test_confidence_is_used():
    # t(0.95, 1) = 6.313752
    assert mean_interval([1.0, 3.0], confidence=0.9).high == pytest.approx(8.313752, abs=1e-5)


def test_one_value_has_no_interval():
    found = mean_interval([0.5])
    assert (found.mean, found.n) == (0.5, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert not found.known


def test_missing_values_are_left_out():
    assert mean_interval([None, 1.0, math.nan, 3.0]) == mean_interval([1.0, 3.0])


def test_no_value():
    found = mean_interval([None])
    assert math.isnan(found.mean)
    assert found.n == 0


def test_equal_values_have_an_interval_of_no_width():
    assert tuple(mean_interval([0.5, 0.5, 0.5])) == (0.5, 0.5, 0.5, 3)


def test_grouped_intervals_agree_with_single_ones():
    groups = {0: [0.8, 0.9, 1.0], 1: [2.0, math.nan], 2: [1.0, 3.0]}
    values = pd.Series([v for vs in groups.values() for v in vs])
    key = pd.Series([k for k, vs in groups.items() for _ in vs])
    found = grouped_intervals(values, [key])
    for number, group in groups.items():
        row = found.loc[number, ["mean", "low", "high", "n"]].to_numpy(dtype=float)
        np.testing.assert_allclose(row, np.array(mean_interval(group)), rtol=1e-12)
    assert found.loc[0, "lowest"] == 0.8
    assert found.loc[0, "highest"] == 1.0


def test_half_width_is_missing_below_two():
    assert np.isnan(half_width([0.1, 0.1], [0, 1])).all()


def test_overlap():
    low, high = mean_interval([1.0, 1.1, 1.2]), mean_interval([2.0, 2.1, 2.2])
    assert low.disjoint(high)
    assert high.disjoint(low)
    assert not low.disjoint(mean_interval([1.1, 1.2, 1.3]))
    assert not low.disjoint(mean_interval([9.0]))  # one value has no interval
    assert not low.disjoint(mean_interval([9.0, math.inf, 9.1]))


def test_pairs_are_made_by_seed():
    a = pd.Series([1.0, 2.0, 5.0], [0, 1, 2])
    b = pd.Series([1.5, 0.5, math.nan], [1, 0, 2])
    assert paired_differences(a, b).to_dict() == {0: 0.5, 1: 0.5}


# Differences 0.1, 0.2, 0.3: mean 0.2, standard deviation 0.1, error 0.1/√3 = 0.057735. With two
# degrees of freedom the distribution is known in closed form: P(T > t) = 1/2 − t / (2 √(2 + t²)).
THREE = Sample(0.2, 0.1, 3)


def upper_tail_of_two(t: float) -> float:
    return 0.5 - t / (2 * math.sqrt(2 + t * t))


def test_two_sided_by_hand():
    t = 2 * math.sqrt(3)  # 0.2 / 0.057735
    assert two_sided(THREE) == pytest.approx(2 * upper_tail_of_two(t))
    assert two_sided(THREE) == pytest.approx(0.0741799, abs=1e-7)
    assert two_sided(THREE, 0.2) == 1.0
    assert two_sided(THREE, 0.4) == pytest.approx(two_sided(THREE))  # as far on the other side


def test_within_and_outside_by_hand():
    # to the margin of 0.4 it is as far as to 0; the other margin, −0.4, is further
    t = 2 * math.sqrt(3)
    assert within(THREE, 0.4) == pytest.approx(upper_tail_of_two(t))
    assert outside(THREE, 0.4) == 1.0
    # the margin of 0.1 lies below it
    assert outside(THREE, 0.1) == pytest.approx(2 * upper_tail_of_two(math.sqrt(3)))
    assert within(THREE, 0.1) == pytest.approx(1 - upper_tail_of_two(math.sqrt(3)))
    assert within(Sample(-0.2, 0.1, 3), 0.4) == within(THREE, 0.4)


def made_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    a = rng.normal(0.9, 0.02, n)
    return a, a - rng.normal(0.006, 0.01, n)


def sample_of(values: np.ndarray) -> Sample:
    return Sample(values.mean(), values.std(ddof=1), len(values))


@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_tests_agree_with_scipy_and_statsmodels(n):
    a, b = made_pairs(n)
    sample = sample_of(a - b)
    assert two_sided(sample) == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, rel=1e-9)
    for margin in (0.002, 0.01, 0.03):
        expected, low, high = ttost_paired(a, b, -margin, margin)
        assert within(sample, margin) == pytest.approx(expected, rel=1e-9)
        beyond = 2 * min(1 - low[1], 1 - high[1])
        assert outside(sample, margin) == pytest.approx(min(1, beyond), rel=1e-6)
        shifted = scipy.stats.ttest_1samp(a - b, margin).pvalue
        assert two_sided(sample, margin) == pytest.approx(shifted, rel=1e-9)


def test_tests_take_arrays():
    samples = [sample_of(a - b) for a, b in map(made_pairs, (5, 6, 7))]
    together = Sample(*(np.array(part) for part in zip(*samples, strict=True)))
    for test, value in ((two_sided, 0.0), (within, 0.01), (outside, 0.01)):
        assert list(test(together, value)) == pytest.approx([test(s, value) for s in samples])


def test_holm_by_hand():
    # sorted 0.01 0.02 0.03 0.04: times 4, 3, 2, 1 gives 0.04 0.06 0.06 0.04, and none may fall
    assert list(holm([0.03, 0.01, 0.04, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert list(holm([0.6, 0.9])) == [1.0, 1.0]
    assert list(holm([0.03])) == [0.03]
    assert list(holm([])) == []


def test_holm_counts_what_could_not_be_tested():
    found = holm([math.nan, 0.01, math.nan, 0.02])
    assert found[[1, 3]] == pytest.approx([0.04, 0.06])
    assert np.isnan(found[[0, 2]]).all()


def test_holm_agrees_with_statsmodels():
    rng = np.random.default_rng(1)
    given = rng.uniform(0, 0.1, (20, 7)) ** 2
    expected = [multipletests(row, method="holm")[1] for row in given]
    np.testing.assert_allclose(holm(given), expected)
