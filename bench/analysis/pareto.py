"""Which arms no other arm beats at once in the selected metric and in a cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.measurement_conditions import measured_on, same_conditions
from bench.analysis.records import NO_LABEL, Records
from bench.record.directions import Mode

COSTS = ("macs", "epoch_seconds", "peak_memory_mb", "params")


def pareto_front(costs: npt.ArrayLike, values: npt.ArrayLike, mode: Mode) -> npt.NDArray[np.bool_]:
    """Which points no other point dominates: as cheap and as good, and one of the two strictly.

    Args:
        costs: (n,), less is better.
        values: (n,), more is better with mode `max`, less with `min`.

    Returns:
        (n,); points with a missing or infinite number are on no front and dominate nothing.
    """
    cost = np.asarray(costs, dtype=float)
    value = np.asarray(values, dtype=float) * (1 if mode == "max" else -1)
    known = np.isfinite(cost) & np.isfinite(value)
    cost, value = np.where(known, cost, np.nan), np.where(known, value, np.nan)
    no_worse = (cost[:, None] <= cost) & (value[:, None] >= value)  # [i, j]: i than j
    better = (cost[:, None] < cost) | (value[:, None] > value)
    dominated = np.any(no_worse & better, axis=0)
    return np.asarray(~dominated & known, dtype=bool)


def pareto_members(records: Records, summary: pd.DataFrame) -> pd.DataFrame:
    """Whether each arm is on the front of the figure that ranks arms against each cost.

    The points are the means and medians of `arm_summary`: membership is a description, no test.
    Arms compete only where the selected metric means the same, and a cost that was not measured on
    equal conditions in all trials has no front at all.

    Returns:
        Indexed by arm number; a column of `COSTS` for each cost that has a front, True, False, or
        NA where an arm lacks a number.
    """
    column, mode = records.best_column, records.select.mode
    found = pd.DataFrame(index=summary.index)
    labels = {axis: summary[f"axis.{axis}"].fillna(NO_LABEL).astype(str) for axis in records.axes}
    groups = pd.Series(
        [
            measured_on(records, column, {axis: of[arm] for axis, of in labels.items()})
            for arm in summary.index
        ],
        summary.index,
        dtype=object,
    )
    for cost in COSTS:
        known = summary[cost].notna() & summary[column].notna()
        if not known.any() or not same_conditions(records, cost):
            continue
        member = pd.Series(pd.NA, summary.index, dtype="boolean")
        for _, group in summary[known].groupby(groups[known]):
            member[group.index] = pareto_front(group[cost], group[column], mode)
        found[cost] = member
    return found
