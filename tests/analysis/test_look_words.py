from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis.evidence import Claim
from bench.analysis.look_words import earlier_looks, look_words, looks_cost
from bench.analysis.looks import HypothesisLook
from bench.analysis.repeats import Decision, State
from bench.analysis.sequential import Boundaries
from bench.spec.repeats import EarlierLooks, RepeatPlan, looks

BOUNDARIES = Boundaries(looks(3, 20))


def at(decision: Decision, next_level: float | None = None) -> HypothesisLook:
    seeds = BOUNDARIES.looks[decision.look or 0]
    return HypothesisLook(decision, BOUNDARIES, seeds, 0.01, next_level)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (at(Decision()), "first look at 3 seeds"),
        (at(Decision(State.OPEN, 3), 0.00564), "open: p must fall below 0.0056 at 8 seeds"),
        (at(Decision(State.OPEN, 8)), "open after the last look (20 seeds)"),
        (at(Decision(State.SETTLED, 8, Claim.ABOVE)), "stopped at look 9 of 9 (20 seeds)"),
        (at(Decision(State.SETTLED, 2, Claim.ABOVE)), "stopped at look 3 of 9 (5 seeds)"),
        (
            replace(at(Decision(State.FUTILE, 3), 0.0027), chance=0.034),
            "open, and more seeds will hardly help (3% at 20): p must fall below 0.0027 at 8 seeds",
        ),
        (
            replace(at(Decision(State.OPEN, 3), 0.0056), stopped=True),
            "open (budget used up): p must fall below 0.0056 at 8 seeds",
        ),
    ],
)
def test_where_a_hypothesis_stands(found: HypothesisLook, text: str) -> None:
    assert look_words(found) == text


@pytest.mark.parametrize(("look", "early"), [(2, True), (8, False)])
def test_a_verdict_before_the_last_look_is_early(look: int, early: bool) -> None:
    assert at(Decision(State.SETTLED, look, Claim.ABOVE)).is_early is early
    assert not at(Decision(State.OPEN, look)).is_early


def test_cost_of_looks_without_a_plan() -> None:
    assert looks_cost([5, 10]) == (
        "looked at 5 and at 10 seeds: up to 8.7% false claims instead of 5%; "
        "`seeds: {until: settled}` keeps it"
    )
    assert looks_cost([5]) == ""


def test_looks_that_were_changed_are_named() -> None:
    plan = RepeatPlan(asked=(5, 9), looks=(3, 4, 5, 9))
    assert earlier_looks(plan) == []
    (text,) = earlier_looks(
        plan.model_copy(update={"earlier": (EarlierLooks(looks=(3, 4, 5, 6), taken=2),)})
    )
    assert text.startswith("the looks were changed after those at 3 and 4 seeds: their levels")
