"""What the steps of an ablation path took, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.path_round import PathRound, StepState
from bench.analysis.records import Records


def path_lines(records: Records) -> list[str]:
    """A sentence for each step that is decided, and why the path stops where it does."""
    design, rounds = records.design, records.path
    if design is None or not rounds:
        return []
    count, metric = len(design.components), f"val/{records.select.metric}"
    lines = [
        _step_line(number, count, one, metric)
        for number, one in enumerate(rounds, start=1)
        if one.taken is not None
    ]
    if rounds[-1].is_final and rounds[-1].taken is None:
        failed = "every candidate has a failed trial (--retry-failed runs them again)"
        lines.append(f"The path stops after {len(lines)} of {count} steps: {failed}.")
    return lines


def path_frame(records: Records) -> pd.DataFrame:
    """A row for each candidate of each step that has begun, in order.

    Columns: `step` (from 1), `component`, `configuration`, `mean` (the validation score), `seeds`
    (that it was looked at with; <NA> where they are fixed), `taken`, and of the step `state` (empty
    where seeds are fixed) and `look`, how many it has taken (<NA> where they are fixed).
    """
    design = records.design
    assert design is not None
    taken: list[str] = []
    rows: list[dict[str, Any]] = []
    for step, one in enumerate(records.path, start=1):
        raced = one.state is not None
        labels = design.candidates(taken)
        rows += [
            {
                "step": step,
                "component": component,
                "configuration": labels[component],
                "mean": mean,
                "seeds": one.seeds.get(labels[component]),
                "taken": component == one.taken,
                "state": str(one.state) if raced else "",
                "look": one.looks if raced else None,
            }
            for component, mean in one.candidates.items()
        ]
        taken += [one.taken] if one.taken is not None else []
    columns = ["step", "component", "configuration", "mean", "seeds", "taken", "state", "look"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"mean": "float64", "seeds": "Int64", "look": "Int64"})


def path_summary(records: Records) -> str:
    """`path: flips → average`, or which step it is at; where seeds are added also at which look."""
    design, rounds = records.design, records.path
    assert design is not None
    taken = [one.taken for one in rounds if one.taken is not None]
    if len(taken) == len(design.components):
        return f"path: {' → '.join(taken)}"
    if not rounds or rounds[-1].is_final:
        return ""
    found = f"path: step {len(taken) + 1} of {len(design.components)}"
    last = rounds[-1]
    return f"{found}, {max(last.seeds.values())} seeds" if last.looks else found


def _step_line(number: int, count: int, found: PathRound, metric: str) -> str:
    assert found.taken is not None
    others = [
        f"{component} {_score(mean)}"
        for component, mean in found.candidates.items()
        if component != found.taken
    ]
    best = f"{found.taken} ({metric} {_score(found.candidates[found.taken])}"
    scores = "; ".join([best, ", ".join(others)] if others else [best])
    return f"Step {number} of {count}: {scores}){_how_settled(found)}."


def _score(mean: float) -> str:
    return "failed" if math.isnan(mean) else f"{mean:.4f}"


def _how_settled(found: PathRound) -> str:
    """How a choice came about where seeds are added; empty where they are fixed."""
    seeds = max(found.seeds.values(), default=0)
    if found.state is None or len(found.candidates) == 1:
        return ""
    if found.state is StepState.SETTLED:
        return f", settled at look {found.looks} ({seeds} seeds)"
    why = {
        StepState.FUTILE: "more seeds will hardly tell them apart",
        StepState.LAST_LOOK: "that was the last look",
        StepState.BUDGET: "the budget is used up",
    }[found.state]
    others = [name for name in found.left if name != found.taken]
    own = dict(zip(found.candidates, found.seeds.values(), strict=True))
    seeds = min(own[name] for name in found.left)  # what they are compared on
    return (
        f", the best of {seeds} seeds, but not settled: {_listed(others)} may be as good, and {why}"
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
