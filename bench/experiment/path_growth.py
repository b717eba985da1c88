"""The rounds of an ablation path: which candidates are trained next, and with how many seeds."""

from __future__ import annotations

from dataclasses import replace

from bench.analysis.looks import is_path_over
from bench.analysis.path_round import seeds_of_path
from bench.analysis.path_words import path_lines, path_summary
from bench.analysis.records import Records
from bench.experiment.growth import Growth, Round
from bench.experiment.until_settled import next_seeds
from bench.plan.design import CONFIGURATION, DesignKind
from bench.plan.plan import Plan


def path_growth(plan: Plan) -> Growth | None:
    """The growth of a plan whose design is a path; None of others."""
    is_path = plan.design is not None and plan.design.kind is DesignKind.PATH
    return next_round if is_path else None


def next_round(plan: Plan, records: Records) -> Round:
    """The candidates of the step that is not decided, with the seeds that it waits for.

    With seeds that are repeated until settled also those that decided steps rest on, and once the
    path is known what its hypotheses ask for.
    """
    assert plan.design is not None
    lines, summary = tuple(path_lines(records)), path_summary(records)
    if plan.repeats is None:
        taken = [one.taken for one in records.path if one.taken is not None]
        wanted = set() if records.path[-1].is_final else {*plan.design.candidates(taken).values()}
        new = tuple(trial for trial in plan.further if trial.axes[CONFIGURATION] in wanted)
        return Round(new, lines, summary)
    seeds = seeds_of_path(records.path)
    missing = [t for t in plan.further if t.seed < seeds.get(t.axes[CONFIGURATION], 0)]
    log = {"path": [one.record() for one in records.path]}
    if not is_path_over(records):
        return Round(tuple(missing), lines, summary, {**plan.repeats.record(), "taken": [], **log})
    found = next_seeds(plan, records)
    assert found.log is not None
    return replace(
        found,
        trials=tuple({trial.id: trial for trial in (*missing, *found.trials)}.values()),
        lines=(*lines, *found.lines),
        summary="; ".join(part for part in (summary, found.summary) if part),
        log={**found.log, **log},
    )
