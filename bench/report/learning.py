"""How each arm learns: when it is at its best, how soon it gets there, and where it ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bench.report import numbers
from bench.report.arms import Arm, arm_numbers
from bench.report.cells import Cell, Column, Table, sort_key
from bench.report.layout import Marks, label_columns, metric_column
from bench.report.load import Records
from bench.report.wording import nice

EPOCHS = "Median over seeds, and the range where they differ."


def learning_summary(records: Records, summary: pd.DataFrame, arms: Sequence[Arm]) -> pd.DataFrame:
    """A row per arm, as in `summary`, of its finished trials.

    Columns: `arm`, `axis.<name>`, `source`; `n`; means over seeds of the selected metric's best and
    final value, of the lowest validation loss, and of both losses after the last epoch; medians of
    `epochs`, `best_epoch`, `lowest_loss_epoch` and `epochs_to_95pct`, with `_least` and `_most`
    behind each.
    """
    done = records.done.assign(arm=arm_numbers(records, arms)[records.done.index])
    done["lowest_loss_epoch"] = done["id"].map(_lowest_loss_epochs(records))
    groups = done.groupby("arm")
    found = summary[["arm", *(f"axis.{axis}" for axis in records.axes), "source"]].copy()
    found["n"] = groups.size().reindex(found.index).fillna(0).astype(int)
    for name in mean_columns(records):
        found[name] = groups[name].mean().reindex(found.index)
    for name in ("epochs", "best_epoch", "lowest_loss_epoch", "epochs_to_95pct"):
        values = done[name].astype("float64").groupby(done["arm"])
        found[name] = values.median().reindex(found.index)
        found[f"{name}_least"] = values.min().reindex(found.index)
        found[f"{name}_most"] = values.max().reindex(found.index)
    return found


def mean_columns(records: Records) -> list[str]:
    """The figures among the columns of `learning_summary`."""
    names = [f"best_val_{records.select.metric}", "best_val_loss"]
    names += ["final_train_loss", "final_val_loss", f"final_val_{records.select.metric}"]
    return [name for name in dict.fromkeys(names) if name in records.runs]


def learning_table(
    records: Records, summary: pd.DataFrame, found: pd.DataFrame, marks: Marks | None = None
) -> Table:
    """The frame of `learning_summary` for people; `marks` are the standings by column and arm."""
    metric = nice(records.select.metric)
    columns = [
        *label_columns(records, summary),
        _epochs("Epochs", f"Trained. {EPOCHS}", "epochs", found),
    ]
    columns.append(
        _figure(
            f"Best val {metric} @ epoch",
            f"Mean over seeds, and at which epoch: {EPOCHS}",
            f"best_val_{records.select.metric}",
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
    for name in dict.fromkeys(("final_val_loss", f"final_val_{records.select.metric}")):
        if name in summary and summary[name].notna().any():
            columns.append(metric_column(summary, name, (marks or {}).get(name, {})))
    return Table(columns)


def _lowest_loss_epochs(records: Records) -> pd.Series[int]:
    """By trial, the first epoch with the lowest finite validation loss."""
    history = records.history
    if "val/loss" not in history:
        return pd.Series(dtype="float64")
    finite = history[np.isfinite(history["val/loss"])]
    at = finite.groupby("id")["val/loss"].idxmin()
    epochs: pd.Series[int] = finite.loc[at].set_index("id")["epoch"]
    return epochs


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
    text = f"{middle:g}"
    return text if least == most else f"{text} ({least:g}–{most:g})"
