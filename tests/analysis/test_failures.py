from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bench.analysis.cautions import one_seed_carries
from bench.analysis.evidence import Claim
from bench.analysis.failures import failure_rates_p, favoured_side, is_withheld


@pytest.mark.parametrize(
    ("claim", "mode", "side"),
    [
        (Claim.ABOVE, "max", "a"),
        (Claim.BELOW, "max", "b"),
        (Claim.ABOVE, "min", "b"),
        (Claim.BELOW, "min", "a"),
        (Claim.WITHIN, "max", None),
        (Claim.ABOVE, None, None),
    ],
)
def test_favoured_side(claim: Claim, mode: str | None, side: str | None) -> None:
    assert favoured_side(claim, mode) == side


def test_claim_in_favour_of_the_side_that_diverged_is_withheld() -> None:
    assert is_withheld(Claim.ABOVE, "max", {"a": 1, "b": 0})
    assert is_withheld(Claim.BELOW, "min", {"a": 1, "b": 0})
    assert is_withheld(Claim.ABOVE, "max", {"a": 1, "b": 5})


def test_claim_against_the_side_that_diverged_stands() -> None:
    assert not is_withheld(Claim.BELOW, "max", {"a": 3, "b": 0})
    assert not is_withheld(Claim.ABOVE, "max", {"a": 0, "b": 3})


def test_equivalence_is_withheld_with_any_divergence() -> None:
    assert is_withheld(Claim.WITHIN, "max", {"a": 0, "b": 1})
    assert not is_withheld(Claim.WITHIN, "max", {"a": 0, "b": 0})


def test_without_a_better_direction_any_divergence_withholds() -> None:
    assert is_withheld(Claim.ABOVE, None, {"a": 0, "b": 1})


def test_a_number_never_diverges() -> None:
    assert not is_withheld(Claim.BELOW, "max", {"a": 2})


def test_rates_of_failure() -> None:
    found = failure_rates_p({"a": 2, "b": 0}, {"a": 5, "b": 5})
    assert found == pytest.approx(0.444, abs=5e-4)
    assert failure_rates_p({"a": 1, "b": 1}, {"a": 5, "b": 5}) == pytest.approx(1.0)


def test_one_seed_that_carries_the_difference() -> None:
    small = [0.01, -0.01, 0.02, 0.0, 0.01, -0.01, 0.0]
    assert one_seed_carries([0.09, *small]) == 0
    assert one_seed_carries([*small, -0.09]) == 7
    assert one_seed_carries([0.05, *small]) is None  # 0.05 of 0.11
    assert one_seed_carries([0.9, *small[:6]]) is None  # seven seeds are too few to say so
    assert one_seed_carries([0.0] * 8) is None
    assert one_seed_carries([float("nan"), *small]) is None


def test_one_seed_that_carries_the_difference_forbids_a_claim() -> None:
    differences = np.random.default_rng(0).lognormal(0, 1, (20_000, 8)) - 1.7
    p = stats.ttest_1samp(differences, 0, axis=1).pvalue
    carried = np.array([one_seed_carries(row) is not None for row in differences])
    assert carried.sum() > 300
    assert (p[carried] > 0.05).all()
