"""`seeds: {until: settled}`: an experiment grows by the seeds that its open hypotheses need."""

from __future__ import annotations

from typing import Any

from bench.analysis.hypotheses import tested_outcomes
from bench.analysis.load import load, repeats_in
from bench.analysis.look_words import earlier_looks, look_counts, look_lines
from bench.analysis.looks import Looks, looks_of
from bench.analysis.observations import read_scores_of
from bench.analysis.records import NO_LABEL, Records
from bench.errors import DamagedError
from bench.experiment.growth import Growth, Round
from bench.plan.plan import Plan
from bench.record.store import Store


def until_settled(plan: Plan) -> Growth | None:
    """Growth by further seeds; None where the plan's seeds are fixed."""
    return None if plan.repeats is None else next_seeds


def next_seeds(plan: Plan, records: Records) -> Round:
    """The trials that the looks taken rest on, and those that the next one waits for."""
    table = read_scores_of(records, records.hypotheses)
    looks = looks_of(records, table)
    assert looks is not None, "the plan repeats seeds"
    tested = tested_outcomes(records, table, looks)
    wanted = looks.seeds_of_arms
    trials = tuple(
        trial
        for trial in plan.further
        if trial.seed < wanted.get(tuple(trial.axes.get(axis, NO_LABEL) for axis in looks.axes), 0)
    )
    return Round(trials, tuple(look_lines(looks, tested)), look_counts(looks), log_of(looks))


def continued(plan: Plan, store: Store) -> Plan:
    """The plan, whose looks go on from those that were taken as the recorded plan had them.

    Raises:
        StoreError: the records cannot be read.
    """
    if plan.repeats is None:
        return plan
    try:
        recorded = store.plan(plan.experiment)
        before = repeats_in(recorded or {}, store.plan_path(plan.experiment))
    except DamagedError:
        return plan
    if before is None:
        return plan
    taken, steps = 0, list[int]()
    if before.asked != plan.repeats.asked:
        records = load(store, plan.experiment, recorded)
        looks = looks_of(records, read_scores_of(records, records.hypotheses))
        taken = 0 if looks is None else looks.progress.looks_taken
        steps = [one.looks for one in records.path]
    return plan.repeating(plan.repeats.continuing(before, taken, steps))


def changed_looks(plan: Plan) -> list[str]:
    """That the looks were changed after some were taken, for a person."""
    changed = [] if plan.repeats is None else earlier_looks(plan.repeats)
    return [f"{each[0].upper()}{each[1:]}." for each in changed]


def log_of(looks: Looks) -> dict[str, Any]:
    """What looks.json keeps: every look as it was taken, and what is next."""
    progress, n = looks.progress, looks.boundaries.looks
    return {
        **looks.repeats.record(),
        "taken": [
            {
                "seeds": n[at],
                "hypotheses": {
                    name: {
                        "state": str(one.state),
                        "claim": one.claim and str(one.claim),
                        "p": _known(one.p),
                        "p_corrected": _known(one.p_corrected),
                    }
                    for name, one in zip(looks.tested, decisions, strict=True)
                },
            }
            for at, decisions in enumerate(progress.history)
        ],
        "next": progress.n_next,
        "arms": [list(arm) for arm in looks.arms_going_on],
        "budget_used_up": looks.is_budget_used_up,
    }


def _known(value: float) -> float | None:
    return None if value != value else value  # NaN
