"""An ablation path: which component each of its rounds takes (Fawcett and Hoos 2016).

From one configuration to another that differs in several components, each round tries every
component that is left and takes the best one: that of the highest (or lowest) mean of the
validation score at the selected epoch, over all planned seeds and combinations of other axes;
equally good ones are taken in the spec's order. The original races candidates; here all of them
have every seed, so that the choice depends on no order of running.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.records import Records
from bench.metric_columns import on_test
from bench.plan.component_hypotheses import component_hypotheses
from bench.plan.design import CONFIGURATION, TO, DesignKind
from bench.record.columns import Status

_FINAL = (str(Status.DONE), str(Status.FAILED))


@dataclass(frozen=True)
class PathRound:
    """One round.

    Attributes:
        candidates: by component, the mean score with it; NaN where trials of it failed.
        taken: the best; None where trials have not ended, or all candidates have failed ones.
        is_final: whether all its trials have ended.
    """

    candidates: Mapping[str, float]
    taken: str | None
    is_final: bool


def path_rounds(records: Records) -> list[PathRound]:
    """The rounds that are decided, and the one that is not, in order; empty without a path."""
    design = records.design
    if design is None or design.kind is not DesignKind.PATH:
        return []
    rounds: list[PathRound] = []
    taken: list[str] = []
    while len(taken) < len(design.components):
        rounds.append(_round(records, design.candidates(taken)))
        last = rounds[-1].taken
        if last is None:
            break
        taken.append(last)
    return rounds


def with_path(records: Records) -> Records:
    """The records with the path that they decide, and a hypothesis for each of its steps.

    Unchanged where the experiment has no path.
    """
    design = records.design
    if design is None or design.kind is not DesignKind.PATH:
        return records
    design = design.with_steps([r.taken for r in path_rounds(records) if r.taken is not None])
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
    return replace(records, design=design, hypotheses=(*records.hypotheses, *new))


def _labels(side: Mapping[str, object] | float) -> tuple[object, ...]:
    return tuple(sorted(side.items())) if isinstance(side, Mapping) else (side,)


def _round(records: Records, candidates: Mapping[str, str]) -> PathRound:
    """What the records say of a round whose candidates lead to these configurations."""
    runs = records.runs[records.is_planned & (records.runs["source"] == records.protocol)]
    labels, statuses = runs[f"axis.{CONFIGURATION}"], runs["status"]
    values = runs[records.selection_column].where(statuses == Status.DONE)
    means: dict[str, float] = {}
    is_final = True
    for component, label in candidates.items():
        own = values[labels == label].to_numpy(dtype=float, na_value=np.nan)
        is_final &= len(own) > 0 and bool(statuses[labels == label].isin(_FINAL).all())
        means[component] = float(own.mean()) if len(own) else math.nan
    known = {component: mean for component, mean in means.items() if not math.isnan(mean)}
    if not is_final or not known:
        return PathRound(means, None, is_final)
    choose = max if records.select.mode == "max" else min  # the first of equal ones
    return PathRound(means, choose(known, key=lambda component: known[component]), True)
