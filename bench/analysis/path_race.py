"""The race of one step of an ablation path: seeds are added until its best candidate is settled.

The hypotheses of a step are that any two of its candidates differ. They are tested look by look as
those of an experiment whose seeds are repeated until settled (`bench.analysis.repeats`), corrected
by Holm over all pairs of the step. A candidate that is significantly worse than another is beaten
and gets no further seeds; the step is settled when one is left. So a best candidate is beaten, or
there is a significant difference between two equal ones, in at most α of all steps.

As there, what is decided at a look of n seeds depends on the first n seeds alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bench.analysis.evidence import Claim, Evidence
from bench.analysis.futility import LastLook
from bench.analysis.path_round import StepState
from bench.analysis.repeats import FEWEST_FOR_FUTILITY, SequentialTest, settle
from bench.analysis.sequential import Boundaries


class Pair(NamedTuple):
    """Two candidates, in the spec's order."""

    a: str
    b: str


@dataclass(frozen=True)
class RaceRules:
    """How a race is run.

    Attributes:
        boundaries: the looks and their nominal levels.
        is_higher_better: of the score.
        alpha: level of all pairs together.
        futility: a pair is futile whose chance to be settled at the last look is below this.
    """

    boundaries: Boundaries
    is_higher_better: bool
    alpha: float
    futility: float


class Observations(Protocol):
    """What the records say of the candidates."""

    def are_final(self, candidates: Collection[str], n: int) -> bool:
        """Whether the first n seeds of each are done, or have failed for good."""
        ...

    def has_failed(self, candidate: str, n: int) -> bool:
        """Whether one of its first n seeds has failed."""
        ...

    def evidence(self, pair: Pair, n: int) -> Evidence | None:
        """Of a − b on the first n seeds; None where they allow no test."""
        ...

    def chance(self, pair: Pair, n: int, last: LastLook) -> float:
        """Chance that a pair, on n seeds, is settled at the last look."""
        ...

    def is_budget_used_up(self, seeds: dict[str, int]) -> bool:
        """Whether no further seeds may be begun after these of the candidates."""
        ...


@dataclass(frozen=True)
class Race:
    """How far a race has come.

    Attributes:
        state: where it stands.
        left: candidates that have no failed trial and are not beaten, in the spec's order.
        seeds: of each candidate, how many were looked at or are waited for.
        looks: how many looks were taken.
    """

    state: StepState
    left: tuple[str, ...]
    seeds: dict[str, int]
    looks: int


def race(candidates: Sequence[str], seen: Observations, rules: RaceRules) -> Race:
    """Take all looks that the records allow, from the first."""
    return _Course(tuple(candidates), seen, rules).run()


class _Course:
    """A race as its looks go by."""

    def __init__(self, candidates: tuple[str, ...], seen: Observations, rules: RaceRules) -> None:
        self.candidates, self.seen, self.rules = candidates, seen, rules
        pairs = itertools.starmap(Pair, itertools.combinations(candidates, 2))
        self.tests = {pair: SequentialTest(rules.boundaries) for pair in pairs}
        self.seeds = dict.fromkeys(candidates, 0)

    def run(self) -> Race:
        """To where the records end or it is decided."""
        looks = self.rules.boundaries.looks
        going: set[str] = set(self.candidates)
        for look, n in enumerate(looks):
            if not self._complete(going, n):
                return self._at(StepState.OPEN, look, n)
            self._test(look, n)
            left = self._left(n)
            if len(left) < 2:
                return self._at(StepState.SETTLED, look + 1, n)
            self._predict(look, n)
            going = {name for pair in self._open(n) for name in pair}
            if look + 1 == len(looks):
                return self._at(StepState.LAST_LOOK, look + 1, n)
            if not going:
                return self._at(StepState.FUTILE, look + 1, n)
            is_begun = self.seen.are_final(going, looks[look + 1])  # by a larger budget before
            if not is_begun and self.seen.is_budget_used_up(self.seeds):
                return self._at(StepState.BUDGET, look + 1, n)
        raise AssertionError("the last look ends it")

    def _complete(self, going: set[str], n: int) -> bool:
        """Whether n seeds of all that go on are final.

        Others join them that were beaten only by a candidate that has failed since.
        """
        while True:
            self.seeds |= dict.fromkeys(going, n)
            if not self.seen.are_final(going, n):
                return False
            back = {c for c in self._left(n) if not self._is_kept_back(c, n)} - going
            if not back:
                return True
            going |= back

    def _is_kept_back(self, candidate: str, n: int) -> bool:
        """Whether it has all its seeds, or waits because no pair of it can be settled."""
        own = [t for pair, t in self.tests.items() if candidate in pair and not t.is_settled]
        return self.seeds[candidate] >= n or bool(own and all(t.is_futile for t in own))

    def _test(self, look: int, n: int) -> None:
        left = self._left(n)
        for pair, test in self.tests.items():
            has_all = all(name in left and self.seeds[name] >= n for name in pair)
            if has_all and not test.is_settled:
                test.add(look, self.seen.evidence(pair, n))
        settle(list(self.tests.values()), self.rules.alpha)

    def _predict(self, look: int, n: int) -> None:
        """Which pairs more seeds will hardly settle."""
        if n < FEWEST_FOR_FUTILITY or look + 1 == len(self.rules.boundaries.looks):
            return
        n_open = sum(not test.is_settled for test in self.tests.values())
        last = LastLook.of(self.rules.boundaries, self.rules.alpha / max(1, n_open))
        for pair in self._open(n, futile=True):
            if all(self.seeds[name] >= n for name in pair):
                chance = self.seen.chance(pair, n, last)
                self.tests[pair].is_futile = chance < self.rules.futility

    def _open(self, n: int, *, futile: bool = False) -> list[Pair]:
        """Pairs of candidates that are left, without a significant difference."""
        left = self._left(n)
        return [
            pair
            for pair, test in self.tests.items()
            if pair.a in left
            and pair.b in left
            and not test.is_settled
            and (futile or not test.is_futile)
        ]

    def _left(self, n: int) -> tuple[str, ...]:
        standing = [c for c in self.candidates if not self.seen.has_failed(c, n)]
        beaten = {
            self._worse(pair, test)
            for pair, test in self.tests.items()
            if test.is_settled and pair.a in standing and pair.b in standing
        }
        return tuple(c for c in standing if c not in beaten)

    def _worse(self, pair: Pair, test: SequentialTest) -> str:
        a_is_higher = test.claim is Claim.ABOVE
        return pair.b if a_is_higher is self.rules.is_higher_better else pair.a

    def _at(self, state: StepState, looks: int, n: int) -> Race:
        return Race(state, self._left(n), dict(self.seeds), looks)
