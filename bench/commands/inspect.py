"""`bench plan` and `bench status`: tables and JSON of what is planned and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from bench.analysis.imported_trials import imported_select
from bench.doctor import Check
from bench.errors import DamagedError, UnconfirmedError, printable
from bench.history_row import HistoryRow
from bench.measure.footprint import Footprint
from bench.plan.cost import model_costs
from bench.plan.folds import tested_over_folds
from bench.plan.plan import Plan
from bench.record.confirm import confirmed
from bench.record.owners import Owner
from bench.record.store import Store, TrialFiles
from bench.states import BENCH_SOURCE, Status

if TYPE_CHECKING:
    from bench.plan.trial import Trial

COSTS = ("params", "trainable_params", "macs")
MEMORY = ("peak MB", "free MB")
MANY = 1_000
"""Rows from which on tables are plain text."""


def plan_rows(
    plan: Plan, *, cost: bool, memory: Mapping[str, Footprint] | None = None
) -> list[dict[str, Any]]:
    """One row per trial: `id, experiment, seed, axes` and the costs (None unless asked for).

    Of cross-validation also `fold`.

    With `memory`, each trial's, also `memory`: the fields of a `Footprint` and whether it `fits`.
    """
    costs = model_costs(plan.trials) if cost else {}
    records = {key: asdict(one) | {"fits": one.fits} for key, one in (memory or {}).items()}
    return [
        {
            "id": trial.id,
            "experiment": trial.experiment,
            "seed": trial.seed,
            **({} if trial.fold is None else {"fold": trial.fold}),
            "axes": dict(trial.axes),
            **{name: getattr(costs.get(trial.id), name, None) for name in COSTS},
            **({} if memory is None else {"memory": records[trial.id]}),
        }
        for trial in plan.trials
    ]


def memory_lines(plan: Plan, memory: Mapping[str, Footprint]) -> list[str]:
    """A line for each arm that does not fit, or only in parts of its batches, or is not known."""
    arms = {trial.arm: (trial, memory[trial.id]) for trial in plan.trials}
    return [line for trial, found in arms.values() if (line := _memory_line(trial, found))]


def _memory_line(trial: Trial, found: Footprint) -> str | None:
    name = ", ".join(trial.axes.values()) or "every trial"
    if found.problem is not None:
        return f"{name}: not known: {found.problem}."
    if not found.fits:
        takes = (
            "more than there is"
            if found.needed_mb is None
            else f"about {found.peak_mb:,.0f} MB ({found.needed_mb:,.0f} with a margin)"
        )
        free = f"{found.free_mb or 0:,.0f} MB are free"
        return f"{name} takes {takes}, and {free}: {_memory_remedy(trial, found)}."
    if found.micro_batch is not None:
        whole = trial.settings.train.batch_size
        return f"{name}: only {found.micro_batch} of {whole} images fit at once."
    return None


def _memory_remedy(trial: Trial, found: Footprint) -> str:
    if found.parts_fit is False:
        return "not even the smallest part of a batch fits; smaller images or a smaller model help"
    if trial.settings.train.micro_batch == "auto":
        return "its batches will be cut into parts"
    return f"train.micro_batch: auto {'helps' if found.parts_fit else 'may help'}"


def plan_table(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[str], *, cost: bool
) -> Table | str:
    """The rows for a terminal; as plain text, each on one line, where they are many."""
    memory = any("memory" in row for row in rows)
    folds = any("fold" in row for row in rows)
    left = ("trial", *axes, "seed", *(("fold",) if folds else ()))
    right = (*(COSTS if cost else ()), *(MEMORY if memory else ()))
    cells = [_plan_cells(row, axes, cost=cost, memory=memory) for row in rows]
    if len(rows) > MANY:
        return _plain(left, right, cells)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in left:
        table.add_column(column, no_wrap=column == "trial")
    for column in right:
        table.add_column(column, justify="right")
    for row in cells:
        _add(table, *row)
    return table


def _plan_cells(
    row: Mapping[str, Any], axes: Sequence[str], *, cost: bool, memory: bool
) -> list[str]:
    cells = [row["id"], *(row["axes"][axis] for axis in axes), str(row["seed"])]
    cells += [str(row["fold"])] if "fold" in row else []
    cells += [_count(row[name]) for name in COSTS if cost]
    return cells + [_count(row["memory"][name]) for name in ("peak_mb", "free_mb") if memory]


def _plain(left: Sequence[str], right: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Aligned columns without Rich, which takes half a second for a thousand rows."""
    lines = [[*left, *right], *cells]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    align = ["<"] * len(left) + [">"] * len(right)
    form = "  ".join(f"{{:{a}{width}}}" for a, width in zip(align, widths, strict=True))
    return "\n".join(form.format(*line).rstrip() for line in lines)


def count_words(plan: Plan) -> str:
    """`4 trials`, of cross-validation `18 trials (2 arms × 3 seeds × 3 folds)`."""
    found = f"{len(plan.trials)} trials"
    counts = {
        "arm": len({trial.arm for trial in plan.trials}),
        "seed": len({trial.seed for trial in plan.trials}),
        "fold": len({trial.fold for trial in plan.trials}),
    }
    if plan.trials[0].fold is None:
        return found
    each = [f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items()]
    return f"{found} ({' × '.join(each)})"


def outlook_lines(plan: Plan) -> list[str]:
    """What the planned seeds can say of each hypothesis; a line for those of which they say the
    same."""
    if not plan.hypotheses:
        return []
    from bench.report.narrative.outlook import outlooks  # imports scipy

    seeds, boundaries = len({trial.seed for trial in plan.trials}), None
    if plan.repeats is not None:
        from bench.analysis.looks import boundaries_of

        seeds, boundaries = plan.repeats.looks[-1], boundaries_of(plan.repeats)
    over_folds = tested_over_folds(plan.hypotheses, plan.trials[0].settings.data.folds, seeds)
    others = [each for each in plan.hypotheses if each.id not in over_folds]
    names: dict[tuple[bool, str], list[str]] = {}
    for found in outlooks(others, seeds, boundaries):
        names.setdefault((found.doubtful, found.text.removeprefix(found.id)), []).append(found.id)
    return [
        *(f"Hypothesis: {text}." for text in over_folds.values()),
        *(
            f"{'Warning' if doubtful else 'Hypothesis'}: {', '.join(ids)}{text}."
            for (doubtful, text), ids in names.items()
        ),
    ]


def status_rows(store: Store, experiment: str) -> list[dict[str, Any]]:
    """One row per planned or recorded trial: how far it is, and how good."""
    plan = store.plan(experiment) or {"trials": [], "select": None}
    recorded = {files.id: files for files in store.trials(experiment)}
    planned = [trial["id"] for trial in plan["trials"]]
    ids = list(dict.fromkeys([*planned, *recorded]))
    running = store.running(experiment)
    select = plan["select"]
    return [
        _status_row(recorded.get(key) or store.trial(experiment, key), running.get(key), select)
        | {"in_plan": key in planned}
        for key in ids
    ]


def _status_row(
    files: TrialFiles, owner: Owner | None, select: Mapping[str, str] | None
) -> dict[str, Any]:
    status, problem, left_out = files.status(), None, None
    history: Sequence[HistoryRow] = []
    try:
        history = files.history()
        if files.config_path.exists():
            confirmed(files)
    except UnconfirmedError as error:
        left_out = error.reason
        message = f"not counted: {left_out}"
        status = replace(status, status=Status.PLANNED, failure=None, message=message)
    except DamagedError as error:
        problem = str(error)
    # nobody holds the trial, so whoever was running it is gone
    lost = status.status is Status.RUNNING and owner is None
    if select is None and status.source != BENCH_SOURCE:
        select = imported_select([files.config()])
    metric = select["metric"] if select else None
    counted = history if left_out is None else ()
    values = [found for row in counted if metric and (found := row.get(metric)) is not None]
    best = (max if select and select["mode"] == "max" else min)(values, default=None)
    return {
        "id": files.id,
        "experiment": files.experiment,
        "status": str(Status.INTERRUPTED if lost else status.status),
        "failure": status.failure and str(status.failure),
        "message": status.message or problem,
        "epoch": len(history),
        "metric": metric,
        "best": best,
        "updated": status.updated,
        "run_by": None if owner is None else str(owner),
        "source": status.source,
        "left_out": left_out,
    }


def status_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("experiment", "trial", "status", "epochs", "best", "message"):
        table.add_column(column, no_wrap=column == "trial")
    for row in rows:
        best = "–" if row["best"] is None else f"{row['metric']} {row['best']:.4f}"
        why = ": ".join(text for text in (row["failure"], row["message"]) if text)
        if row["left_out"] is not None:
            pass
        elif row["source"] != BENCH_SOURCE:
            why = f"imported: {row['source']}"
        elif row["run_by"] is not None:
            why = f"by {row['run_by']}" + (f"; before: {why}" if why else "")
        elif not row["in_plan"]:
            why = "not in the latest plan"
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
    table.add_row(*(Text(printable(cell)) for cell in cells))


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
