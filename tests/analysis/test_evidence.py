from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from bench.analysis.evidence import (
    UNTESTED,
    Bounds,
    Claim,
    Evidence,
    is_expected,
    larger,
    of_runs,
    of_sample,
    of_two_sources,
)
from bench.analysis.stats import Sample
from bench.analysis.two_sources import Over, two_sources

from .simulated import Table

X = np.array([0.02, 0.035, 0.01, 0.04, 0.03])


def sample(values: np.ndarray) -> Sample:
    return Sample(float(values.mean()), float(values.std(ddof=1)), len(values))


def test_bounds() -> None:
    assert Bounds.of("higher", None) == (0, 0)
    assert Bounds.of("not_higher", 0.1) == (0.1, 0.1)
    assert Bounds.of("not_lower", 0.1) == (-0.1, -0.1)
    assert Bounds.of("equivalent", 0.1) == (-0.1, 0.1)


@pytest.mark.parametrize(
    ("expect", "claim"),
    [
        ("higher", Claim.ABOVE),
        ("not_lower", Claim.ABOVE),
        ("lower", Claim.BELOW),
        ("not_higher", Claim.BELOW),
        ("equivalent", Claim.WITHIN),
    ],
)
def test_expected_claim(expect: str, claim: Claim) -> None:
    assert [each for each in Claim if is_expected(each, expect)] == [claim]


def test_claims_follow_the_estimate() -> None:
    difference, equivalence = Bounds(0, 0), Bounds(-0.02, 0.02)
    assert of_sample(sample(X), difference).claim is Claim.ABOVE
    assert of_sample(sample(-X), difference).claim is Claim.BELOW
    assert of_sample(sample(X), equivalence).claim is Claim.ABOVE
    assert of_sample(sample(X - 0.03), equivalence).claim is Claim.WITHIN
    assert of_sample(sample(-X), equivalence).claim is Claim.BELOW


def test_over_seeds_of_a_table_is_the_test_of_its_means() -> None:
    table = Table(5, 30, 0.02, 0.05, 0.05).draw_many(1, np.random.default_rng(0))[0]
    for bounds in (Bounds(0, 0), Bounds(-0.01, 0.01)):
        by_table = of_two_sources(two_sources(table), bounds, Over.SEEDS)
        by_mean = of_sample(sample(table.mean(axis=1)), bounds)
        assert by_table.p == pytest.approx(by_mean.p)
        assert by_table.claim is by_mean.claim


def test_runs_against_a_number_are_tested_on_each_side_at_the_full_level() -> None:
    above = of_runs(X, Bounds(0, 0))
    assert (above.p, above.claim) == (1 / 32, Claim.ABOVE)
    assert of_runs(X - 1, Bounds(0, 0)).claim is Claim.BELOW
    within = of_runs(X, Bounds(-0.05, 0.05))
    assert (within.p, within.claim) == (1 / 32, Claim.WITHIN)
    beyond = of_runs(X, Bounds(-0.005, 0.005))
    assert (beyond.p, beyond.claim) == (2 / 32, Claim.ABOVE)


def test_what_both_tests_support() -> None:
    one, other = Evidence(0.01, 0.99, (0.2, 0.01)), Evidence(0.02, 0.98, (0.1, 0.03))
    assert larger(one, other) == Evidence(0.02, 0.99, (0.2, 0.03))
    assert larger(Evidence(0.01, 0.9, two_sided=False), other).two_sided is False


def test_without_a_test_there_is_no_p() -> None:
    assert math.isnan(UNTESTED.p)
    few = of_two_sources(two_sources(np.zeros((2, 9))), Bounds(-1, 1), Over.BOTH)
    assert math.isnan(few.p)


def test_equivalence_by_scipy() -> None:
    near = of_sample(sample(X - 0.03), Bounds(-0.02, 0.02))
    low = stats.ttest_1samp(X - 0.03, -0.02, alternative="greater").pvalue
    high = stats.ttest_1samp(X - 0.03, 0.02, alternative="less").pvalue
    assert near.p == pytest.approx(max(low, high))


# Differences 0.1, 0.2, 0.3: mean 0.2, standard deviation 0.1, error 0.1/√3 = 0.057735. With two
# degrees of freedom the distribution is known in closed form: P(T > t) = 1/2 − t / (2 √(2 + t²)).
THREE = Sample(0.2, 0.1, 3)


def upper_tail_of_two(t: float) -> float:
    return 0.5 - t / (2 * math.sqrt(2 + t * t))


def test_t_test_by_hand() -> None:
    t = 2 * math.sqrt(3)  # 0.2 / 0.057735
    found = of_sample(THREE, Bounds(0, 0))
    assert found.above == pytest.approx(upper_tail_of_two(t))
    assert found.p == pytest.approx(0.0741799, abs=1e-7)
    assert of_sample(THREE, Bounds(0.2, 0.2)).p == 1.0
    assert of_sample(THREE, Bounds(0.4, 0.4)).p == pytest.approx(found.p)  # as far beyond it


def test_margins_by_hand() -> None:
    # to the margin of 0.4 it is as far as to 0; the other margin, −0.4, is further
    within = of_sample(THREE, Bounds(-0.4, 0.4))
    assert (within.claim, within.p) == (Claim.WITHIN, pytest.approx(upper_tail_of_two(2 * 3**0.5)))
    outside = of_sample(THREE, Bounds(-0.1, 0.1))
    assert (outside.claim, outside.p) == (
        Claim.ABOVE, pytest.approx(2 * upper_tail_of_two(math.sqrt(3)))
    )  # fmt: skip


@pytest.mark.parametrize("n", [3, 5, 10, 40])
def test_t_tests_agree_with_scipy_and_statsmodels(n: int) -> None:
    rng = np.random.default_rng(n)
    a = rng.normal(0.9, 0.02, n)
    b = a - rng.normal(0.006, 0.01, n)
    found = sample(a - b)
    assert of_sample(found, Bounds(0, 0)).p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    for margin in (0.002, 0.01, 0.03):
        both, low, high = ttost_paired(a, b, -margin, margin)
        within = of_sample(found, Bounds(-margin, margin)).within
        assert max(within or ()) == pytest.approx(both)
        assert (within or (0, 0)) == pytest.approx((low[1], high[1]))
        shifted = stats.ttest_1samp(a - b, margin).pvalue
        assert of_sample(found, Bounds(margin, margin)).p == pytest.approx(shifted)
