"""One figure of the trials by the levels of axes: contrasts by seed, and main effects.

Trials are paired by seed and by every axis that is not asked about. Strata of these axes are
averaged within a seed first, and a seed counts only where it has all strata that the plan has, as
in a hypothesis (`bench.analysis.strata`): else each seed would be the mean of other strata. Frames
have `estimate`, `low`, `high` (95% t-interval, not corrected), `n` (complete seeds), `lost` (pairs,
or sets of trials, that were planned and lack a figure) and `seeds` (complete or not).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis import stats
from bench.analysis.measurement_conditions import comparable_axes, measurement_conditions
from bench.analysis.records import NO_LABEL, Records
from bench.analysis.stats import Floats
from bench.plan.design import CONFIGURATION
from bench.record.columns import Status

NO_SEED = -1
"""Stands for the seed of the one run of an arm whose log names none."""
_NO_SCATTER = 1e-12  # of the largest difference: what rounding alone leaves

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


class Contrasts(NamedTuple):
    """Contrasts by seed.

    Attributes:
        by_seed: (seeds, contrasts), the mean over the compared strata; NaN where a seed lacks one.
        lost: (contrasts,), planned ones of a seed in a stratum that could not be had.
        seeds: (contrasts,), seeds that have the trials for it in some compared stratum.
    """

    by_seed: Floats
    lost: Integers
    seeds: Integers


@dataclass(frozen=True)
class Grid:
    """One figure of the finished trials, arranged for comparison.

    A row is a seed in a stratum of the axes not asked about, a cell one combination of levels of
    those asked about, the last axis fastest.

    Attributes:
        values: (rows, cells), NaN where there is none.
        planned: (rows, cells), whether there is such a trial, finished or not.
        conditions: (rows, cells), equal within a row where measured under the same ones.
        seeds: (rows,), each row's seed.
        strata: (rows,), each row's stratum.
        asked: (strata, cells), whether the latest plan has such a trial, of whichever seed.
        trials: (rows, cells), positions in `records.runs`; −1 where there is no trial.
    """

    values: Floats
    planned: Flags
    conditions: Integers
    seeds: Integers
    strata: Integers
    asked: Flags
    trials: Integers

    @cached_property
    def row_of(self) -> Integers:
        """(strata, seeds), the row of each; −1 where there is none."""
        seeds, at = np.unique(self.seeds, return_inverse=True)
        found = np.full((len(self.asked), len(seeds)), -1, dtype=np.int64)
        return _placed(found, (self.strata, at), np.arange(len(self.seeds)))

    def trials_of(self, cell: int, strata: Integers, seeds: Integers) -> Integers:
        """(strata, seeds), the trials of a cell in complete seeds."""
        return np.asarray(self.trials[self.row_of[np.ix_(strata, seeds)], cell])

    def contrasts(self, cells: Integers, signs: Sequence[int]) -> Contrasts:
        """Signed sums of cells by seed.

        Args:
            cells: (contrasts, terms of the sum).
            signs: one for each term.
        """
        found = (self.values[:, cells] * np.array(signs)).sum(axis=2)
        conditions = self.conditions[:, cells]
        found[(conditions != conditions[:, :, :1]).any(axis=2)] = np.nan
        there = np.asarray(self.planned[:, cells].all(axis=2), dtype=bool)
        return self.complete(found, there, self.compared(cells))

    def means(self) -> Floats:
        """Every cell by seed, (seeds, cells): means over its planned strata."""
        return self.contrasts(np.arange(self.values.shape[1])[:, None], (1,)).by_seed

    def compared(self, cells: Integers) -> Flags:
        """The strata behind each contrast: (strata, contrasts), where the plan has all its cells.

        Where the plan has none of them, those that have trials of all its cells.
        """
        asked = np.asarray(self.asked[:, cells].all(axis=2), dtype=bool)
        there = np.zeros(self.asked.shape, dtype=bool)
        np.logical_or.at(there, self.strata, self.planned)
        recorded = np.asarray(there[:, cells].all(axis=2), dtype=bool)
        return np.where(asked.any(axis=0), asked, recorded)

    def complete(self, values: Floats, planned: Flags, compared: Flags) -> Contrasts:
        """Means over the compared strata of the seeds that have them all.

        Args:
            values: (rows, contrasts), NaN where one could not be had.
            planned: (rows, contrasts), whether its trials were planned.
            compared: (strata, contrasts).
        """
        seeds, at = np.unique(self.seeds, return_inverse=True)
        shape = (len(compared), len(seeds), compared.shape[1])
        known, there = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        known[self.strata, at], there[self.strata, at] = values, planned
        within = compared[:, None, :]
        count = compared.sum(axis=0)
        total = np.where(within, known, 0.0).sum(axis=0)  # NaN where a compared one is lacking
        by_seed = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        lost = (within & there & np.isnan(known)).sum(axis=(0, 1))
        return Contrasts(by_seed, lost, (within & there).any(axis=0).sum(axis=0))


def grid(
    records: Records, column: str, axes: Sequence[str], conditions: pd.Series[str] | None = None
) -> Grid:
    """`column` of runs.csv by the levels of `axes`.

    Only trials of `records.protocol`, so that none logged elsewhere stands beside ours; runs whose
    log names no seed are the one repeat of their arm. `conditions` are those of
    `measurement_conditions`, where they are known already.
    """
    measured = measurement_conditions(records, column) if conditions is None else conditions
    columns = [f"axis.{axis}" for axis in axes]
    runs = records.runs[records.runs["source"] == records.protocol]
    runs = runs[runs[columns].notna().all(axis=1)]
    labels = runs[[f"axis.{axis}" for axis in records.axes]].fillna(NO_LABEL)
    rows = labels.drop(columns=columns)
    stratum = _numbered(rows)
    rows = rows.assign(seed=runs["seed"].fillna(NO_SEED).astype("int64"))
    key = _numbered(rows)
    place, count = _cells(records, labels, axes)
    first = ~pd.DataFrame({"key": key, "place": place}).duplicated().to_numpy()
    at, shape = (key[first], place[first]), (int(key.max(initial=-1)) + 1, count)
    known = runs[column].where(runs["status"] == Status.DONE)
    values = known.to_numpy(dtype=float, na_value=np.nan)[first]
    of_plan = records.is_planned[runs.index].to_numpy(dtype=bool)
    strata = int(stratum.max(initial=-1)) + 1
    return Grid(
        values=_placed(np.full(shape, np.nan), at, np.where(np.isfinite(values), values, np.nan)),
        planned=_placed(np.zeros(shape, dtype=bool), at, True),
        conditions=_placed(np.zeros(shape, dtype=np.int64), at,
                      pd.factorize(measured[runs.index])[0][first]),
        seeds=_placed(np.zeros(shape[0], dtype=np.int64), key, rows["seed"].to_numpy()),
        strata=_placed(np.zeros(shape[0], dtype=np.int64), key, stratum),
        asked=_placed(np.zeros((strata, count), dtype=bool),
                      (stratum[of_plan], place[of_plan]), True),
        trials=_placed(np.full(shape, -1, dtype=np.int64), at,
                       records.runs.index.get_indexer(runs.index)[first]),
    )  # fmt: skip


def _placed(array: npt.NDArray[Any], at: Any, values: Any) -> npt.NDArray[Any]:
    """`array` with these values at these places."""
    array[at] = values
    return array


def main_effects(records: Records, column: str) -> pd.DataFrame:
    """How far each level lies from the mean of its axis's levels: columns axis, level, mean, ….

    Only strata that have all levels count, so that every level is seen in the same company, and
    only seeds that have all of these; `mean` is over them. Intervals are not corrected, and nothing
    is tested here.
    """
    parts, conditions = [], measurement_conditions(records, column)
    for axis in comparable_axes(records, column):
        if axis == CONFIGURATION and records.design is not None:
            continue  # the mean of a design's configurations says nothing
        levels = records.axes[axis]
        found = grid(records, column, [axis], conditions)
        whole = (found.conditions == found.conditions[:, :1]).all(axis=1, keepdims=True)
        values = np.where(whole & ~np.isnan(found.values).any(axis=1, keepdims=True),
                          found.values, np.nan)  # fmt: skip
        deviations = values - values.mean(axis=1, keepdims=True)
        there = np.broadcast_to(found.planned.all(axis=1, keepdims=True), values.shape)
        compared = found.compared(np.arange(len(levels))[None, :]).repeat(len(levels), axis=1)
        effects = summarized(*found.complete(deviations, there, compared))
        means = summarized(*found.complete(values, there, compared))["estimate"]
        effects.insert(0, "mean", means)
        parts.append(_named(effects, [(axis, level) for level in levels], ("axis", "level")))
    columns = ["axis", "level", "mean", "estimate", "low", "high", "n", "lost", "seeds"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def summarized(
    by_seed: Floats, lost: Integers | None = None, seeds: Integers | None = None
) -> pd.DataFrame:
    """Means with 95% t-intervals of contrasts (seeds, contrasts); see this module's docstring.

    Where all seeds say exactly the same there is no interval.
    """
    known = ~np.isnan(by_seed)
    n = known.sum(axis=0)
    mean = np.where(n > 0, np.nansum(by_seed, axis=0) / np.maximum(n, 1), np.nan)
    squares = np.where(known, (by_seed - mean) ** 2, 0.0).sum(axis=0)
    std = np.sqrt(squares / np.maximum(n - 1, 1))
    largest = np.abs(np.nan_to_num(by_seed)).max(axis=0, initial=0.0)
    half = np.where(std > _NO_SCATTER * largest, stats.half_width(std, n), np.nan)
    found = {"estimate": mean, "low": mean - half, "high": mean + half, "n": n}
    found |= {"lost": 0 if lost is None else lost, "seeds": n if seeds is None else seeds}
    return pd.DataFrame(found)


def _numbered(rows: pd.DataFrame) -> Integers:
    """The number of each row's combination of values; all one where there is no column."""
    if rows.empty or not len(rows.columns):
        return np.zeros(len(rows), dtype=np.int64)
    return np.asarray(rows.groupby(list(rows), sort=True).ngroup(), dtype=np.int64)


def _cells(records: Records, labels: pd.DataFrame, axes: Sequence[str]) -> tuple[Integers, int]:
    """The number of each run's combination of levels, and how many combinations there are."""
    place, count = np.zeros(len(labels), dtype=np.int64), 1
    for axis in axes:
        levels = records.axes[axis]
        at = labels[f"axis.{axis}"].map({level: i for i, level in enumerate(levels)})
        place, count = place * len(levels) + at.to_numpy(dtype=np.int64), count * len(levels)
    return place, count


def _named(
    found: pd.DataFrame, names: Iterable[Sequence[str]], columns: Sequence[str]
) -> pd.DataFrame:
    """The frame with labels before its figures."""
    return pd.concat([pd.DataFrame(list(names), columns=list(columns)), found], axis=1)
