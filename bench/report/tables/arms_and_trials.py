"""Tables as people read them: numbers per arm and per trial as texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from bench.analysis.arm_summary import baseline_column, interval_of, result_columns, value_of
from bench.analysis.leaderboard import Mark
from bench.analysis.records import Records
from bench.metric_columns import MetricColumn, MetricKind, best_val, cross_val, on_test
from bench.report.format import numbers
from bench.report.format.cells import Cell, Column, Table, integer_column, sort_key, text_column
from bench.report.format.display_names import display_name, title

COUNTS = ("params", "trainable_params", "macs")

COST_TITLES = {
    "params": "Params",
    "trainable_params": "Trainable",
    "macs": "MACs",
    "epoch_seconds": "Epoch",
    "peak_memory_mb": "Memory",
}


MARK_WORDS = {
    Mark.BEST: "the best: the only arm in the 95% set of arms that may be",
    Mark.MAY_BE: "may be the best: in the 95% set of arms that may be",
}
Marks = Mapping[str, Mapping[int, Mark]]


def arm_table(
    records: Records,
    summary: pd.DataFrame,
    marks: Marks | None = None,
    fronts: pd.DataFrame | None = None,
) -> Table:
    """The summary per arm: labels, seeds, results with intervals, baseline, costs, Pareto fronts.

    What is left after the last epoch stands in the table of the course of training.

    `marks` are the marks_in_column by column and arm, `fronts` the memberships of `pareto_members`.
    """
    columns = label_columns(records, summary)
    columns.append(_seeds_column(summary))
    for name in result_columns(records):
        at_the_end = name.startswith((MetricKind.FINAL, MetricKind.LAST_TEN))
        if summary[name].notna().any() and not at_the_end:
            columns.append(metric_column(summary, name, (marks or {}).get(name, {})))
    columns += _baseline_columns(records, summary)
    columns += _cost_columns(summary)
    if fronts is not None and not fronts.empty:
        columns.append(_front_column(records, fronts))
    return Table(columns)


def trial_table(records: Records) -> Table:
    """Every trial with its outcome: what the numbers per arm are made of."""
    runs = records.runs
    metric = records.select.metric
    columns = [text_column("Trial", "The trial's id: its folder under results/.", runs["id"], True)]
    columns += [
        text_column(title(axis), f"Level of the axis {axis}.", runs[f"axis.{axis}"])
        for axis, levels in records.axes.items()
        if len(levels) > 1
    ]
    columns.append(
        integer_column("Seed", "Root of every random stream of the trial.", runs["seed"])
    )
    if "fold" in runs:
        about = "The fold whose images validate it; it is trained on the others'."
        columns.append(integer_column("Fold", about, runs["fold"]))
    if runs["status"].nunique() > 1:
        columns.append(text_column("Status", "How far it has come.", runs["status"]))
    columns.append(integer_column("Epochs", "Epochs trained.", runs["epochs"]))
    columns.append(
        integer_column(
            "Best epoch", f"The epoch with the best val {display_name(metric)}.", runs["best_epoch"]
        )
    )
    names = [records.best_column, on_test(metric), cross_val(metric), records.selection_column]
    names += ["best_val_loss", "overfit_gap"]
    for name in dict.fromkeys([*names, *records.closing]):
        if name in runs and runs[name].notna().any():
            columns.append(_result(name, runs[name]))
    times = runs["train_seconds"]
    cells = [Cell(numbers.seconds(v), sort_key(v)) for v in times]
    columns.append(Column("Training", MEANINGS["train_seconds"], cells))
    return Table(columns)


def trouble_table(trials: pd.DataFrame) -> Table:
    """Trials that did not go well: a frame with id, arm, status, failure and message."""
    outcome = trials["failure"].fillna(trials["status"]).str.replace("_", " ")
    return Table(
        [
            text_column("Trial", "The trial's id: its folder under results/.", trials["id"], True),
            text_column("Arm", "Its arm.", trials["arm"]),
            text_column("Outcome", "What went wrong, or how far it has come.", outcome),
            text_column("Message", "What was said.", trials["message"], wide=True),
        ]
    )


MEANINGS = {
    "params": "Parameters of the model, trainable or not.",
    "trainable_params": "Parameters that an optimizer step changes; the others are frozen.",
    "frechet": "Fréchet distance of generated from test images, with the best epoch's checkpoint, "
    "in the features that frechet_extractor names; lower is better, and comparable only with the "
    "same extractor and numbers of images.",
    "macs": "Multiply-adds of one forward pass on one image, counted by fvcore (one "
    "multiply-add = 1); median over seeds.",
    "epoch_seconds": "Seconds of training per epoch: median over the epochs after the first, "
    "without validation, device synchronised; median over seeds.",
    "peak_memory_mb": "Peak memory in MB (10⁶ bytes): the allocator's on CUDA, resident set on a "
    "CPU; median over seeds.",
    "train_seconds": "Time of training and validation together.",
    "overfit_gap": "Final minus lowest validation loss.",
}


METRIC_MEANINGS = {
    MetricKind.BASELINE_VAL: "{} of the trivial prediction on the validation split.",
    MetricKind.BASELINE_TEST: "{} of the trivial prediction on the test split.",
    MetricKind.BEST: "Best validation {} over the epochs.",
    MetricKind.FINAL: "Validation {} after the last epoch.",
    MetricKind.LAST_TEN: "Mean validation {} of the last ten epochs: no epoch is chosen.",
    MetricKind.CROSS_FITTED: "Validation {}, each image scored at the epoch that the other half of "
    "the images chose.",
    MetricKind.TEST: "{} on the test split, with the checkpoint of the best epoch.",
}


def meaning(name: str) -> str:
    """What a column of results means."""
    if name in MEANINGS:
        return MEANINGS[name]
    column = MetricColumn.parse(name)
    if column and column.kind in METRIC_MEANINGS:
        return METRIC_MEANINGS[column.kind].format(display_name(column.metric))
    return display_name(name)


def label_columns(records: Records, summary: pd.DataFrame) -> list[Column]:
    """What tells the arms apart: their labels, and their source where there are several."""
    columns = [
        text_column(title(axis), f"Level of the axis {axis}.", summary[f"axis.{axis}"])
        for axis in records.axes
    ]
    if not columns:
        columns.append(text_column("Arm", "The only arm: the spec has no axis.", summary["arm"]))
    if summary["source"].nunique() > 1:
        columns.append(text_column("Source", "Where the histories were logged.", summary["source"]))
    return columns


def _seeds_column(summary: pd.DataFrame) -> Column:
    """How many trials the numbers are made of, and how many are missing from them."""
    cells = []
    names = ["n_done", "n_failed", "n_missing", "n_unseeded"]
    for counts in summary[names].itertuples(index=False):
        done, failed, missing, unseeded = map(int, counts)
        remarks = [f"{failed} failed"] * (failed > 0) + [f"{missing} missing"] * (missing > 0)
        if unseeded:
            remarks.insert(0, f"{unseeded} run{'s' * (unseeded > 1)} without a seed")
        text = numbers.MISSING if 0 < done == unseeded else str(done - unseeded)
        cells.append(Cell(text, done, detail=f"({', '.join(remarks)})" if remarks else ""))
    about = (
        "Finished trials, the seeds that the numbers are means over; beside them those that failed "
        "or are missing (planned, running, interrupted), which no number has."
    )
    return Column("Seeds", about, cells)


def metric_column(summary: pd.DataFrame, name: str, marks: Mapping[int, Mark]) -> Column:
    """A column of results: means with their intervals, and marks on the best."""
    decimals = numbers.metric_decimals(summary, name)
    cells = []
    for number in summary.index:
        found = interval_of(summary, number, name)
        detail = numbers.bounds(found, decimals)
        if 0 < found.n < value_of(summary, number, "n_done"):
            detail = f"{detail} (n = {found.n})".lstrip()
        text = numbers.fixed(found.mean, decimals)
        mark = marks.get(number)
        note = f"n = {found.n}{f'; {MARK_WORDS[mark]}' if mark else ''}"
        cells.append(Cell(text, sort_key(found.mean), note, detail, mark))
    return Column(title(name), f"{meaning(name)} Mean over seeds [95% t-interval].", cells)


def _baseline_columns(records: Records, summary: pd.DataFrame) -> list[Column]:
    metric = records.select.metric
    names = [baseline_column(on_test(metric)), baseline_column(best_val(metric))]
    found = next((n for n in names if n in summary and summary[n].notna().any()), None)
    if found is None or summary[found].nunique() == 1:
        return []  # the headline tells a baseline that all arms share
    decimals = numbers.decimals_for(summary[found])
    cells = [Cell(numbers.fixed(v, decimals), sort_key(v)) for v in summary[found]]
    return [Column(f"Baseline {display_name(metric)}", meaning(found), cells)]


def _cost_columns(summary: pd.DataFrame) -> list[Column]:
    columns = []
    for name, heading in COST_TITLES.items():
        values = summary[name]
        if name == "trainable_params" and not (values < summary["params"]).any():
            continue  # nothing is frozen
        if values.notna().any():
            cells = [Cell(cost_text(name, v), sort_key(v), _exact(name, v)) for v in values]
            columns.append(Column(heading, MEANINGS[name], cells))
    return columns


def cost_text(name: str, value: float) -> str:
    """A cost with its unit."""
    if name == "epoch_seconds":
        return numbers.seconds(value)
    if name == "peak_memory_mb":
        return numbers.scaled(value * 1e6, "B")
    return numbers.scaled(value)


def _front_column(records: Records, fronts: pd.DataFrame) -> Column:
    """On which fronts each arm is."""
    cells, titles = [], [COST_TITLES[str(cost)] for cost in fronts]
    for row in fronts.itertuples(index=False):
        known = {t: bool(m) for t, m in zip(titles, row, strict=True) if not pd.isna(m)}
        names = [heading for heading, member in known.items() if member]
        text = f"{len(names)} of {len(known)}" if known else numbers.MISSING
        cells.append(Cell(text, len(names) if known else None, ", ".join(names)))
    about = (
        f"On how many fronts, of those against {', '.join(titles)}: no other arm has as good a "
        f"{display_name(records.best_column)} at as low a cost. Point at a number for "
        "which. By means and medians, so a description and no test. A cost that was not measured "
        "under the same conditions is left out."
    )
    return Column("Pareto", about, cells, "left")


def _exact(name: str, value: float) -> str:
    return numbers.exact(value) if name in COUNTS and math.isfinite(value) else ""


def _plain_metric(name: str, values: pd.Series[float]) -> Column:
    decimals = numbers.decimals_for(values)
    cells = [Cell(numbers.fixed(v, decimals), sort_key(v), repr(float(v))) for v in values]
    return Column(title(name), meaning(name), cells)


def _result(name: str, values: pd.Series[Any]) -> Column:
    """A column of figures, or of texts where the task says something in words."""
    if is_numeric_dtype(values):
        return _plain_metric(name, values)
    return text_column(title(name), meaning(name), values)
