"""Numbers per arm, as frames to compute with."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bench.analysis.arms import Arm, arm_numbers, arms_of
from bench.analysis.records import Records
from bench.analysis.stats import Interval, grouped_intervals
from bench.atomic_files import replacing
from bench.metric_columns import (
    BASELINES,
    MetricColumn,
    cross_val,
    final_val,
    last_ten,
    on_test,
)
from bench.record.columns import Status
from bench.record.files import write_text

_IN_MEMORY = 20_000  # rows whose text is made as a whole
COSTS = ("params", "trainable_params", "macs", "epoch_seconds", "peak_memory_mb")


def result_columns(records: Records) -> list[str]:
    """An arm's results: figures of the selected metric; the loss; the task's own.

    The figure that ranks arms comes first.
    """
    metric = records.select.metric
    names = [records.best_column, on_test(metric), cross_val(metric), records.selection_column]
    names += [last_ten(metric), final_val(metric)]
    names = [name for name in dict.fromkeys(names) if name in records.runs]
    if "loss" in records.metrics and metric != "loss":
        names += ["best_val_loss", "final_val_loss"]
    return names + [c for c in records.closing if is_numeric_dtype(records.runs[c])]


def text_facts(records: Records) -> list[str]:
    """The columns of the task's own that are texts, `frechet_extractor` for example."""
    return [c for c in records.closing if not is_numeric_dtype(records.runs[c])]


def texts_of(records: Records) -> list[str]:
    """The texts of users and programs that the CSV files have."""
    labels = [label for levels in records.axes.values() for label in levels]
    claims = [hypothesis.claim for hypothesis in records.hypotheses]
    names = ("source", "message", *text_facts(records))
    return [*labels, *claims, *(text for name in names for text in records.runs[name].dropna())]


def arm_summary(records: Records) -> pd.DataFrame:
    """A row per arm, indexed by its number.

    Columns: `arm`; `axis.<name>`; `source`; `n_done`, `n_failed`, `n_missing` (planned, running or
    interrupted), `n_unseeded` (finished, without a seed on record); for each of `result_columns`:
    its mean over the finished seeds, with `_low` and `_high` (95% t-interval; missing below two
    seeds) and `_n` behind it; medians of `COSTS`; `baseline_…` where recorded; `trials`, the ids
    behind the numbers.
    """
    arms = arms_of(records)
    numbers = arm_numbers(records, arms)
    index = pd.Index([arm.number for arm in arms], name="number")
    found = pd.DataFrame(index=index)
    found["arm"] = [arm.label for arm in arms]
    for axis in records.axes:
        found[f"axis.{axis}"] = [arm.levels[axis] for arm in arms]
    found["source"] = [arm.source for arm in arms]
    found = found.join(_counts(records, numbers))
    done = records.done
    by = numbers.loc[done.index]
    for column in result_columns(records):
        intervals = grouped_intervals(done[column], [by]).reindex(index)
        found[column] = intervals["mean"]
        found[f"{column}_low"] = intervals["low"]
        found[f"{column}_high"] = intervals["high"]
        found[f"{column}_n"] = intervals["n"].fillna(0).astype(int)
    for column in [*COSTS, *(c for c in done.columns if c.startswith(BASELINES))]:
        found[column] = done[column].astype("float64").groupby(by).median().reindex(index)
    found["trials"] = records.runs["id"].groupby(numbers).agg(" ".join).reindex(index)
    return found


def interval_of(summary: pd.DataFrame, number: int, column: str) -> Interval:
    """The interval that a row of `arm_summary` holds for `column`."""
    mean, low, high = (value_of(summary, number, column + end) for end in ("", "_low", "_high"))
    return Interval(mean, low, high, int(value_of(summary, number, f"{column}_n")))


def value_of(summary: pd.DataFrame, number: int, column: str) -> float:
    """One number of `arm_summary`; NaN where there is no such column."""
    return float(summary[column].loc[number]) if column in summary else math.nan


def ranking(summary: pd.DataFrame, column: str, mode: str) -> list[int]:
    """Numbers of the arms that have `column`, best first; ties keep the arms' order.

    An infinite mean says nothing of an arm but that something went wrong: such arms come last.
    """
    known = summary[column].dropna()
    ordered = known.sort_values(ascending=mode == "min", kind="stable")
    finite = np.isfinite(ordered)
    return [int(number) for number in [*ordered.index[finite], *ordered.index[~finite]]]


def baseline_column(column: str) -> str:
    """The trivial prediction's figure to compare with: `baseline_dice` for `test_dice`.

    Empty where the column is not that of a metric.
    """
    parsed = MetricColumn.parse(column)
    return str(parsed.baseline) if parsed else ""


def best_trials(records: Records, arms: Sequence[Arm]) -> dict[int, str]:
    """The finished trial of each arm with the best selection figure, by the arm's number."""
    column = records.selection_column
    done = records.done.assign(number=arm_numbers(records, arms))
    ordered = done[np.isfinite(done[column])].sort_values(
        column, ascending=records.select.mode == "min", kind="stable"
    )
    return dict(ordered.groupby("number")["id"].first())


def write_csvs(records: Records, folder: Path) -> None:
    """Write runs.csv and history.csv: exact numbers, missing is empty."""
    for name, frame in (("runs.csv", records.runs), ("history.csv", records.history)):
        write_csv(frame, folder / name)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame without its index; floats read back equal to the bit."""
    if len(frame) > _IN_MEMORY:
        with replacing(path) as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n", mode="x", errors="replace")
        return
    text = io.StringIO()
    frame.to_csv(text, index=False, lineterminator="\n")
    write_text(path, text.getvalue())


def _counts(records: Records, numbers: pd.Series[int]) -> pd.DataFrame:
    status = records.runs["status"]
    states = {
        "n_done": status == Status.DONE,
        "n_failed": status == Status.FAILED,
        "n_missing": ~status.isin([Status.DONE, Status.FAILED]),
        "n_unseeded": (status == Status.DONE) & records.runs["seed"].isna(),
    }
    return pd.DataFrame({name: found.groupby(numbers).sum() for name, found in states.items()})
