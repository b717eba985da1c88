"""`bench plan` and `bench status`: tables and JSON of what is planned and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from bench.doctor import Check
from bench.plan.cost import model_costs
from bench.plan.expand import Plan
from bench.record.store import Store, TrialFiles
from bench.states import Status

COSTS = ("params", "trainable_params", "macs")


def plan_rows(plan: Plan, *, cost: bool) -> list[dict[str, Any]]:
    """One row per trial: `id, experiment, seed, axes` and the costs (None unless asked for)."""
    costs = model_costs(plan.trials) if cost else {}
    return [
        {
            "id": trial.id,
            "experiment": trial.experiment,
            "seed": trial.seed,
            "axes": dict(trial.axes),
            **{name: getattr(costs.get(trial.id), name, None) for name in COSTS},
        }
        for trial in plan.trials
    ]


def plan_table(rows: Sequence[Mapping[str, Any]], axes: Sequence[str], *, cost: bool) -> Table:
    """The rows for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("trial", *axes, "seed"):
        table.add_column(column, no_wrap=column == "trial")
    for column in COSTS if cost else ():
        table.add_column(column, justify="right")
    for row in rows:
        cells = [row["id"], *(row["axes"][axis] for axis in axes), str(row["seed"])]
        _add(table, *cells, *(_count(row[name]) for name in COSTS if cost))
    return table


def outlook_lines(plan: Plan) -> list[str]:
    """A line for each hypothesis: what the planned seeds can say of it."""
    if not plan.hypotheses:
        return []
    from bench.report.outlook import outlooks  # imports scipy

    seeds = len({trial.seed for trial in plan.trials})
    return [
        f"{'Careful' if found.doubtful else 'Hypothesis'}: {found.text}."
        for found in outlooks(plan.hypotheses, seeds)
    ]


def status_rows(store: Store, experiment: str) -> list[dict[str, Any]]:
    """One row per planned or recorded trial: how far it is, and how good."""
    plan = store.plan(experiment) or {"trials": [], "select": None}
    recorded = {files.id: files for files in store.trials(experiment)}
    planned = [trial["id"] for trial in plan["trials"]]
    ids = list(dict.fromkeys([*planned, *recorded]))
    running = store.holder(experiment) is not None
    select = plan["select"]
    return [
        _status_row(experiment, recorded.get(key) or store.trial(experiment, key), running, select)
        | {"in_plan": key in planned}
        for key in ids
    ]


def _status_row(
    experiment: str, files: TrialFiles, running: bool, select: Mapping[str, str] | None
) -> dict[str, Any]:
    status, history = files.status(), files.history()
    # nobody holds the experiment, so whoever was running this is gone
    lost = status.status is Status.RUNNING and not running
    metric = select["metric"] if select else None
    values = [row[metric] for row in history if row.get(metric) is not None] if metric else []
    best = (max if select and select["mode"] == "max" else min)(values, default=None)  # type: ignore[type-var]
    return {
        "id": files.id,
        "experiment": experiment,
        "status": str(Status.INTERRUPTED if lost else status.status),
        "failure": status.failure and str(status.failure),
        "message": status.message,
        "epoch": len(history),
        "metric": metric,
        "best": best,
        "updated": status.updated,
    }


def status_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("experiment", "trial", "status", "epochs", "best", "message"):
        table.add_column(column, no_wrap=column == "trial")
    for row in rows:
        best = "–" if row["best"] is None else f"{row['metric']} {row['best']:.4f}"
        why = f"{row['failure']}: {row['message']}" if row["failure"] else ""
        why = why if row["in_plan"] else "not in the latest plan"
        _add(table, row["experiment"], row["id"], row["status"], str(row["epoch"]), best, why)
    return table


def doctor_table(checks: Sequence[Check]) -> Table:
    """The checks for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "check", "finding", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        _add(table, check.state, check.name, check.finding, check.remedy)
    return table


def _add(table: Table, *cells: str) -> None:
    """Add a row of plain text: brackets in it are no markup."""
    table.add_row(*map(Text, cells))


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
