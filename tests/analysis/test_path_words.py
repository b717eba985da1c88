"""What the steps of a path took, in words."""

from __future__ import annotations

from bench.analysis.path_round import PathRound, StepState
from bench.analysis.path_words import _how_settled


def test_a_step_that_is_not_settled_is_of_the_seeds_that_all_left_have() -> None:
    """a went on against c, which lost; b waited, since nothing would tell it from a."""
    found = PathRound(
        {"a": 0.8, "b": 0.7, "c": 0.1}, "a", True, {"with a": 8, "with b": 5, "with c": 8}, 5,
        StepState.FUTILE, ("a", "b"),
    )  # fmt: skip
    assert _how_settled(found) == (
        ", the best of 5 seeds, but not settled: b may be as good, "
        "and more seeds will hardly tell them apart"
    )
