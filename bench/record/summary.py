"""What one trial's history comes to: the columns of runs.csv that follow from history.csv."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bench.history_row import HistoryRow
from bench.metric_columns import best_val, curve_metric, final_val, val_curve

REACHED = 0.95
"""A trial has (nearly) arrived when its selected metric is within this factor of its best."""


def summarise(
    history: Sequence[HistoryRow], select: str, metrics: Mapping[str, Literal["min", "max"]]
) -> dict[str, Any]:
    """The columns of runs.csv that `history` gives; a figure that it does not give is None.

    `select` is the column (`val/dice`) whose best epoch counts, its direction being that in
    `metrics`; `metrics` names every validation metric, without `val/`. Each `best_val_*` is that
    metric's own best over all epochs, not its value at `best_epoch`. A loss that is not finite is
    no figure. With one epoch there is no epoch after the first, so `epoch_seconds` is None.

    Raises:
        KeyError: `select` is not among `metrics`.
    """
    direction = metrics[curve_metric(select)]
    best_row = _best_row(history, select, direction)
    reached = _reached(history, select, direction)
    summary: dict[str, Any] = {
        "epochs": len(history),
        "best_epoch": None if best_row is None else history[best_row]["epoch"],
    }
    for name, sense in metrics.items():
        values = _figures(history, val_curve(name))
        summary[best_val(name)] = (max if sense == "max" else min)(values, default=None)
    for name in metrics:
        summary[final_val(name)] = _last(history, val_curve(name))
    return summary | {
        "final_train_loss": _last(history, "train/loss"),
        "overfit_gap": _difference(summary.get("final_val_loss"), summary.get("best_val_loss")),
        "epochs_to_95pct": None if reached is None else history[reached]["epoch"],
        "seconds_to_95pct": None if reached is None else _seconds(history[: reached + 1]),
        "epoch_seconds": _median(history[1:], "epoch_seconds"),
        "train_seconds": _seconds(history),
        "peak_memory_mb": max(_figures(history, "peak_memory_mb"), default=None),
        "images_per_second": _median(history[1:], "images_per_second"),
    }


def _best_row(history: Sequence[HistoryRow], column: str, direction: str) -> int | None:
    """Index of the first row with the best value of `column`."""
    found = [(index, _figure(row, column)) for index, row in enumerate(history)]
    known = [(index, value) for index, value in found if value is not None]
    choose = max if direction == "max" else min  # both give the first of several
    return choose(known, key=lambda item: item[1])[0] if known else None


def _reached(history: Sequence[HistoryRow], column: str, direction: str) -> int | None:
    """Index of the first row within `REACHED` of the best.

    For a maximum: value ≥ 0.95 × best; for a minimum: value ≤ best / 0.95; where the best is
    negative the factor is turned round, so that the threshold is always the worse one.
    """
    row = _best_row(history, column, direction)
    best = None if row is None else _figure(history[row], column)
    if best is None:
        return None
    maximise = direction == "max"
    threshold = best * REACHED if (best >= 0) == maximise else best / REACHED
    for index, item in enumerate(history):
        value = _figure(item, column)
        if value is not None and (value >= threshold if maximise else value <= threshold):
            return index
    return None


def _figure(row: HistoryRow, column: str) -> float | None:
    value = row.get(column)
    return value if value is not None and math.isfinite(value) else None


def _figures(rows: Sequence[HistoryRow], column: str) -> list[float]:
    values = [row.get(column) for row in rows]
    return [value for value in values if value is not None and math.isfinite(value)]


def _last(history: Sequence[HistoryRow], column: str) -> float | None:
    return _figure(history[-1], column) if history else None


def _median(rows: Sequence[HistoryRow], column: str) -> float | None:
    values = _figures(rows, column)
    return statistics.median(values) if values else None


def _seconds(rows: Sequence[HistoryRow]) -> float | None:
    """Time of training and validation together; None where an epoch's is not known."""
    known = [*_figures(rows, "epoch_seconds"), *_figures(rows, "val_seconds")]
    return math.fsum(known) if known and len(known) == 2 * len(rows) else None


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b
