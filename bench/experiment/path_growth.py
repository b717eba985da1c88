"""The rounds of an ablation path: which candidates are trained next."""

from __future__ import annotations

from bench.analysis.path import PathRound, path_rounds
from bench.analysis.records import Records
from bench.experiment.growth import Growth, Round
from bench.plan.design import CONFIGURATION, DesignKind
from bench.plan.plan import Plan


def path_growth(plan: Plan) -> Growth | None:
    """The growth of a plan whose design is a path; None of others."""
    is_path = plan.design is not None and plan.design.kind is DesignKind.PATH
    return next_round if is_path else None


def next_round(plan: Plan, records: Records) -> Round:
    """The candidates of the first round that has some that are not planned yet."""
    assert plan.design is not None
    rounds = path_rounds(records)
    taken = [one.taken for one in rounds if one.taken is not None]
    count = len(plan.design.components)
    lines = tuple(
        _line(number, count, one, plan.select.metric)
        for number, one in enumerate(rounds, start=1)
        if one.taken is not None
    )
    if len(taken) == count:
        return Round((), lines, f"path: {' → '.join(taken)}")
    if rounds[-1].is_final:
        failed = "every candidate has a failed trial (--retry-failed runs them again)"
        return Round((), (*lines, f"The path stops after {len(taken)} of {count} steps: {failed}."))
    wanted = set(plan.design.candidates(taken).values())
    new = tuple(trial for trial in plan.further if trial.axes[CONFIGURATION] in wanted)
    return Round(new, lines, f"path: step {len(taken) + 1} of {count}")


def _line(number: int, count: int, found: PathRound, metric: str) -> str:
    others = ", ".join(
        f"{component} {mean:.4f}"
        for component, mean in found.candidates.items()
        if component != found.taken
    )
    assert found.taken is not None
    best = f"{found.taken} ({metric} {found.candidates[found.taken]:.4f}"
    return f"Step {number} of {count}: {best}{f'; {others}' if others else ''})."
