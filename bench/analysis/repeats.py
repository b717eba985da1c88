"""Repeating trials until the hypotheses are settled: which look says what, and who goes on.

A pure function of the records: decisions at a look of n seeds depend on seeds 0…n − 1 of the plan
alone, so neither the order in which trials end nor interruptions change them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bench.analysis.evidence import Claim, Evidence
from bench.analysis.futility import LastLook
from bench.analysis.sequential import Boundaries
from bench.analysis.stats import holm

Arm = Hashable
"""Whatever tells an arm from the others."""

FUTILITY = 0.1
FEWEST_FOR_FUTILITY = 5
"""Seeds before which predictive power says too little."""


class State(StrEnum):
    """Where a hypothesis stands."""

    OPEN = "open"
    SETTLED = "settled"
    FUTILE = "futile"
    """Open, but more seeds will hardly help."""


@dataclass(frozen=True)
class Decision:
    """What the looks so far say of a hypothesis.

    Attributes:
        state: where it stands.
        look: that of its last test, from 0; None before the first. What is settled is not tested
            again.
        claim: what is claimed, once settled.
        p: sequential p-value, the smallest of its looks; NaN where none could test it.
        p_corrected: by Holm over all hypotheses at the latest look.
    """

    state: State = State.OPEN
    look: int | None = None
    claim: Claim | None = None
    p: float = math.nan
    p_corrected: float = math.nan


@dataclass(frozen=True)
class Progress:
    """All decisions, and what to train next.

    Attributes:
        decisions: one for each hypothesis.
        looks_taken: how many looks there were.
        n_next: seeds that each of `arms` needs for the next look; None where nothing is to be done:
            all is settled or futile, or the last look was taken.
        arms: the arms that open hypotheses are about.
        history: the decisions after each look.
        arms_of_looks: the arms that each look has waited for.
    """

    decisions: tuple[Decision, ...]
    looks_taken: int
    n_next: int | None
    arms: frozenset[Arm]
    history: tuple[tuple[Decision, ...], ...] = ()
    arms_of_looks: tuple[frozenset[Arm], ...] = ()


def replay(
    boundaries: Boundaries,
    arms_of: Sequence[frozenset[Arm]],
    evidence: Callable[[int, int], Evidence | None],
    is_final: Callable[[frozenset[Arm], int], bool],
    predicted: Callable[[int, int, LastLook], float] | None = None,
    alpha: float = 0.05,
    futility: float = FUTILITY,
) -> Progress:
    """Take all looks that the records allow, from the first.

    Args:
        boundaries: the looks and their nominal levels.
        arms_of: the arms (in all strata) that each hypothesis is about.
        evidence: of a hypothesis on the first n seeds; None where they allow no test.
        is_final: whether each of the first n seeds' trials of these arms is done or has failed for
            good. Without, a look waits: never half a pair.
        predicted: chance that a hypothesis, on n seeds, is settled at the last look (see
            `bench.analysis.futility`). None: nothing is futile.
        alpha: level of all hypotheses together.
        futility: the chance under which a hypothesis is futile; not binding, so that it never adds
            to the error.
    """
    tests = [SequentialTest(boundaries) for _ in arms_of]
    last = len(boundaries.looks) - 1
    history: list[tuple[Decision, ...]] = []
    arms_of_looks: list[frozenset[Arm]] = []

    def progress(n_next: int | None, arms: frozenset[Arm]) -> Progress:
        decisions = tuple(test.decision for test in tests)
        taken = tuple(history), tuple(arms_of_looks)
        return Progress(decisions, len(history), n_next, arms, *taken)

    for look, n in enumerate(boundaries.looks):
        arms = _arms_to_train(tests, arms_of)
        if not arms:
            return progress(None, frozenset())
        if not is_final(arms, n):
            return progress(n, arms)
        tested = [i for i, test in enumerate(tests) if not test.is_settled and arms_of[i] <= arms]
        for i in tested:
            tests[i].add(look, evidence(i, n))
        settle(tests, alpha)
        if predicted is not None and n >= FEWEST_FOR_FUTILITY and look < last:
            n_open = sum(not test.is_settled for test in tests)
            last_look = LastLook.of(boundaries, alpha / max(1, n_open))
            for i in tested:
                tests[i].is_futile = predicted(i, n, last_look) < futility
        history.append(tuple(test.decision for test in tests))
        arms_of_looks.append(arms)
    return progress(None, frozenset())


class SequentialTest:
    """A hypothesis as its looks go by."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._boundaries = boundaries
        self._look: int | None = None
        self._above = self._below = self._over_low = self._under_high = math.nan
        self._two_sided = True
        self.p_corrected = math.nan
        self.is_settled = self.is_futile = False

    def add(self, look: int, evidence: Evidence | None) -> None:
        """Take a look."""
        self._look = look
        if evidence is None:
            return
        self._two_sided = evidence.two_sided
        self._above = self._smaller(self._above, look, evidence.above)
        self._below = self._smaller(self._below, look, evidence.below)
        if evidence.within is not None:
            self._over_low = self._smaller(self._over_low, look, evidence.within[0])
            self._under_high = self._smaller(self._under_high, look, evidence.within[1])

    @property
    def p(self) -> float:
        """Sequential p of the claim that is nearest; regions that exclude each other need no
        correction between them."""
        return float(np.fmin(self._beyond, self._within))

    @property
    def claim(self) -> Claim:
        """The claim that this p is of."""
        if self._within < self._beyond or math.isnan(self._beyond):
            return Claim.WITHIN
        return Claim.ABOVE if self._above < self._below else Claim.BELOW

    @property
    def decision(self) -> Decision:
        """Where the hypothesis stands."""
        if self.is_settled:
            return Decision(State.SETTLED, self._look, self.claim, self.p, self.p_corrected)
        state = State.FUTILE if self.is_futile else State.OPEN
        return Decision(state, self._look, None, self.p, self.p_corrected)

    @property
    def _beyond(self) -> float:
        smaller = min(self._above, self._below)
        return min(2 * smaller, 1.0) if self._two_sided else smaller

    @property
    def _within(self) -> float:
        return max(self._over_low, self._under_high)

    def _smaller(self, so_far: float, look: int, p: float) -> float:
        """A one-sided p enters the two-sided boundaries doubled, and leaves halved."""
        found = float(self._boundaries.sequential_p(look, min(1.0, 2 * p))) / 2
        return float(np.fmin(so_far, max(found, p)))


def _arms_to_train(
    tests: Sequence[SequentialTest], arms_of: Sequence[frozenset[Arm]]
) -> frozenset[Arm]:
    open_ones = [
        arms
        for test, arms in zip(tests, arms_of, strict=True)
        if not test.is_settled and not test.is_futile
    ]
    return frozenset[Arm]().union(*open_ones)


def settle(tests: Sequence[SequentialTest], alpha: float) -> None:
    """Holm over all hypotheses, settled ones included (Maurer and Bretz 2013)."""
    for test, p in zip(tests, holm([test.p for test in tests]), strict=True):
        test.p_corrected = float(p)
        test.is_settled = test.is_settled or bool(p <= alpha)
