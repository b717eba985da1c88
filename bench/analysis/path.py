"""An ablation path: which component each of its rounds takes (Fawcett and Hoos 2016).

From one configuration to another that differs in several components, each round tries every
component that is left and takes the best one: that of the highest (or lowest) mean of the
validation score at the selected epoch, over all planned seeds and combinations of other axes;
equally good ones are taken in the spec's order.

With fixed seeds all candidates have every seed. Where seeds are repeated until settled, they are
raced, as in the original: by `bench.analysis.path_race`, whose looks keep the error of a step.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bench.analysis.evidence import Evidence
from bench.analysis.futility import LastLook
from bench.analysis.looks import ALPHA, LookTests, boundaries_of, seconds_of
from bench.analysis.observations import read_scores_of
from bench.analysis.path_race import Observations, Pair, RaceRules, race
from bench.analysis.path_round import PathRound, StepState, seeds_of_path
from bench.analysis.records import Records
from bench.analysis.repeats import Arm
from bench.metric_columns import on_test
from bench.plan.component_hypotheses import component_hypotheses
from bench.plan.design import CONFIGURATION, FROM, TO, DesignKind
from bench.record.columns import Status
from bench.spec.hypotheses import Hypothesis
from bench.states import BENCH_SOURCE

_FINAL = (str(Status.DONE), str(Status.FAILED))


def path_rounds(records: Records) -> tuple[PathRound, ...]:
    """The rounds that are decided, and the one that is not, in order; empty without a path."""
    design = records.design
    if design is None or design.kind is not DesignKind.PATH:
        return ()
    rounds: list[PathRound] = []
    taken: list[str] = []
    while len(taken) < len(design.components):
        candidates = design.candidates(taken)
        if records.repeats is None:
            rounds.append(_round(records, candidates))
        else:
            rounds.append(_raced_round(records, candidates, rounds))
        last = rounds[-1].taken
        if last is None:
            break
        taken.append(last)
    return tuple(rounds)


def with_path(records: Records) -> Records:
    """The records with the path that they decide, and a hypothesis for each of its steps.

    Unchanged where the experiment has no path.
    """
    design = records.design
    if design is None or design.kind is not DesignKind.PATH:
        return records
    rounds = path_rounds(records)
    design = design.with_steps([r.taken for r in rounds if r.taken is not None])
    whole = [h.metric for h in records.hypotheses if h.a == {CONFIGURATION: TO}]
    default = whole[-1] if whole else on_test(records.select.metric)  # the plan's own comes last
    metric = design.metric or default
    declared = {(h.metric, *_labels(h.a), *_labels(h.b)) for h in records.hypotheses}
    ids = [h.id for h in records.hypotheses]
    made = component_hypotheses(design, metric, records.select.mode, ids)
    over = records.over
    new = tuple(
        one.model_copy(update={"over": over})
        for one in made
        if (one.metric, *_labels(one.a), *_labels(one.b)) not in declared
    )
    return replace(records, design=design, path=rounds, hypotheses=(*records.hypotheses, *new))


def _labels(side: Mapping[str, object] | float) -> tuple[object, ...]:
    return tuple(sorted(side.items())) if isinstance(side, Mapping) else (side,)


def _round(records: Records, candidates: Mapping[str, str]) -> PathRound:
    """What the records say of a round whose candidates lead to these configurations."""
    runs = records.runs[records.is_planned & (records.runs["source"] == records.protocol)]
    labels, statuses = runs[f"axis.{CONFIGURATION}"], runs["status"]
    is_final = True
    for label in candidates.values():
        of_label = statuses[labels == label]
        is_final &= len(of_label) > 0 and bool(of_label.isin(_FINAL).all())
    means = {c: _mean(records, runs[labels == label]) for c, label in candidates.items()}
    best = _best(records, means) if is_final else None
    return PathRound(means, best, is_final)


def _raced_round(
    records: Records, candidates: Mapping[str, str], before: Sequence[PathRound]
) -> PathRound:
    """The same where candidates get seeds until the best of them is settled."""
    assert records.repeats is not None
    boundaries = boundaries_of(records.repeats.of_step(len(before)))
    is_higher_better = records.select.mode == "max"
    rules = RaceRules(boundaries, is_higher_better, ALPHA, records.repeats.futility)
    seen = _Candidates.of(records, candidates, before)
    found = race(tuple(candidates), seen, rules)
    # those that are left are compared on the seeds that all of them have
    shared = min((found.seeds[name] for name in found.left), default=0)
    means = {}
    for name in candidates:
        n = shared if name in found.left else found.seeds[name]
        means[name] = _mean(records, seen.runs_of(name, n))
    is_open = found.state is StepState.OPEN
    best = None if is_open else _best(records, {name: means[name] for name in found.left})
    seeds_by_label = {candidates[name]: n for name, n in found.seeds.items()}
    return PathRound(means, best, not is_open, seeds_by_label, found.looks, found.state, found.left)


def _mean(records: Records, runs: pd.DataFrame) -> float:
    """Mean score of a configuration's trials; NaN where there are none, or one has no score."""
    values = runs[records.selection_column].where(runs["status"] == Status.DONE)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    return float(numbers.mean()) if len(numbers) else math.nan


def _best(records: Records, means: Mapping[str, float]) -> str | None:
    known = {component: mean for component, mean in means.items() if not math.isnan(mean)}
    choose = max if records.select.mode == "max" else min  # the first of equal ones
    return choose(known, key=lambda component: known[component]) if known else None


@dataclass
class _Candidates(Observations):
    """What the records say of the candidates of a step.

    Attributes:
        labels: of their configurations.
        tests: of all pairs, in the order of `pairs`.
        before: by configuration, the seeds that earlier steps rest on.
    """

    records: Records
    labels: Mapping[str, str]
    tests: LookTests
    pairs: Sequence[Pair]
    before: Mapping[str, int]
    _arms_of: dict[str, frozenset[Arm]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, records: Records, candidates: Mapping[str, str], before: Sequence[PathRound]
    ) -> _Candidates:
        """Of a step after others."""
        names = list(candidates)
        pairs = [Pair(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
        hypotheses = [
            Hypothesis(
                id=f"pair_{number}",
                claim=f"{pair.a} against {pair.b}",
                metric=records.selection_column,
                a={CONFIGURATION: candidates[pair.a]},
                b={CONFIGURATION: candidates[pair.b]},
                expect="higher",
                over=records.over,
            )
            for number, pair in enumerate(pairs)
        ]
        tests = LookTests(records, hypotheses, read_scores_of(records, hypotheses))
        assert records.repeats is not None
        first = dict.fromkeys((FROM, TO), records.repeats.looks[0])
        return cls(records, candidates, tests, pairs, first | seeds_of_path(before))

    def are_final(self, candidates: Collection[str], n: int) -> bool:
        """Whether they are planned, and their first n seeds final."""
        arms = [self._arms(name) for name in candidates]
        return all(arms) and all(self.tests.are_final(each, n) for each in arms)

    def has_failed(self, candidate: str, n: int) -> bool:
        """Whether one of its first n seeds has, in any combination of other axes."""
        return self.tests.has_failed(self._arms(candidate), n)

    def runs_of(self, candidate: str, n: int) -> pd.DataFrame:
        """The rows of its first n seeds, whether or not the plan has grown by all of them."""
        runs, arms = self.records.runs, self._arms(candidate)
        of_arms = np.array([tuple(own.values()) in arms for own in self.records.labels])
        ours = (runs["seed"] < n).fillna(False).astype(bool) & (runs["source"] == BENCH_SOURCE)
        return runs[ours & of_arms]

    def evidence(self, pair: Pair, n: int) -> Evidence | None:
        """By the test of any hypothesis on this score."""
        return self.tests.evidence(self.pairs.index(pair), n)

    def chance(self, pair: Pair, n: int, last: LastLook) -> float:
        """As predicted on these seeds."""
        return self.tests.chance(self.pairs.index(pair), n, last)

    def is_budget_used_up(self, seeds: Mapping[str, int]) -> bool:
        """By the training of all trials that the path rests on so far."""
        assert self.records.repeats is not None
        budget = self.records.repeats.budget
        used = dict(self.before)
        for name, n in seeds.items():
            used[self.labels[name]] = max(n, used.get(self.labels[name], 0))
        return budget is not None and seconds_of(self.records, used) >= budget

    def _arms(self, candidate: str) -> frozenset[Arm]:
        label = self.labels[candidate]
        if label not in self._arms_of:
            self._arms_of[label] = self.tests.arms_with(CONFIGURATION, label)
        return self._arms_of[label]
