"""The race of a step: made-up candidates, of which the records know as many seeds as is said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench.analysis.evidence import Bounds, Evidence, of_sample
from bench.analysis.futility import LastLook, chance_over_seeds
from bench.analysis.path_race import Observations, Pair, Race, RaceRules, race
from bench.analysis.path_round import StepState
from bench.analysis.sequential import Boundaries
from bench.analysis.stats import Floats, Sample

LOOKS = (3, 4, 5, 6, 8, 10)
_ZERO = Bounds(0.0, 0.0)


@dataclass
class Scores(Observations):
    """Scores by candidate and seed; a failed one is NaN."""

    scores: Mapping[str, Floats]
    seconds: float = 1.0
    budget: float = float("inf")
    known: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[frozenset[str], int]] = field(default_factory=list)

    def are_final(self, candidates: Collection[str], n: int) -> bool:
        self.asked.append((frozenset(candidates), n))
        return all(self.known.get(c, len(self.scores[c])) >= n for c in candidates)

    def has_failed(self, candidate: str, n: int) -> bool:
        return bool(np.isnan(self.scores[candidate][: min(n, self.known.get(candidate, n))]).any())

    def evidence(self, pair: Pair, n: int) -> Evidence | None:
        return of_sample(self._sample(pair, n), _ZERO)

    def chance(self, pair: Pair, n: int, last: LastLook) -> float:
        return chance_over_seeds(self._sample(pair, n), _ZERO, last)

    def is_budget_used_up(self, seeds: dict[str, int]) -> bool:
        return self.seconds * sum(seeds.values()) >= self.budget

    def _sample(self, pair: Pair, n: int) -> Sample:
        found = (self.scores[pair.a] - self.scores[pair.b])[:n]
        found = found[~np.isnan(found)]
        return Sample(float(found.mean()), float(found.std(ddof=1)), len(found))


def raced(seen: Scores, futility: float = 0.1, looks: tuple[int, ...] = LOOKS) -> Race:
    rules = RaceRules(Boundaries(looks), True, 0.05, futility)
    return race(tuple(seen.scores), seen, rules)


def normal(seed: int, means: Mapping[str, float], n: int = LOOKS[-1]) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {name: mean + rng.normal(0, 1, n) for name, mean in means.items()}


def test_one_clearly_better_than_all_is_settled_early() -> None:
    found = raced(Scores(normal(1, {"a": 0, "b": 30, "c": 0})))
    assert (found.state, found.left) == (StepState.SETTLED, ("b",))
    assert found.looks < len(LOOKS)


def test_the_beaten_get_no_further_seeds() -> None:
    found = raced(Scores(normal(2, {"a": 20, "b": 20.5, "c": 0})), futility=0)
    assert found.left == ("a", "b")
    assert found.state is StepState.LAST_LOOK
    assert found.seeds["a"] == found.seeds["b"] == 10
    assert found.seeds["c"] < 10


def test_equal_ones_are_futile() -> None:
    scores = normal(3, {"a": 0, "b": 0})
    scores["b"] = scores["a"] + np.array([1, -1] * 5) * 0.5
    found = raced(Scores(scores))
    assert (found.state, found.left, found.seeds) == (
        StepState.FUTILE,
        ("a", "b"),
        {"a": 5, "b": 5},
    )


def test_a_single_candidate_needs_its_first_seeds() -> None:
    found = raced(Scores(normal(4, {"a": 0})))
    assert (found.state, found.seeds, found.looks) == (StepState.SETTLED, {"a": 3}, 1)


def test_it_waits_for_seeds_that_are_not_final() -> None:
    seen = Scores(normal(2, {"a": 20, "b": 20.5, "c": 0}), known={"b": 4})
    found = raced(seen, futility=0)
    assert found.state is StepState.OPEN
    assert found.seeds["b"] == 5
    assert seen.asked[-1][1] == 5


def test_a_failed_candidate_leaves() -> None:
    scores = normal(5, {"a": 60, "b": 30, "c": 0})
    scores["a"][2] = np.nan
    assert raced(Scores(scores), futility=0).left == ("b",)


def test_those_that_only_failed_candidates_had_beaten_come_back() -> None:
    scores = normal(5, {"a": 60, "b": 30, "c": 30.2, "d": 60.1})
    scores["a"][4] = scores["d"][4] = np.nan
    found = raced(Scores(scores), futility=0)
    assert found.left == ("b", "c")
    assert found.seeds == {"a": 5, "b": 10, "c": 10, "d": 5}
    before = raced(Scores(scores, known=dict.fromkeys("ad", 4)), futility=0)
    assert (before.state, before.left) == (StepState.OPEN, ("a", "d"))
    assert before.seeds["b"] < 5


def test_all_failed_leaves_none() -> None:
    scores = {name: np.full(10, np.nan) for name in "ab"}
    found = raced(Scores(scores))
    assert (found.left, found.state) == ((), StepState.SETTLED)


def test_the_budget_is_asked_between_looks() -> None:
    scores = normal(6, {"a": 0, "b": 0.2})
    found = raced(Scores(scores, budget=8.0, known={"a": 4, "b": 4}), futility=0)
    assert (found.state, found.seeds) == (StepState.BUDGET, {"a": 4, "b": 4})
    before = raced(Scores(scores, budget=1.0, known={"a": 6, "b": 6}), futility=0)
    assert (before.state, before.seeds) == (StepState.BUDGET, {"a": 6, "b": 6})


def test_later_seeds_change_nothing() -> None:
    scores = normal(7, {"a": 0, "b": 4, "c": 3})
    whole = raced(Scores(scores))
    others = {name: own.copy() for name, own in scores.items()}
    for name, own in others.items():
        own[whole.seeds[name] :] = 1e3
    assert raced(Scores(others)) == whole


@pytest.mark.parametrize(("lead", "at_least", "at_most"), [(0.0, 0.0, 0.096), (3.0, 0.9, 1.0)])
def test_how_often_one_of_three_is_settled(lead: float, at_least: float, at_most: float) -> None:
    """Equal candidates: 5% + 3 standard errors of 200 studies. One 3 sd ahead: nearly always."""
    looks = (3, 5, 8, 12)
    settled = 0
    for study in range(200):
        found = raced(Scores(normal(study, {"a": lead, "b": 0, "c": 0}, 12)), looks=looks)
        wrong = found.left != ("a", "b", "c")
        settled += found.left == ("a",) if lead else wrong
    assert at_least <= settled / 200 <= at_most
