"""A trial's records under MLflow's names and within its limits. Pure; does not import MLflow."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bench.history_row import HistoryRow
from bench.metric_columns import BASELINES, MetricKind
from bench.nested import flatten
from bench.record.columns import Status
from bench.record.trial_files import TrialStatus

RUN_STATUS = {
    Status.PLANNED: "SCHEDULED",
    Status.RUNNING: "RUNNING",
    Status.DONE: "FINISHED",
    Status.FAILED: "FAILED",
    Status.INTERRUPTED: "KILLED",
    Status.PRUNED: "KILLED",  # as Optuna's own mirror has it; the tag bench.status tells which
}

_SYSTEM = frozenset(
    {"epoch_seconds", "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb"}
)
_SHOWN_BY_COLUMN = _SYSTEM | {"epochs", "threads"}
_LONGEST_KEY, _LONGEST_VALUE = 250, 500


def params(config: Mapping[str, Any]) -> dict[str, str]:
    """The label of each axis under the axis's name, the seed, and the settings, flattened.

    An axis's label replaces the setting of the same name (`train.lr`). A setting that is
    not set is left out; a list is JSON.
    """
    found = {_key(axis): _value(label) for axis, label in (config.get("axes") or {}).items()}
    found["seed"] = _value(config.get("seed"))
    if config.get("fold") is not None:
        found["fold"] = _value(config["fold"])
    for name, value in flatten(config.get("settings") or {}):
        if value is not None:
            found.setdefault(_key(name), _value(value))
    return found


def trial_tags(config: Mapping[str, Any], status: TrialStatus) -> dict[str, str]:
    """`bench.id`, `bench.common`, … and how the trial stands."""
    facts = {name: config.get(name) for name in ("id", "experiment", "seed", "common", "arm")}
    if config.get("fold") is not None:
        facts["fold"] = config["fold"]
    state = {name: getattr(status, name) for name in ("status", "failure", "message", "source")}
    # of a trial of a search: what for, and its number in the study
    part = {f"search.{name}": value for name, value in (config.get("search") or {}).items()}
    found = {"kind": "trial"} | facts | state | part
    return {f"bench.{name}": _value("" if v is None else v) for name, v in found.items()}


def epoch_metrics(row: HistoryRow) -> dict[str, float]:
    """One epoch: `train/loss`, `train/lr`, `val/dice`, costs as `system/…`; missing is left out.

    MLflow groups charts by what stands before the slash.
    """
    return {
        _key(_metric(name)): float(value)
        for name, value in row.items()
        if name != "epoch" and value is not None
    }


def _metric(column: str) -> str:
    if column in _SYSTEM:
        return f"system/{column}"
    return "train/lr" if column == "lr" else column


def is_plain_metric(column: str) -> bool:
    """Whether a column of history.csv is a metric of the same name in MLflow."""
    return column != "epoch" and _key(_metric(column)) == column


def summary_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures of summary.json: `test_dice` as `test/dice`, all others as `values/…`.

    MLflow shows groups of charts in alphabetical order: test, train and val are to come first.
    Those that the epochs' metrics tell already are left out: each would be a chart of one point.
    """
    figures = {
        name: float(value)
        for name, value in summary.items()
        if _is_number(value)
        and name not in _SHOWN_BY_COLUMN
        and not name.startswith(("final_", *BASELINES))
    }
    test = MetricKind.TEST
    return {
        _key(f"test/{test.metric_of(name)}" if name.startswith(test) else f"values/{name}"): v
        for name, v in figures.items()
    }


def summary_tags(summary: Mapping[str, Any]) -> dict[str, str]:
    """What of summary.json is no figure: device, precision, commit, …"""
    return {
        _key(f"bench.{name}"): _value(value)
        for name, value in summary.items()
        if value is not None and not _is_number(value)
    }


def epoch_times(history: Sequence[HistoryRow], start: int) -> list[int]:
    """Time at which each epoch ended, in ms: `start` and the seconds worked so far.

    It follows from the files alone, so a step that is pushed twice is the same entry in MLflow.
    """
    times, seconds = [], 0.0
    for row in history:
        seconds += (row.get("epoch_seconds") or 0.0) + (row.get("val_seconds") or 0.0)
        times.append(start + round(1000 * seconds))
    return times


def milliseconds(time: str | None) -> int | None:
    """An ISO 8601 time as MLflow has it, ms since 1970."""
    return None if time is None else round(1000 * datetime.fromisoformat(time).timestamp())


def _key(name: str) -> str:
    """Letters, digits, `_ - . / :` and space are allowed."""
    return re.sub(r"[^A-Za-z0-9_\-./: ]", "_", name)[:_LONGEST_KEY]


def _value(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, list | Mapping | bool) else str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
