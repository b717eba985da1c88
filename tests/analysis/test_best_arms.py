from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats

from bench.analysis.best_arms import dunnett_critical, may_be_best

from .simulated import bound


@pytest.mark.parametrize("df", [2, 4, 19])
def test_critical_value_of_two_arms_is_students_t(df: int) -> None:
    assert dunnett_critical(2, df) == pytest.approx(stats.t.isf(0.05, df), rel=1e-4)


@pytest.mark.parametrize(("arms", "df"), [(3, 4), (4, 10), (6, 9)])
def test_critical_value_by_the_multivariate_t(arms: int, df: int) -> None:
    correlation = (np.eye(arms - 1) + 1) / 2
    found = np.full(arms - 1, dunnett_critical(arms, df))
    distribution = stats.multivariate_t(shape=correlation, df=df, seed=0)
    assert distribution.cdf(found) == pytest.approx(0.95, abs=1e-3)


def test_critical_values_of_dunnetts_table() -> None:
    # Dunnett 1955, one-sided 5%: 10 degrees, 2 and 5 treatments besides the control
    assert dunnett_critical(3, 10) == pytest.approx(2.15, abs=0.005)
    assert dunnett_critical(6, 10) == pytest.approx(2.56, abs=0.005)


def test_two_arms_are_a_one_sided_t_test() -> None:
    rng, kept = np.random.default_rng(0), []
    for _ in range(200):
        a, b = rng.normal(0.8, 1, 5), rng.normal(0, 1, 5)
        p = stats.ttest_rel(a, b, alternative="greater").pvalue
        found = may_be_best([a, b])
        assert (1 in found.arms) == (p > 0.05) or abs(p - 0.05) < 1e-4
        kept.append(1 in found.arms)
    assert 20 < sum(kept) < 180


def test_less_is_better() -> None:
    values = np.array([[1.0, 1.1, 1.2], [5.0, 5.2, 5.1], [1.1, 1.0, 1.3]])
    found = may_be_best(values, "min")
    assert found.arms == (0, 2)
    assert found.ranked == (0, 1, 2)
    assert may_be_best(-values, "max").arms == (0, 2)


def test_one_best_arm() -> None:
    values = np.array([[1.0, 1.1, 1.2], [5.0, 5.2, 5.1], [1.1, 1.0, 1.3]])
    assert may_be_best(values).arms == (1,)


def test_nothing_distinguishes_the_arms() -> None:
    values = np.random.default_rng(0).normal(0, 1, (4, 3))
    found = may_be_best(values)
    assert set(found.arms) == {0, 1, 2, 3}


def test_arm_that_lacks_a_seed_is_unranked() -> None:
    values = np.random.default_rng(0).normal(0, 1, (10, 5))
    values[3, 2] = math.nan
    found = may_be_best(values)
    assert found.ranked == (0, 1, 2, 4, 5, 6, 7, 8, 9)
    assert found.seeds == (0, 1, 2, 3, 4)


def test_seed_that_most_arms_lack_does_not_count() -> None:
    values = np.random.default_rng(0).normal(0, 1, (10, 5))
    values[:7, 4] = math.nan
    found = may_be_best(values)
    assert found.ranked == tuple(range(10))
    assert found.seeds == (0, 1, 2, 3)


@pytest.mark.parametrize("shape", [(0, 5), (1, 5), (4, 2)])
def test_too_few(shape: tuple[int, int]) -> None:
    found = may_be_best(np.zeros(shape))
    assert (found.arms, found.ranked) == ((), ())


def test_without_scatter_nothing_is_excluded() -> None:
    found = may_be_best([[1.0] * 3, [2.0] * 3, [3.0] * 3])
    assert set(found.arms) == {0, 1, 2}


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_best_arm_is_seldom_missing(noise: float) -> None:
    rng, studies = np.random.default_rng(0), 1000
    scatter = np.ones((50, 1))
    scatter[7] = noise
    missed = 0
    for _ in range(studies):
        values = rng.normal(0, 2, 5) + scatter * rng.normal(0, 1, (50, 5))
        missed += 7 not in may_be_best(values).arms
    assert missed / studies <= bound(0.05, studies)


def test_many_arms_in_time() -> None:
    values = np.random.default_rng(0).normal(0, 1, (500, 5)) + np.linspace(0, 6, 500)[:, None]
    start = time.process_time()
    assert 0 < len(may_be_best(values).arms) < 400
    assert time.process_time() - start < 2
