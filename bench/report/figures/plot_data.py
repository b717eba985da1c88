"""What figures show, as plain frames: curves, values of seeds, running bests under a budget."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench.analysis.stats import Floats, Interval, grouped_intervals
from bench.metric_columns import val_curve
from bench.report.figures.experiment_data import ExperimentData

CURVE = ["arm", "metric", "epoch", "mean", "low", "high", "n", "lowest", "highest"]
BUDGETS = ("epochs", "seconds", "macs")
STEPS = 60  # points of a curve over a budget


def curve_data(experiment: ExperimentData) -> pd.DataFrame:
    """Mean and 95% t-interval over the finished seeds, per arm, metric and epoch.

    Columns: arm (number), metric (a history column), epoch, mean, low, high, n, lowest, highest.
    Where seeds stopped at different epochs, later means are over fewer seeds.
    """
    history = history_of(experiment)
    parts = []
    for metric in [
        "train/loss",
        *(val_curve(name) for name in experiment.records.metrics),
    ]:
        known = history[history[metric].notna()]
        if len(known):
            found = grouped_intervals(known[metric], [known["arm"], known["epoch"]])
            parts.append(found.reset_index().assign(metric=metric))
    return pd.concat(parts)[CURVE] if parts else pd.DataFrame(columns=CURVE)


def history_of(experiment: ExperimentData) -> pd.DataFrame:
    """The histories of the finished trials with their arm's number in `arm`."""
    history = experiment.records.history
    arm_of = dict(zip(experiment.done["id"], experiment.done["arm"], strict=True))
    history = history[history["id"].isin(arm_of)]
    return history.assign(
        arm=history["id"].map(arm_of).astype("int64"), epoch=history["epoch"].astype("int64")
    )


def seed_data(experiment: ExperimentData, columns: list[str]) -> pd.DataFrame:
    """Columns of runs.csv of every finished trial: columns arm, id, column, value; no gaps."""
    known = [column for column in columns if column in experiment.done]
    values = experiment.done[["arm", "id", *known]].astype(dict.fromkeys(known, "float64"))
    return _finite(values.melt(["arm", "id"], known, "column", "value"))


def throughput_data(experiment: ExperimentData) -> pd.DataFrame:
    """Training images per second of every finished trial, the median after its first epoch.

    Columns arm, id, column (`images_per_second`), value, and the `conditions` of the measurement.
    """
    history = history_of(experiment)
    later = history[history["epoch"] > 1].dropna(subset=["images_per_second"])
    found = later.groupby("id")["images_per_second"].median()
    done = experiment.done
    data = done[["arm", "id"]].assign(
        column="images_per_second",
        value=done["id"].map(found).astype("float64"),
        conditions=experiment.conditions("images_per_second")[done.index],
    )
    return _finite(data)


def intervals_by_arm(data: pd.DataFrame, column: str) -> dict[int, Interval]:
    """The mean of `seed_data`'s values with its 95% t-interval, by the arm's number."""
    here = data[data["column"] == column]
    found = grouped_intervals(here["value"], [here["arm"]])
    rows = zip(*(found[name].tolist() for name in ("mean", "low", "high", "n")), strict=True)
    return {int(arm): Interval(*row) for arm, row in zip(found.index, rows, strict=True)}


def running_best(experiment: ExperimentData) -> pd.DataFrame:
    """The selected metric's best so far after every epoch, and what it had cost by then.

    Columns: arm, id, best, and `BUDGETS`: epochs; seconds of training and validation; multiply-adds
    of the forward passes on all training images so far. A cost that is not known of every epoch up
    to there is NaN.
    """
    history = history_of(experiment).sort_values(["arm", "id", "epoch"], kind="stable")
    by = history["id"]
    values = history[val_curve(experiment.metric)].where(
        np.isfinite(history[val_curve(experiment.metric)])
    )
    best = values.groupby(by).cummax() if experiment.records.select.mode == "max" else (
        values.groupby(by).cummin())  # fmt: skip
    known = experiment.done.set_index("id")["macs"].astype("float64").to_dict()
    macs = by.map(known).astype("float64")
    images = history["images_per_second"] * history["epoch_seconds"]
    return pd.DataFrame(
        {
            "arm": history["arm"],
            "id": by,
            "best": best.groupby(by).ffill(),
            "epochs": history["epoch"].astype("float64"),
            "seconds": _total(history["epoch_seconds"] + history["val_seconds"], by),
            "macs": _total(images * macs, by),
        }
    ).reset_index(drop=True)


def common_budget(running: pd.DataFrame, cost: str) -> float:
    """The most that every trial has spent; NaN unless all trials know their cost."""
    spent = running.groupby("id")[cost].agg(lambda values: values.iloc[-1])
    return float(spent.min()) if len(spent) and spent.notna().all() else math.nan


def at_budget(running: pd.DataFrame, cost: str, budget: float) -> pd.DataFrame:
    """Each trial's best within a budget, in the form of `seed_data`; `column` is the cost."""
    within = running[(running[cost] <= budget) & running["best"].notna()]
    last = within.groupby("id", sort=False).tail(1)
    return last[["arm", "id"]].assign(column=cost, value=last["best"]).reset_index(drop=True)


def budget_curves(running: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The mean over an arm's seeds of the best so far, at steps of a budget.

    Columns arm, budget, mean: from where all of its seeds have a value to where the first ends.
    """
    known = running[running[cost].notna() & running["best"].notna()]
    parts = []
    for arm, rows in known.groupby("arm"):
        trials = [(t[cost].to_numpy(), t["best"].to_numpy()) for _, t in rows.groupby("id")]
        steps = _steps(max(spent[0] for spent, _ in trials), min(spent[-1] for spent, _ in trials))
        values = [best[np.searchsorted(spent, steps, "right") - 1] for spent, best in trials]
        if len(steps):
            mean = np.mean(values, axis=0)
            parts.append(pd.DataFrame({"arm": arm, "budget": steps, "mean": mean}))
    columns = ["arm", "budget", "mean"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _steps(start: float, end: float) -> Floats:
    if not start <= end:
        return np.array([])
    return np.linspace(start, end, STEPS) if start < end else np.array([start])


def _total(values: pd.Series[float], by: pd.Series[str]) -> pd.Series[float]:
    """Sums so far of every trial; unknown from the first unknown value on."""
    unknown = values.isna().groupby(by).cummax()
    return values.groupby(by).cumsum().mask(unknown)


def _finite(data: pd.DataFrame) -> pd.DataFrame:
    known = data.replace({"value": [math.inf, -math.inf]}, math.nan).dropna(subset=["value"])
    return known.reset_index(drop=True)
