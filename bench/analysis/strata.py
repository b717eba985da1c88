"""Pairs of trials by stratum, and which of their seeds are complete.

What a hypothesis estimates is fixed by its plan: the mean over all planned strata, each with equal
weight. So a seed counts only with a pair in every one of them. Averaging over the strata that a
seed happens to have would change the question with every trial that is lost: of +0.02 in one
stratum and −0.02 in another, which average to nothing, the first remains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from bench.analysis.stats import Floats
from bench.states import BENCH_SOURCE, Failure

Seed = int | None
"""None is the one run of an arm whose log names no seed."""


Side = Literal["a", "b"]
SIDES: tuple[Side, ...] = ("a", "b")
RESULTS = (Failure.DIVERGED, Failure.OUT_OF_MEMORY, Failure.TIMEOUT)
"""Failures that say something of an arm: another try with the same settings ends the same way."""
NO_FIGURE = "not recorded"
NOT_PLANNED = "not planned"
OTHER_CONDITIONS = "measured under other conditions"


class Gap(NamedTuple):
    """Why a stratum has no pair of a seed.

    Attributes:
        seed: the seed.
        side: whose trial is to blame; None where neither is alone.
        reason: how that trial ended (a `Failure`) or how far it has come (a `Status`), `NO_FIGURE`
            of a finished one, `NOT_PLANNED` where there is none, or `OTHER_CONDITIONS`.
    """

    seed: Seed
    side: Side | None
    reason: str


class Shortage(NamedTuple):
    """The seeds that a compared stratum lacks for one reason.

    Attributes:
        axes: the stratum's levels.
        side, reason: as in `Gap`.
        seeds: in order.
    """

    axes: Mapping[str, str]
    side: Side | None
    reason: str
    seeds: tuple[Seed, ...]


@dataclass(frozen=True)
class Stratum:
    """The pairs of one combination of levels on the axes that a hypothesis leaves open.

    Attributes:
        axes: these levels; with `source` where there are trials that others logged.
        differences: a − b by seed, where both are known; under None that of two single runs.
        missing: trials without the figure whose counterpart is there or was planned: they failed,
            are not finished, or did not record it.
        unpaired: trials without a counterpart of the same seed on the other side.
        unlike: pairs left out because time or memory was measured under different conditions.
        source: who logged them.
        gaps: why the other seeds of its trials have no pair.
        both_sides: whether both sides have trials here; else it compares nothing.
        planned: whether the latest plan has trials of both sides here. One that it does not have
            is shown and counts for nothing.
        ends: by side, how many trials ended in which way: statuses, and for failed ones failures.
        trials: the ids of a's and b's trial behind each difference; against a number of a's alone.
    """

    axes: Mapping[str, str]
    differences: Mapping[Seed, float]
    missing: int = 0
    unpaired: int = 0
    unlike: int = 0
    source: str = BENCH_SOURCE
    gaps: tuple[Gap, ...] = ()
    both_sides: bool = True
    planned: bool = True
    ends: Mapping[Side, Mapping[str, int]] = field(default_factory=dict)
    trials: Mapping[Seed, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pairs:
    """All pairs of a hypothesis.

    Attributes:
        strata: in the order of the axes' levels.
        along: axes whose level differs together with the sides' own: label of a, label of b.
        source: who logged the trials that the hypothesis is tested on. Ours where there are any,
            else one other's, of most pairs: different protocols make no common sample. The strata
            of others are shown and counted nowhere else.
        of_halves: whether the sides are halves of a design, whose pairs of runs are strata that
            mean nothing by themselves.
    """

    strata: tuple[Stratum, ...]
    along: Mapping[str, tuple[str, str]]
    source: str = BENCH_SOURCE
    of_halves: bool = False

    @cached_property
    def tested(self) -> list[Stratum]:
        """The strata that the hypothesis compares: those planned on both sides.

        Where the plan has none of them (it was lost, or asks for other arms by now), those that are
        recorded on both sides.
        """
        found = [s for s in self.strata if s.source == self.source and s.both_sides]
        return [stratum for stratum in found if stratum.planned] or found

    @property
    def not_planned(self) -> list[Stratum]:
        """Strata with pairs that do not count because the latest plan does not have them."""
        counted = {id(stratum) for stratum in self.tested}
        return [
            stratum
            for stratum in self.strata
            if stratum.source == self.source and stratum.differences and id(stratum) not in counted
        ]

    @cached_property
    def seeds(self) -> list[Seed]:
        """The seeds that have trials on both sides of some compared stratum, in order."""
        found = {seed for stratum in self.tested for seed in stratum.differences}
        found |= {g.seed for s in self.tested for g in s.gaps if g.reason != NOT_PLANNED}
        return sorted(found, key=seed_order)

    @cached_property
    def complete(self) -> list[Seed]:
        """The seeds that have a pair in every compared stratum, in order."""
        return [s for s in self.seeds if all(s in one.differences for one in self.tested)]

    @property
    def by_seed(self) -> Floats:
        """One difference for each complete seed: the mean over the compared strata."""
        found = [[stratum.differences[s] for stratum in self.tested] for s in self.complete]
        return np.array([np.mean(values) for values in found], dtype=float)

    @property
    def shortages(self) -> list[Shortage]:
        """What the incomplete seeds lack, stratum by stratum."""
        found = []
        for stratum in self.tested:
            by_reason: dict[tuple[Side | None, str], list[Seed]] = {}
            for gap in self._gaps(stratum):
                by_reason.setdefault((gap.side, gap.reason), []).append(gap.seed)
            found += [
                Shortage(stratum.axes, side, reason, tuple(sorted(seeds, key=seed_order)))
                for (side, reason), seeds in by_reason.items()
            ]
        return found

    def _gaps(self, stratum: Stratum) -> list[Gap]:
        """The stratum's among `seeds`; those that have no trial in it at all are not planned."""
        known = [gap for gap in stratum.gaps if gap.seed in self.seeds]
        there = {*stratum.differences, *(gap.seed for gap in known)}
        return known + [Gap(s, None, NOT_PLANNED) for s in self.seeds if s not in there]

    @property
    def unit(self) -> str:
        """What is counted: `seed`, or `run` where a log names no seeds."""
        seeds = {seed for stratum in self.tested for seed in stratum.differences}
        return "run" if seeds == {None} else "seed"

    def count(self, what: str) -> int:
        """`missing`, `unpaired` or `unlike` in all strata that count together.

        A stratum of one side alone counts with its trials that have no counterpart.
        """
        aside = {id(stratum) for stratum in self.strata if stratum.both_sides}
        aside -= {id(stratum) for stratum in self.tested}
        return sum(
            getattr(stratum, what)
            for stratum in self.strata
            if stratum.source == self.source and id(stratum) not in aside
        )

    def trials(self, side: Side) -> int:
        """How many trials a side has in the compared strata."""
        return sum(sum(stratum.ends.get(side, {}).values()) for stratum in self.tested)

    @property
    def failures(self) -> dict[str, dict[Side, int]]:
        """By kind of failure, how many trials of each side failed so in the compared strata."""
        counts: dict[str, dict[Side, int]] = {}
        for kind in Failure:
            by_side: dict[Side, int] = {}
            for side in SIDES:
                by_side[side] = sum(s.ends.get(side, {}).get(kind, 0) for s in self.tested)
            if any(by_side.values()):
                counts[str(kind)] = by_side
        return counts


def seed_order(seed: Seed) -> tuple[bool, int]:
    """Sorts seeds in order, the run without one last."""
    return seed is None, seed or 0
