from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from bench.analysis.stats import (
    grouped_intervals,
    half_width,
    holm,
    mean_interval,
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
