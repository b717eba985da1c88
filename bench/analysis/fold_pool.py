"""Cross-validation in the records: one row for each arm and seed, over all of its folds.

A fold is no repeat: the folds of a seed share most of their training images, and every image is
validated in one of them. So whatever compares arms sees a seed's folds as one, and only whole: one
fold that failed leaves the seed without a figure.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import is_bool_dtype, is_integer_dtype, is_numeric_dtype

from bench.analysis.records import NO_LABEL, Records
from bench.metric_columns import MetricKind
from bench.plan.trial import make_id
from bench.record.columns import Status
from bench.states import Failure
from bench.tasks.settings import SUPPORT

Floats = npt.NDArray[np.float64]
_TELLING = (Failure.DIVERGED, Failure.OUT_OF_MEMORY, Failure.TIMEOUT)
"""Of several folds' failures, the one that says most of the arm stands for all."""
_WEIGHT = "val_scored_images"
_SUPPORT = tuple(f"val_{name}" for name in SUPPORT)
"""How many validation images, pairs and classes a score is a mean of: all folds' together."""
_OF_VALIDATION = (
    MetricKind.BEST,
    MetricKind.FINAL,
    MetricKind.BASELINE_VAL,
    MetricKind.LAST_TEN,
    MetricKind.CROSS_FITTED,
)


@dataclass(frozen=True)
class _Pool:
    """The trials of one arm and seed.

    Attributes:
        id: what they are called together.
        rows: of the trials, by fold, as positions in the records' runs.
        lacks: how many folds have no trial.
    """

    id: str
    rows: Mapping[int, int]
    lacks: int


def over_folds(records: Records) -> Records:
    """The records with a row for each arm and seed; the same ones where there are no folds.

    Numbers are means over the folds; those of validation images count each image alike. A seed is
    finished when all its folds are; texts that differ between folds stand side by side. The trials
    themselves remain in `trial_records`.
    """
    if records.folds is None or records.fold_records is not None:
        return records
    pools, alone = _pools(records)
    runs = _pooled_runs(records, pools, alone)
    ids = {pool.id: [records.runs["id"].iloc[row] for row in pool.rows.values()] for pool in pools}
    # where one trial has to stand for all, as in pictures, it is that of the first fold
    first = {name: members[0] for name, members in ids.items() if members[0] in records.folders}
    folders = {name: records.folders[trial] for name, trial in first.items()}
    folders |= {name: at for name, at in records.folders.items() if name in set(runs["id"])}
    return replace(
        records,
        runs=runs,
        history=_pooled_history(records, runs, ids),
        folders=folders,
        planned=frozenset(
            {name for name, members in ids.items() if records.planned.intersection(members)}
            | (records.planned & set(runs["id"]))
        ),
        fold_records=records,
        trials_of={name: tuple(members) for name, members in ids.items()},
    )


def fold_values(records: Records, by_trial: Mapping[str, float]) -> dict[str, Floats]:
    """(folds,) figures of every arm and seed, by its id in `over_folds`, from those of trials.

    Seeds that lack a fold, or the figure in one, are left out.
    """
    assert records.folds is not None
    found = {}
    for name, trials in records.trials_of.items():
        values = np.array([by_trial.get(trial, np.nan) for trial in trials], dtype=float)
        if len(values) == records.folds.k and np.isfinite(values).all():
            found[name] = values
    return found


def _pools(records: Records) -> tuple[list[_Pool], list[int]]:
    """The trials of each arm and seed, in the runs' order; and rows that are of no fold."""
    assert records.folds is not None
    runs = records.runs
    labels = runs[[f"axis.{axis}" for axis in records.axes]].fillna(NO_LABEL)
    keys: list[Hashable] = list(
        zip(labels.itertuples(index=False, name=None), runs["source"], runs["seed"], strict=True)
    )
    members: dict[Hashable, dict[int, int]] = {}
    alone = []
    counts = _fold_counts(records)
    for row, (key, fold) in enumerate(zip(keys, runs["fold"], strict=True)):
        if pd.isna(fold):
            alone.append(row)
        else:
            members.setdefault(key, {}).setdefault(int(fold), row)
    found = []
    for rows in members.values():
        ordered = dict(sorted(rows.items()))
        first = next(iter(ordered.values()))
        k = counts[runs["experiment"].iloc[first]]
        axes = {axis: str(labels[f"axis.{axis}"].iloc[first]) for axis in records.axes}
        kind = f"s{runs['seed'].iloc[first]}-{k}_folds"
        own = [axes, runs["source"].iloc[first], str(runs["seed"].iloc[first])]
        found.append(_Pool(make_id(axes, kind, own), ordered, k - len(ordered)))
    return found, alone


def _fold_counts(records: Records) -> dict[str, int]:
    """How many folds each experiment has: of several that are here together, its own."""
    assert records.folds is not None
    if not records.combined_from:
        return dict.fromkeys(records.runs["experiment"], records.folds.k)
    last = records.runs.dropna(subset="fold").groupby("experiment")["fold"].max()
    return {str(name): int(fold) + 1 for name, fold in last.items()}


def _pooled_runs(records: Records, pools: Sequence[_Pool], alone: Sequence[int]) -> pd.DataFrame:
    runs = records.runs
    code = np.full(len(runs), -1)
    for number, pool in enumerate(pools):
        code[list(pool.rows.values())] = number
    of_folds = runs[code >= 0]
    codes = code[code >= 0]
    done = _ends(of_folds, codes, pools)
    weights = of_folds[_WEIGHT].astype("float64") if _WEIGHT in runs else None
    columns: dict[str, Any] = {}
    for name in map(str, runs.columns):
        if name in done:
            columns[name] = done[name]
        elif name in _SUPPORT[:2]:
            columns[name] = of_folds[name].groupby(codes).sum(min_count=1)
        elif name != "fold":
            weight = weights if name.startswith(_OF_VALIDATION) else None
            columns[name] = _pooled(of_folds[name], codes, weight)
    columns["id"] = pd.Series([pool.id for pool in pools], dtype=runs["id"].dtype)
    found = pd.DataFrame(columns)[[name for name in runs.columns if name != "fold"]]
    figures = [
        name
        for name in found.columns
        if is_numeric_dtype(found[name]) and name not in ("seed", "params", "trainable_params")
    ]
    for name in figures:
        found[name] = found[name].where(found["status"] == Status.DONE)
    if not alone:
        return found
    rest = runs.iloc[list(alone)].drop(columns="fold")
    return pd.concat([found, rest], ignore_index=True)


def _ends(runs: pd.DataFrame, codes: npt.NDArray[Any], pools: Sequence[_Pool]) -> dict[str, Any]:
    """`status`, `failure` and `message` of all folds together."""
    rows: list[tuple[str, str | None, str | None]] = []
    for number, pool in enumerate(pools):
        own = runs[codes == number]
        ends = dict(zip(own["fold"].astype(int), own["status"], strict=True))
        failures = {
            fold: kind
            for fold, kind in zip(own["fold"].astype(int), own["failure"], strict=True)
            if ends[fold] == Status.FAILED and isinstance(kind, str)
        }
        rows.append(_together(ends, failures, pool.lacks))
    return {
        name: pd.Series([row[place] for row in rows], dtype=runs[name].dtype)
        for place, name in enumerate(("status", "failure", "message"))
    }


def _together(
    ends: Mapping[int, str], failures: Mapping[int, str], lacks: int
) -> tuple[str, str | None, str | None]:
    count = len(ends) + lacks
    done = sum(status == Status.DONE for status in ends.values())
    if done == count:
        return str(Status.DONE), None, None
    failed = [fold for fold, status in ends.items() if status == Status.FAILED]
    which = ", ".join(f"fold {fold}: {failures.get(fold, 'failed')}" for fold in failed)
    said = f"{done} of {count} folds done{f' ({which})' if failed else ''}"
    if done + len(failed) == count:  # not before: the others may say more of the arm
        kinds = sorted(set(failures.values()), key=lambda kind: (kind not in _TELLING, kind))
        return str(Status.FAILED), kinds[0] if kinds else None, said
    for status in (Status.RUNNING, Status.INTERRUPTED):
        if status in ends.values():
            return str(status), None, said
    return str(Status.INTERRUPTED if done or failed else Status.PLANNED), None, said


def _pooled(
    values: pd.Series[Any], codes: npt.NDArray[Any], weights: pd.Series[Any] | None
) -> pd.Series[Any]:
    """One value for each arm and seed: the mean of numbers, else what all folds say."""
    groups = values.groupby(codes)
    if is_bool_dtype(values.dtype) or not is_numeric_dtype(values.dtype):
        return groups.agg(_one_of).astype(values.dtype)
    numbers = values.astype("float64")
    if weights is not None and bool(weights.notna().all()):
        total = weights.groupby(codes).sum()
        # a mean of which one fold has none is none
        mean = (numbers * weights).groupby(codes).sum(min_count=1) / total
        mean = mean.where(groups.count() == groups.size())
    else:
        mean = numbers.groupby(codes).mean().where(groups.count() == groups.size())
    whole = is_integer_dtype(values.dtype) and bool((mean.dropna() % 1 == 0).all())
    return mean.astype("Int64") if whole else mean


def _one_of(values: pd.Series[Any]) -> Any:
    """What all say; texts that differ, side by side."""
    known = list(dict.fromkeys(values.dropna()))
    if len(known) <= 1:
        return known[0] if known else None
    return " / ".join(sorted(map(str, known))) if isinstance(known[0], str) else None


def _pooled_history(
    records: Records, runs: pd.DataFrame, ids: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Every epoch that all folds of a finished seed have, as a mean over them."""
    assert records.folds is not None
    pool_of = {trial: name for name, members in ids.items() for trial in members}
    history = records.history
    name = history["id"].map(pool_of)
    own = history[name.notna()].assign(id=name[name.notna()])
    keys = ["id", "epoch"]
    groups = own.groupby(keys, sort=False)
    found = groups.mean(numeric_only=True).assign(count=groups.size()).reset_index()
    found = found[found["count"] == found["id"].map({n: len(each) for n, each in ids.items()})]
    finished = set(runs.loc[runs["status"] == Status.DONE, "id"])
    found = found[found["id"].isin(finished)]
    found = pd.concat([found, history[name.isna()]], ignore_index=True)[list(history.columns)]
    kinds = {column: history[column].dtype for column in ("id", "epoch")}
    return found.astype(kinds)
