"""What the levels of the axes change: paired differences, main effects, interactions.

Trials are paired by seed and by every axis that is not asked about. Strata of these axes are
averaged within a seed first, so that the unit stays the seed, and a seed counts only where it has
all strata that the plan has, as in a hypothesis (`bench.analysis.strata`): else each seed would be
the mean of other strata. Every frame here has a row per contrast with `estimate`, `low`, `high`
(95% t-interval), `n` (complete seeds), `lost` (pairs, or sets of trials, that were planned and lack
a figure), `seeds` (complete or not), and where it is tested `p` (two-sided paired t-test) and
`p_corrected` (Holm over the frame). Below `FEWEST` seeds, and where all seeds say exactly the same,
there is no test: both are NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis import stats
from bench.analysis.arms import NO_LABEL
from bench.analysis.measurement_conditions import comparable_axes, measurement_conditions
from bench.analysis.power import FEWEST
from bench.analysis.records import Records
from bench.analysis.stats import Floats, Interval, Sample
from bench.record.columns import Status

MOST_LEVELS = 12
"""Axes of more levels are compared with their first level only."""
MOST_CONTRASTS = 36
"""Two axes with more pairs of pairs of levels: only those with either first level."""

NO_SEED = -1
"""Stands for the seed of the one run of an arm whose log names none."""
_NO_SCATTER = 1e-12  # of the largest difference: what rounding alone leaves

Pair = tuple[int, int]
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
    """

    values: Floats
    planned: Flags
    conditions: Integers
    seeds: Integers
    strata: Integers
    asked: Flags

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
    )  # fmt: skip


def _placed(array: npt.NDArray[Any], at: Any, values: Any) -> npt.NDArray[Any]:
    """`array` with these values at these places."""
    array[at] = values
    return array


def level_differences(records: Records, column: str) -> pd.DataFrame:
    """Every two levels of each axis compared: columns axis, a, b, then a − b's.

    a is the later level, b the earlier one. Axes of more than `MOST_LEVELS` levels are compared
    with their first level only, and axes along which `column` cannot be compared are left out.
    """
    parts, conditions = [], measurement_conditions(records, column)
    for axis in comparable_axes(records, column):
        levels = records.axes[axis]
        pairs = _pairs(len(levels), all_of_them=len(levels) <= MOST_LEVELS)
        cells = np.array([(later, earlier) for earlier, later in pairs])
        found = summarized(*grid(records, column, [axis], conditions).contrasts(cells, (1, -1)))
        names = [(axis, levels[later], levels[earlier]) for earlier, later in pairs]
        parts.append(_named(found, names, ("axis", "a", "b")))
    return _tested(parts, ("axis", "a", "b"))


def interactions(records: Records, column: str) -> pd.DataFrame:
    """Whether one axis changes what another does: a difference of differences, by seed.

    Columns axis, a, b, other, c, d, then those of (a − b with c) − (a − b with d); a and c are
    later levels than b and d.
    """
    names = ("axis", "a", "b", "other", "c", "d")
    parts, conditions = [], measurement_conditions(records, column)
    for one, other in itertools.combinations(comparable_axes(records, column), 2):
        mine, others = records.axes[one], records.axes[other]
        both = _pairs_of_pairs(len(mine), len(others))
        width = len(others)
        cells = np.array(
            [(a * width + c, b * width + c, a * width + d, b * width + d)
             for (b, a), (d, c) in both]
        )  # fmt: skip
        found = summarized(
            *grid(records, column, [one, other], conditions).contrasts(cells, (1, -1, -1, 1))
        )
        labels = [(one, mine[a], mine[b], other, others[c], others[d]) for (b, a), (d, c) in both]
        parts.append(_named(found, labels, names))
    return _tested(parts, names)


def main_effects(records: Records, column: str) -> pd.DataFrame:
    """How far each level lies from the mean of its axis's levels: columns axis, level, mean, ….

    Only strata that have all levels count, so that every level is seen in the same company, and
    only seeds that have all of these; `mean` is over them. Intervals are not corrected, and nothing
    is tested here.
    """
    parts, conditions = [], measurement_conditions(records, column)
    for axis in comparable_axes(records, column):
        levels = records.axes[axis]
        found = grid(records, column, [axis], conditions)
        whole = (found.conditions == found.conditions[:, :1]).all(axis=1, keepdims=True)
        values = np.where(whole & ~np.isnan(found.values).any(axis=1, keepdims=True),
                          found.values, np.nan)  # fmt: skip
        deviations = values - values.mean(axis=1, keepdims=True)
        there = np.broadcast_to(found.planned.all(axis=1, keepdims=True), values.shape)
        compared = found.compared(np.arange(len(levels))[None, :]).repeat(len(levels), axis=1)
        effects = summarized(*found.complete(deviations, there, compared)).drop(columns="p")
        means = summarized(*found.complete(values, there, compared))["estimate"]
        effects.insert(0, "mean", means)
        parts.append(_named(effects, [(axis, level) for level in levels], ("axis", "level")))
    columns = ["axis", "level", "mean", "estimate", "low", "high", "n", "lost", "seeds"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def summarized(
    by_seed: Floats, lost: Integers | None = None, seeds: Integers | None = None
) -> pd.DataFrame:
    """Means, 95% t-intervals and p of contrasts (seeds, contrasts); see this module's docstring."""
    known = ~np.isnan(by_seed)
    n = known.sum(axis=0)
    mean = np.where(n > 0, np.nansum(by_seed, axis=0) / np.maximum(n, 1), np.nan)
    squares = np.where(known, (by_seed - mean) ** 2, 0.0).sum(axis=0)
    std = np.sqrt(squares / np.maximum(n - 1, 1))
    largest = np.abs(np.nan_to_num(by_seed)).max(axis=0, initial=0.0)
    scatters = std > _NO_SCATTER * largest
    testable = (n >= FEWEST) & scatters
    sample = Sample(mean, np.where(scatters, std, 1.0), np.maximum(n, 2))
    half = np.where(scatters, stats.half_width(std, n), np.nan)
    p = np.where(testable, stats.two_sided(sample), np.nan)
    found = {"estimate": mean, "low": mean - half, "high": mean + half, "n": n}
    found |= {"lost": 0 if lost is None else lost, "seeds": n if seeds is None else seeds, "p": p}
    return pd.DataFrame(found)


def paired_interval(differences: npt.ArrayLike) -> Interval:
    """The mean of differences, one a seed, with its interval; unknown where they do not scatter.

    Differences that are not finite are left out.
    """
    values = np.asarray(differences, dtype=float)
    frame = summarized(values[np.isfinite(values)][:, None])
    (row,) = frame[["estimate", "low", "high", "n"]].itertuples(index=False)
    return Interval(*row)


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


def _pairs(levels: int, all_of_them: bool) -> list[Pair]:
    """(earlier, later) for every two levels, or for the first and every other one."""
    pairs = list(itertools.combinations(range(levels), 2))
    return pairs if all_of_them else pairs[: levels - 1]


def _pairs_of_pairs(one: int, other: int) -> list[tuple[Pair, Pair]]:
    for all_of_them in (True, False):
        found = list(itertools.product(_pairs(one, all_of_them), _pairs(other, all_of_them)))
        if len(found) <= MOST_CONTRASTS:
            break
    return found


def _named(
    found: pd.DataFrame, names: Iterable[Sequence[str]], columns: Sequence[str]
) -> pd.DataFrame:
    """The frame with labels before its figures."""
    return pd.concat([pd.DataFrame(list(names), columns=list(columns)), found], axis=1)


def _tested(parts: list[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame:
    """All contrasts in one frame, p corrected by Holm over it."""
    if not parts:
        figures = ["estimate", "low", "high", "n", "lost", "seeds", "p", "p_corrected"]
        return pd.DataFrame(columns=[*names, *figures])
    found = pd.concat(parts, ignore_index=True)
    return found.assign(p_corrected=stats.holm(found["p"]))
