"""What `bench plan` and `bench status` say of seeds that are repeated until settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.durations import format_duration
from bench.plan.design import DesignKind
from bench.plan.plan import Plan
from bench.record.store import Store


def plan_look_lines(plan: Plan) -> list[str]:
    """How many trials there may be, and when hypotheses are tested; nothing of fixed seeds."""
    repeats = plan.repeats
    if repeats is None:
        return []
    looks = repeats.looks
    fewest, most = len(plan.trials), plan.most_trials
    is_path = plan.design is not None and plan.design.kind is DesignKind.PATH
    who = "steps of the path and hypotheses" if is_path else "hypotheses"
    listed = f"{', '.join(map(str, looks[:-1]))} and {looks[-1]}" if len(looks) > 1 else looks[0]
    lines = [
        f"{fewest} to {most} trials: {looks[0]} seeds of every arm, then as many as {who} "
        f"take that are not settled, at most {looks[-1]}; looks at {listed} seeds."
        if most > fewest
        else f"{fewest} trials: {looks[0]} seeds of every arm, and no hypothesis asks for more."
    ]
    if repeats.budget is not None:
        lines.append(f"No further seeds after {format_duration(repeats.budget)} of training.")
    return lines


def with_further(rows: Sequence[Mapping[str, Any]], plan: Plan) -> list[dict[str, Any]]:
    """All trials that there may be, each with its `look`: the seeds of the first that needs it.

    Those of the first look are certain. Of fixed seeds the rows are as they were.
    """
    if plan.repeats is None:
        return [dict(row) for row in rows]
    looks = plan.repeats.looks
    of_arm = {tuple(row["axes"].values()): row for row in rows}
    later = [
        {**of_arm[tuple(trial.axes.values())], "id": trial.id, "seed": trial.seed}
        for trial in plan.further
        if tuple(trial.axes.values()) in of_arm  # what a path may come by is not known
    ]
    return [{**row, "look": next(n for n in looks if row["seed"] < n)} for row in (*rows, *later)]


def status_look_lines(store: Store, experiment: str) -> list[str]:
    """Where every hypothesis stands, and what comes next; nothing of fixed seeds.

    Raises:
        StoreError: the records cannot be read.
    """
    if "repeats" not in (store.plan(experiment) or {}):
        return []
    from bench.analysis.hypotheses import tested_outcomes  # imports scipy and pandas
    from bench.analysis.load import load
    from bench.analysis.look_words import look_lines
    from bench.analysis.looks import looks_of
    from bench.analysis.observations import read_scores_of
    from bench.analysis.path_words import path_lines

    records = load(store, experiment)
    table = read_scores_of(records, records.hypotheses)
    looks = looks_of(records, table)
    if looks is None:
        return []
    lines = [
        *path_lines(records),
        *look_lines(looks, tested_outcomes(records, table, looks), every=True),
    ]
    return [f"{experiment}: {lines[0]}", *lines[1:]]
