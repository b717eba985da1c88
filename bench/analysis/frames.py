"""The columns of a report's two tables, runs.csv and history.csv, and what is in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bench import health
from bench.history_row import HistoryRow
from bench.metric_columns import (
    BASELINES,
    CONSTANTS,
    FIGURES,
    MetricKind,
    best_val,
    cross_val,
    final_val,
    last_ten,
    on_test,
    val_curve,
)
from bench.record.columns import HISTORY, METRICS, RUNS, UNLISTED
from bench.record.files import damaged
from bench.record.store import TrialFiles
from bench.tasks.settings import SUPPORT

Curves = Mapping[str, npt.NDArray[np.float64]]
"""A trial's history by column: (epochs) each, NaN where a value is missing."""

_INTEGERS = frozenset(
    {
        "seed",
        "fold",
        "params",
        "trainable_params",
        "macs",
        "epochs",
        "best_epoch",
        "epochs_to_95pct",
    }
    | {"threads", "epoch"}
    | {f"{split}_{support}" for split in ("val", "test") for support in SUPPORT}
)
_PER_METRIC = (*FIGURES, *BASELINES)
_CONSTANT_PREDICTION = (
    MetricKind.BASELINE_TEST,
    MetricKind.CONSTANT_TEST,
    MetricKind.BASELINE_VAL,
    MetricKind.CONSTANT_VAL,
)
_FLAGS = frozenset({"channels_last", "deterministic"})
_TEXTS = frozenset(
    {"id", "experiment", "status", "failure", "message", "health", "source", "memory_kind"}
    | {"device", "precision", "data_fingerprint", "torch", "git_commit"}
)


def runs_columns(
    axes: Iterable[str], metrics: Iterable[str], summaries: Iterable[Mapping[str, Any]]
) -> list[str]:
    """The columns of runs.csv; a baseline's are those that some summary has."""
    metrics, summaries = list(metrics), list(summaries)
    known = {key for summary in summaries for key in summary}
    groups = {
        "<axes>": [f"axis.{axis}" for axis in axes],
        "<best>": [best_val(metric) for metric in metrics],
        "<final>": [final_val(metric) for metric in metrics],
        "<last>": [last_ten(metric) for metric in metrics],
        "<cross>": [name for metric in metrics if (name := cross_val(metric)) in known],
        "<test>": [on_test(metric) for metric in metrics],
        "<baseline>": [
            name
            for kind in _CONSTANT_PREDICTION
            for metric in metrics
            if (name := kind.column(metric)) in known
        ],
        "<scored>": [
            name
            for split in ("val", "test")
            for support in SUPPORT
            if (name := f"{split}_{support}") in known
        ],
        "<closing>": task_columns(summaries),
    }
    return [name for column in RUNS for name in groups.get(column, [column])]


def task_columns(summaries: Iterable[Mapping[str, Any]]) -> list[str]:
    """What summaries have besides the columns that every task's have."""
    others = {*RUNS, *UNLISTED}
    names = dict.fromkeys(key for summary in summaries for key in summary)
    prefixes = (*_PER_METRIC, *CONSTANTS, "val_scored_", f"{health.COLUMN}_")
    return [name for name in names if name not in others and not name.startswith(prefixes)]


def history_columns(metrics: Iterable[str]) -> list[str]:
    """The columns of the report's history.csv."""
    validation = [val_curve(metric) for metric in metrics]
    expanded = [n for c in HISTORY for n in (validation if c == METRICS else [c])]
    return ["id", *expanded]


def curves_of(history: Sequence[HistoryRow]) -> Curves:
    """A trial's history as arrays, a tenth of the memory that its rows take."""
    return {
        name: np.array([math.nan if (v := row[name]) is None else v for row in history])
        for name in (history[0] if history else ())
    }


def history_frame(histories: Mapping[str, Curves], metrics: Iterable[str]) -> pd.DataFrame:
    """The report's history.csv: all trials' epochs, with the trial's id in front."""
    lengths = {
        name: max(map(len, curves.values()), default=0) for name, curves in histories.items()
    }
    counts = np.array(list(lengths.values()), dtype=np.int64)
    ids = np.repeat(np.array(list(histories), dtype=object), counts)
    columns: dict[str, Any] = {}
    for column in history_columns(metrics):
        parts = [
            curves[column] if column in curves else np.full(lengths[name], math.nan)
            for name, curves in histories.items()
        ]
        columns[column] = ids if column == "id" else np.concatenate([[], *parts])
    return typed(pd.DataFrame(columns))


def check_kinds(summary: Mapping[str, Any], trial: TrialFiles) -> None:
    """A DamagedError where a figure in the summary is none."""
    for key, value in summary.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key in _INTEGERS:
            fits = number and math.isfinite(value) and value == int(value) and abs(value) < 2**63
        elif key in _FLAGS:
            fits = isinstance(value, bool)
        elif key in _TEXTS:
            fits = isinstance(value, str)
        else:
            fits = number or not (key in RUNS or key.startswith(_PER_METRIC))
        if value is not None and not fits:
            raise damaged(trial.summary_path, f"its {key} is {value!r}")


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns as what they are: counts whole (NA where missing), texts as text, else numbers.

    The frame is made anew in one piece: pandas warns of one with hundreds of columns put in singly.
    """
    columns = {str(name): _typed(str(name), values) for name, values in frame.items()}
    return pd.DataFrame(columns, frame.index)


def _typed(name: str, values: pd.Series[Any]) -> pd.Series[Any]:
    if name in _INTEGERS:
        return pd.to_numeric(values).astype("Int64")
    if name in _FLAGS:
        return values.astype("boolean")
    # a task's own fact may be a text, such as frechet_extractor
    is_text = not is_numeric_dtype(values) and any(isinstance(value, str) for value in values)
    if name in _TEXTS or name.startswith("axis.") or is_text:
        return values.astype("str")
    return pd.to_numeric(values).astype("float64")
