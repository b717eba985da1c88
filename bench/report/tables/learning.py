"""How each arm learns, as a table."""

from __future__ import annotations

import math

import pandas as pd

from bench.analysis.records import Records
from bench.metric_columns import final_val, last_ten
from bench.report.format import numbers
from bench.report.format.cells import Cell, Column, Table, sort_key
from bench.report.format.display_names import display_name
from bench.report.tables.arms_and_trials import Marks, label_columns, metric_column

EPOCHS = "Median over seeds, and the range where they differ."


def learning_table(
    records: Records, summary: pd.DataFrame, found: pd.DataFrame, marks: Marks | None = None
) -> Table:
    """The frame of `learning_summary` for people; `marks` by column and arm."""
    metric = display_name(records.select.metric)
    columns = [
        *label_columns(records, summary),
        _epochs("Epochs", f"Trained. {EPOCHS}", "epochs", found),
    ]
    columns.append(
        _figure(
            f"Best val {metric} @ epoch",
            f"Mean over seeds, and at which epoch: {EPOCHS}",
            records.selection_column,
            found,
            "best_epoch",
        )
    )
    if "best_val_loss" in found and records.select.metric != "loss":
        about = f"Mean over seeds, and at which epoch: {EPOCHS}"
        heading = "Lowest val loss @ epoch"
        columns.append(_figure(heading, about, "best_val_loss", found, "lowest_loss_epoch"))
    about = f"The first epoch with 95% of the trial's own best val {metric}. {EPOCHS}"
    columns.append(_epochs("Epochs to 95%", about, "epochs_to_95pct", found))
    about = "After the last epoch, mean over seeds."
    columns.append(_figure("Final train loss", about, "final_train_loss", found))
    chosen = records.select.metric
    for name in dict.fromkeys(("final_val_loss", final_val(chosen), last_ten(chosen))):
        if name in summary and summary[name].notna().any():
            columns.append(metric_column(summary, name, (marks or {}).get(name, {})))
    return Table(columns)


def _figure(
    heading: str, about: str, name: str, found: pd.DataFrame, at: str | None = None
) -> Column:
    decimals = numbers.decimals_for(found[name])
    cells = []
    for row, value in enumerate(found[name]):
        epoch = "" if at is None else _span(found, at, row)
        detail = f"@ {epoch}" if epoch else ""
        cells.append(Cell(numbers.fixed(value, decimals), sort_key(value), detail=detail))
    return Column(heading, about, cells)


def _epochs(heading: str, about: str, name: str, found: pd.DataFrame) -> Column:
    cells = []
    for row, value in enumerate(found[name]):
        cells.append(Cell(_span(found, name, row) or numbers.MISSING, sort_key(value)))
    return Column(heading, about, cells)


def _span(found: pd.DataFrame, name: str, row: int) -> str:
    """`37`, or `37 (31–52)` where seeds differ; nothing where it is missing."""
    middle, least, most = (
        float(found[f"{name}{end}"].iloc[row]) for end in ("", "_least", "_most")
    )
    if math.isnan(middle):
        return ""
    middle, least, most = (round(value, 1) for value in (middle, least, most))  # over folds: a mean
    text = f"{middle:g}"
    return text if least == most else f"{text} ({least:g}–{most:g})"
