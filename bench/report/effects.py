"""What the levels of the axes change: paired differences, main effects, interactions.

Trials are paired by seed and by every axis that is not asked about; strata of these axes are
averaged within a seed first, so that the unit stays the seed. Every frame here has a row per
contrast with `estimate`, `low`, `high` (95% t-interval), `n` (seeds), `lost` (pairs, or sets of
trials, that were planned and lack a figure), and where it is tested `p` (two-sided paired t-test)
and `p_corrected` (Holm over the frame). Below `FEWEST` seeds, and where all seeds say exactly the
same, there is no test: both are NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.record.columns import Status
from bench.report import stats
from bench.report.arms import NO_LABEL
from bench.report.load import Records
from bench.report.power import FEWEST
from bench.report.stats import Floats, Sample
from bench.report.terms import comparable_axes, unlike_apart

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


@dataclass(frozen=True)
class Grid:
    """One figure of the finished trials, arranged for comparison.

    A row is a seed in a stratum of the axes not asked about, a cell one combination of levels of
    those asked about, the last axis fastest.

    Attributes:
        values: (rows, cells), NaN where there is none.
        planned: (rows, cells), whether there is such a trial, finished or not.
        terms: (rows, cells), equal within a row where measured on equal terms.
        seeds: (rows,), each row's seed.
    """

    values: Floats
    planned: Flags
    terms: Integers
    seeds: Integers

    def contrasts(self, cells: Integers, signs: Sequence[int]) -> tuple[Floats, Integers]:
        """Signed sums of cells, by seed, and how many planned ones could not be had.

        Args:
            cells: (contrasts, terms of the sum).
            signs: one for each term.

        Returns:
            (seeds, contrasts), NaN where a seed has none; and (contrasts,).
        """
        found = (self.values[:, cells] * np.array(signs)).sum(axis=2)
        terms = self.terms[:, cells]
        found[(terms != terms[:, :, :1]).any(axis=2)] = np.nan
        planned = self.planned[:, cells].all(axis=2)
        return self.by_seed(found), (planned & np.isnan(found)).sum(axis=0)

    def by_seed(self, values: Floats) -> Floats:
        """The mean of each seed's rows, (seeds, …); what is missing is left out."""
        of_seed = (self.seeds == np.unique(self.seeds)[:, None]).astype(float)
        known = of_seed @ ~np.isnan(values)
        sums = np.where(known > 0, of_seed @ np.nan_to_num(values), np.nan)
        return np.asarray(sums / np.maximum(known, 1), dtype=float)


def grid(
    records: Records, column: str, axes: Sequence[str], terms: pd.Series[str] | None = None
) -> Grid:
    """`column` of runs.csv by the levels of `axes`.

    Only trials of `records.protocol`, so that none logged elsewhere stands beside ours; runs whose
    log names no seed are the one repeat of their arm. `terms` are `unlike_apart`'s, where they are
    known already.
    """
    measured = unlike_apart(records, column) if terms is None else terms
    asked = [f"axis.{axis}" for axis in axes]
    runs = records.runs[records.runs["source"] == records.protocol]
    runs = runs[runs[asked].notna().all(axis=1)]
    labels = runs[[f"axis.{axis}" for axis in records.axes]].fillna(NO_LABEL)
    rows = labels.drop(columns=asked)
    rows = rows.assign(seed=runs["seed"].fillna(NO_SEED).astype("int64"))
    key = rows.groupby(list(rows), sort=True).ngroup().to_numpy()
    place, count = _cells(records, labels, axes)
    first = ~pd.DataFrame({"key": key, "place": place}).duplicated().to_numpy()
    at = (key[first], place[first])
    shape = (int(key.max(initial=-1)) + 1, count)
    values, planned = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
    kinds, seeds = np.zeros(shape, dtype=np.int64), np.zeros(shape[0], dtype=np.int64)
    done = runs["status"] == Status.DONE
    values[at] = runs[column].where(done).to_numpy(dtype=float, na_value=np.nan)[first]
    planned[at] = True
    kinds[at] = pd.factorize(measured[runs.index])[0][first]
    seeds[key] = rows["seed"]
    return Grid(values, planned, kinds, seeds)


def level_differences(records: Records, column: str) -> pd.DataFrame:
    """Every two levels of each axis compared: columns axis, a, b, then a − b's.

    a is the later level, b the earlier one. Axes of more than `MOST_LEVELS` levels are compared
    with their first level only, and axes along which `column` cannot be compared are left out.
    """
    parts, terms = [], unlike_apart(records, column)
    for axis in comparable_axes(records, column):
        levels = records.axes[axis]
        pairs = _pairs(len(levels), all_of_them=len(levels) <= MOST_LEVELS)
        cells = np.array([(later, earlier) for earlier, later in pairs])
        found = summarized(*grid(records, column, [axis], terms).contrasts(cells, (1, -1)))
        names = [(axis, levels[later], levels[earlier]) for earlier, later in pairs]
        parts.append(_named(found, names, ("axis", "a", "b")))
    return _tested(parts, ("axis", "a", "b"))


def interactions(records: Records, column: str) -> pd.DataFrame:
    """Whether one axis changes what another does: a difference of differences, by seed.

    Columns axis, a, b, other, c, d, then those of (a − b with c) − (a − b with d); a and c are
    later levels than b and d.
    """
    names = ("axis", "a", "b", "other", "c", "d")
    parts, terms = [], unlike_apart(records, column)
    for one, other in itertools.combinations(comparable_axes(records, column), 2):
        mine, others = records.axes[one], records.axes[other]
        both = _pairs_of_pairs(len(mine), len(others))
        width = len(others)
        cells = np.array(
            [(a * width + c, b * width + c, a * width + d, b * width + d)
             for (b, a), (d, c) in both]
        )  # fmt: skip
        found = summarized(
            *grid(records, column, [one, other], terms).contrasts(cells, (1, -1, -1, 1))
        )
        labels = [(one, mine[a], mine[b], other, others[c], others[d]) for (b, a), (d, c) in both]
        parts.append(_named(found, labels, names))
    return _tested(parts, names)


def main_effects(records: Records, column: str) -> pd.DataFrame:
    """How far each level lies from the mean of its axis's levels: columns axis, level, mean, ….

    Only strata of a seed that have all levels count, so that every level is seen in the same
    company; `mean` is over these. Intervals are not corrected, and nothing is tested here.
    """
    parts, terms = [], unlike_apart(records, column)
    for axis in comparable_axes(records, column):
        levels = records.axes[axis]
        found = grid(records, column, [axis], terms)
        whole = (found.terms == found.terms[:, :1]).all(axis=1, keepdims=True)
        values = np.where(whole & ~np.isnan(found.values).any(axis=1, keepdims=True),
                          found.values, np.nan)  # fmt: skip
        lost = int((found.planned.all(axis=1) & np.isnan(values).any(axis=1)).sum())
        apart = found.by_seed(values - values.mean(axis=1, keepdims=True))
        effects = summarized(apart, np.full(len(levels), lost)).drop(columns="p")
        means = summarized(found.by_seed(values), np.zeros(len(levels), dtype=int))["estimate"]
        effects.insert(0, "mean", means)
        parts.append(_named(effects, [(axis, level) for level in levels], ("axis", "level")))
    columns = ["axis", "level", "mean", "estimate", "low", "high", "n", "lost"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def summarized(by_seed: Floats, lost: Integers) -> pd.DataFrame:
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
    return pd.DataFrame(
        {"estimate": mean, "low": mean - half, "high": mean + half, "n": n, "lost": lost, "p": p}
    )


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
        figures = ["estimate", "low", "high", "n", "lost", "p", "p_corrected"]
        return pd.DataFrame(columns=[*names, *figures])
    found = pd.concat(parts, ignore_index=True)
    return found.assign(p_corrected=stats.holm(found["p"]))
