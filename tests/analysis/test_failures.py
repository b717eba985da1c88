from __future__ import annotations

import pytest

from bench.analysis.cautions import one_seed_carries
from bench.analysis.failures import Claim, failure_rates_p, favoured_side, is_withheld


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
    assert one_seed_carries([0.01, -0.01, 0.09, 0.02, 0.0]) == 2
    assert one_seed_carries([0.01, -0.09, 0.01, 0.02]) == 1
    assert one_seed_carries([0.03, 0.03, 0.04, 0.02]) is None
    assert one_seed_carries([0.0, 0.0, 0.9]) is None  # three seeds are too few to say so
    assert one_seed_carries([0.0, 0.0, 0.0, 0.0]) is None
    assert one_seed_carries([0.1, float("nan"), 0.0, 0.0]) is None
