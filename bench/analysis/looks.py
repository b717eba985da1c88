"""Seeds repeated until settled, from the records: which look says what of which hypothesis.

The looks that the records allow are taken anew each time, from the first. So it makes no difference
in which order trials ended, or how often a run was interrupted.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bench.analysis.contrast_tests import Basis, Observed, Tested, run_test
from bench.analysis.evidence import Bounds, Evidence
from bench.analysis.futility import (
    LastLook,
    chance_of_runs,
    chance_over_both,
    chance_over_images,
    chance_over_seeds,
)
from bench.analysis.observations import contrast_of, observed
from bench.analysis.pairing import pairs_of
from bench.analysis.path_round import seeds_of_path
from bench.analysis.records import Records
from bench.analysis.repeats import Arm, Decision, Progress, State, replay
from bench.analysis.score_reader import ScoreTable
from bench.analysis.sequential import RHO, Boundaries
from bench.analysis.stats import Sample
from bench.analysis.two_sources import FEWEST_GROUPS, Over
from bench.plan.design import CONFIGURATION, DesignKind
from bench.plan.repeats import compared_arms
from bench.record.columns import Status
from bench.spec.hypotheses import Hypothesis
from bench.spec.repeats import RepeatPlan
from bench.states import BENCH_SOURCE

ALPHA = 0.05


@dataclass(frozen=True)
class HypothesisLook:
    """What the looks say of one hypothesis.

    Attributes:
        decision: where it stands.
        boundaries: of all looks.
        n_seeds: it is judged on so many: those of its last look.
        level: nominal level of that look, of repeated intervals; of the next before the first.
        next_level: what the p-value of its test must fall below at the next look, at the level that
            is left to it; None where it is settled or there is none.
        chance: of being settled at the last look, as predicted at its own; None: not predicted.
        stopped: whether the budget was used up before its next look.
    """

    decision: Decision
    boundaries: Boundaries
    n_seeds: int
    level: float
    next_level: float | None = None
    chance: float | None = None
    stopped: bool = False

    @property
    def look(self) -> int | None:
        """Which look was its last, from 1."""
        return None if self.decision.look is None else self.decision.look + 1

    @property
    def next_seeds(self) -> int | None:
        """Seeds of the look after that; None after the last."""
        looks, at = self.boundaries.looks, self.look or 0
        return looks[at] if at < len(looks) else None

    @property
    def is_early(self) -> bool:
        """Whether it was settled before the last look, when its estimate is rather too large."""
        settled = self.decision.state is State.SETTLED
        return settled and self.next_seeds is not None

    def record(self) -> dict[str, object]:
        """Its entry in verdicts.json."""
        going_on = self.decision.state is not State.SETTLED
        return {
            "state": str(self.decision.state),
            "look": self.look,
            "looks": list(self.boundaries.looks),
            "seeds": self.n_seeds,
            "interval_level": 1 - self.level,
            "next_seeds": self.next_seeds if going_on else None,
            "next_level": self.next_level,
            "chance": self.chance,
            "budget_used_up": self.stopped,
        }


@dataclass(frozen=True)
class Looks:
    """All looks that the records of an experiment allow.

    Attributes:
        repeats: as planned.
        boundaries: of these looks.
        progress: what was decided, and what is next.
        tested: the ids of the hypotheses in `progress`: all that a seed can change.
        chances: by id, as of `HypothesisLook`.
        seconds: training time of all trials that the looks rest on.
        axes: of the labels in `progress.arms`.
    """

    repeats: RepeatPlan
    boundaries: Boundaries
    progress: Progress
    tested: tuple[str, ...]
    chances: dict[str, float]
    seconds: float
    axes: tuple[str, ...]

    @property
    def is_budget_used_up(self) -> bool:
        """Whether no further seeds may be begun, though hypotheses ask for them."""
        budget, progress = self.repeats.budget, self.progress
        begun = progress.looks_taken > 0 and progress.n_next is not None
        return begun and budget is not None and self.seconds >= budget

    @property
    def arms_going_on(self) -> list[tuple[str, ...]]:
        """The labels of the arms that open hypotheses are about, on `axes`."""
        return sorted(arm for arm in self.progress.arms if isinstance(arm, tuple))

    @property
    def arms_stopped(self) -> list[tuple[str, ...]]:
        """Those that the last look waited for, and the next does not."""
        last = frozenset[Arm]().union(*self.progress.arms_of_looks[-1:])
        return sorted(arm for arm in last - self.progress.arms if isinstance(arm, tuple))

    @property
    def seeds_of_arms(self) -> dict[Arm, int]:
        """How many seeds the looks taken rest on, and the next waits for, by arm."""
        progress, found = self.progress, dict[Arm, int]()
        for n, arms in zip(self.boundaries.looks, progress.arms_of_looks, strict=False):
            found |= dict.fromkeys(arms, n)
        if progress.n_next is not None and not self.is_budget_used_up:
            found |= dict.fromkeys(progress.arms, progress.n_next)
        return found

    @property
    def n_open(self) -> int:
        """How many hypotheses are not settled, futile ones too."""
        return sum(one.state is not State.SETTLED for one in self.progress.decisions)

    def of(self, hypothesis: Hypothesis) -> HypothesisLook | None:
        """What they say of a hypothesis; None: no seed changes its figure."""
        if hypothesis.id not in self.tested:
            return None
        decision = self.progress.decisions[self.tested.index(hypothesis.id)]
        at = decision.look or 0
        is_open = decision.state is not State.SETTLED
        following = 0 if decision.look is None else at + 1
        next_level = None
        if is_open and following < len(self.boundaries.looks):
            one_sided = hypothesis.expect == "equivalent" or not isinstance(hypothesis.b, dict)
            factor = 2 if one_sided else 1
            left = min(1.0, factor * ALPHA / max(1, self.n_open))
            next_level = float(self.boundaries.level(following, left)) / factor
        return HypothesisLook(
            decision,
            self.boundaries,
            self.boundaries.looks[at],
            float(self.boundaries.level(at, ALPHA)),
            next_level,
            self.chances.get(hypothesis.id) if is_open else None,
            decision.state is State.OPEN and self.is_budget_used_up,
        )

    def judged(self, records: Records, hypothesis: Hypothesis) -> Records:
        """The records that a hypothesis is judged on: those of its last look's seeds."""
        found = self.of(hypothesis)
        n = self.boundaries.looks[0] if found is None else found.n_seeds
        return of_first_seeds(records, n)


def looks_of(records: Records, table: ScoreTable) -> Looks | None:
    """Take the looks; None where seeds are not repeated until settled.

    Args:
        records: of the experiment.
        table: scores of all figures that its hypotheses are about.
    """
    if records.repeats is None:
        return None
    boundaries = boundaries_of(records.repeats)
    hypotheses = [each for each in records.hypotheses if not each.exact]
    tests = LookTests(records, hypotheses, table)
    chances: dict[int, float] = {}

    def predicted(i: int, n: int, last: LastLook) -> float:
        chances[i] = tests.chance(i, n, last)
        return chances[i]

    progress = replay(
        boundaries,
        [tests.arms(each) for each in hypotheses],
        tests.evidence,
        lambda arms, n: is_path_over(records) and tests.are_final(arms, n),
        predicted,
        ALPHA,
        records.repeats.futility,
    )
    taken = progress.looks_taken
    return Looks(
        records.repeats,
        boundaries,
        progress,
        tuple(each.id for each in hypotheses),
        {hypotheses[i].id: chance for i, chance in chances.items()},
        training_seconds(records, boundaries.looks[taken - 1]) if taken else 0.0,
        tuple(records.axes),
    )


def is_path_over(records: Records) -> bool:
    """Whether the steps of an ablation path are known; before, not all of its hypotheses are."""
    design = records.design
    if design is None or design.kind is not DesignKind.PATH:
        return True
    is_stuck = bool(records.path) and records.path[-1].is_final and records.path[-1].taken is None
    return is_stuck or len(design.steps) == len(design.components)


def boundaries_of(repeats: RepeatPlan) -> Boundaries:
    """The boundaries of its looks; those taken under earlier plans keep their levels."""
    before: Boundaries | None = None
    taken = 0
    for earlier in repeats.earlier:
        before = Boundaries(earlier.looks, RHO, before, taken)
        taken = earlier.taken
    return Boundaries(repeats.looks, RHO, before, taken)


def of_first_seeds(records: Records, n: int) -> Records:
    """The records without our trials of later seeds than the first n of the plan."""
    runs = records.runs
    keep = (runs["seed"] < n).fillna(False).astype(bool) | (runs["source"] != BENCH_SOURCE)
    return replace(records, runs=runs[keep].reset_index(drop=True))


def training_seconds(records: Records, n: int) -> float:
    """Seconds of training and validation of all our trials of the first n seeds.

    Of a path also those of the later seeds that its steps rest on.
    """
    ids = {*of_first_seeds(records, n).runs["id"]}
    return _seconds(records, ids | _ids_of(records, seeds_of_path(records.path)))


def seconds_of(records: Records, seeds: Mapping[str, int]) -> float:
    """The same of so many first seeds of each configuration of a design."""
    return _seconds(records, _ids_of(records, seeds))


def _ids_of(records: Records, seeds: Mapping[str, int]) -> set[str]:
    if not seeds:
        return set()
    runs = records.runs[records.runs["source"] == BENCH_SOURCE]
    most = runs[f"axis.{CONFIGURATION}"].map(seeds).fillna(0)
    return {*runs["id"][(runs["seed"] < most).fillna(False).astype(bool)]}


def _seconds(records: Records, ids: Set[str]) -> float:
    rows = records.history[records.history["id"].isin(ids)]
    return float(rows[["epoch_seconds", "val_seconds"]].sum().sum())


@dataclass
class LookTests:
    """The tests of hypotheses on the first n seeds, each made once."""

    records: Records
    hypotheses: Sequence[Hypothesis]
    table: ScoreTable
    _seen: dict[tuple[int, int], tuple[Observed, Tested, Over]] = field(default_factory=dict)
    _records: dict[int, Records] = field(default_factory=dict)

    @cached_property
    def _planned_arms(self) -> list[dict[str, str]]:
        """The labels of every planned arm."""
        known = zip(self.records.labels, self._ours, strict=True)
        return list({_arm(labels): labels for labels, ours in known if ours}.values())

    @cached_property
    def _ours(self) -> list[bool]:
        runs, planned = self.records.runs, self.records.is_planned
        return list(planned & (runs["source"] == BENCH_SOURCE))

    @cached_property
    def _statuses(self) -> dict[tuple[Arm, int], str]:
        """Of our trials by arm and seed."""
        runs, labels = self.records.runs, self.records.labels
        ours = (runs["source"] == BENCH_SOURCE) & runs["seed"].notna()
        seeds, statuses = runs["seed"].tolist(), runs["status"].tolist()
        return {(_arm(labels[i]), int(seeds[i])): statuses[i] for i in np.flatnonzero(ours)}

    def arms(self, hypothesis: Hypothesis) -> frozenset[Arm]:
        """The planned arms of a hypothesis, in the strata that both sides have."""
        planned = self._planned_arms
        found = compared_arms(hypothesis, planned, self.records.design)
        return frozenset(_arm(planned[i]) for i in found)

    def arms_with(self, axis: str, label: str) -> frozenset[Arm]:
        """All planned arms with a label."""
        return frozenset(_arm(own) for own in self._planned_arms if own.get(axis) == label)

    def are_final(self, arms: frozenset[Arm], n: int) -> bool:
        """Whether the first n seeds of these arms are done, or have failed for good."""
        final = (Status.DONE, Status.FAILED)
        return all(self._statuses.get(one) in final for one in itertools.product(arms, range(n)))

    def has_failed(self, arms: frozenset[Arm], n: int) -> bool:
        """Whether a trial among the first n seeds of these arms has."""
        return any(
            self._statuses.get(one) == Status.FAILED for one in itertools.product(arms, range(n))
        )

    def evidence(self, i: int, n: int) -> Evidence | None:
        """By the hypothesis's own test; None where it cannot be made."""
        _, test, _ = self._test(i, n)
        return test.evidence if test.basis is Basis.TEST else None

    def chance(self, i: int, n: int, last: LastLook) -> float:
        """Chance that it is settled at the last look; 1 where that is not known yet."""
        seen, test, over = self._test(i, n)
        bounds, sources = _bounds(self.hypotheses[i]), seen.sources
        if test.basis is Basis.FEW:
            few_images = sources is not None and sources.n_groups < FEWEST_GROUPS
            return 0.0 if few_images and over is not Over.SEEDS else 1.0
        if test.basis is not Basis.TEST:  # no scatter, or no scores of images
            return 0.0
        chances = [1.0]
        if not isinstance(self.hypotheses[i].b, dict):
            chances.append(chance_of_runs(seen.differences, bounds, last))
        elif over is Over.SEEDS or sources is None:
            values = seen.differences
            sample = Sample(float(values.mean()), float(values.std(ddof=1)), len(values))
            chances.append(chance_over_seeds(sample, bounds, last))
        if over is not Over.SEEDS and sources is not None:
            over_images = chance_over_both if over is Over.BOTH else chance_over_images
            chances.append(over_images(sources, bounds, last))
        return min(chances)

    def _test(self, i: int, n: int) -> tuple[Observed, Tested, Over]:
        if (i, n) not in self._seen:
            if n not in self._records:
                self._records[n] = of_first_seeds(self.records, n)
            records, hypothesis = self._records[n], self.hypotheses[i]
            pairs = pairs_of(records, hypothesis)
            seen = observed(records, hypothesis, pairs, self.table)
            contrast = contrast_of(records, hypothesis, pairs, seen.sources)
            test = run_test(contrast, seen, _bounds(hypothesis), ALPHA)
            self._seen[i, n] = seen, test, contrast.over
        return self._seen[i, n]


def _bounds(hypothesis: Hypothesis) -> Bounds:
    """Differences, of a number too, are from 0."""
    return Bounds.of(hypothesis.expect, hypothesis.margin)


def _arm(labels: dict[str, str]) -> Hashable:
    return tuple(labels.values())
