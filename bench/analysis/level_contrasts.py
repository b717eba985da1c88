"""Contrasts between levels of the axes, and between such contrasts, with what was observed of them.

They are tested together, by `bench.analysis.explored`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.contrast_tests import Observed, Trials
from bench.analysis.effects import Flags, Grid, Integers, grid
from bench.analysis.figure_directions import figure_direction
from bench.analysis.fold_differences import column_by_fold, contrast_by_fold
from bench.analysis.measurement_conditions import (
    comparable_axes,
    measured_on,
    measurement_conditions,
)
from bench.analysis.observations import ImageFigureScores, failures_that_count
from bench.analysis.records import Records
from bench.analysis.strata import Side
from bench.analysis.two_sources import FEWEST_SEEDS, TwoSources, paired_table, two_sources
from bench.plan.design import CONFIGURATION, DesignKind
from bench.record.directions import Mode
from bench.spec.hypotheses import EXACT

MOST_LEVELS = 12
"""Axes of more levels are compared with their first level only."""
MOST_CONTRASTS = 36
"""Two axes with more pairs of pairs of levels: only those with either first level."""

Pair = tuple[int, int]
Scores = ImageFigureScores | None


@dataclass(frozen=True)
class Explored:
    """A contrast that no hypothesis need be about, and what was observed of it.

    Attributes:
        figure: a column of runs.csv.
        names: what is compared: axis, a, b; for an interaction also other, c, d.
        a, b: positions of the trials of either side in `records.runs`.
        seen: the differences of complete seeds, and by image where there are scores.
        lost: planned pairs, or sets of trials, that lack a figure.
        seeds: those that have trials for it, complete or not.
    """

    figure: str
    names: tuple[str, ...]
    a: Trials
    b: Trials
    seen: Observed
    lost: int
    seeds: int


def level_differences(records: Records, column: str, scores: Scores = None) -> list[Explored]:
    """Every two levels of each axis compared, a the later level and b the earlier one.

    Axes of more than `MOST_LEVELS` levels are compared with their first level only, as are the
    configurations of a design, with its reference and with what they are built upon; those of a
    fraction are not compared, of which only halves are. Axes along which `column` cannot be
    compared are left out. `scores` are those of the column by image.
    """
    found, conditions = [], measurement_conditions(records, column)
    mode = figure_direction(records, column)
    trials = trials_of_levels(records)
    for axis in compared_axes(records, column):
        levels = records.axes[axis]
        if is_of_a_design(records, axis):
            pairs = _pairs_of_design(records, levels)
        else:
            pairs = _pairs(len(levels), all_of_them=len(levels) <= MOST_LEVELS)
        pairs = _comparable(records, column, axis, pairs)
        if not pairs:
            continue
        cells = np.array([(later, earlier) for earlier, later in pairs])
        names = [(axis, levels[later], levels[earlier]) for earlier, later in pairs]
        sides = [tuple(trials[axis, level] for level in name[1:]) for name in names]
        table = grid(records, column, [axis], conditions)
        found += _explored(records, column, table, cells, (1, -1), names, sides, mode, scores)
    return found


def interactions(records: Records, column: str, scores: Scores = None) -> list[Explored]:
    """Whether one axis changes what another does: a difference of differences, by seed.

    (a − b with c) − (a − b with d); a and c are later levels than b and d.
    """
    found, conditions = [], measurement_conditions(records, column)
    trials = trials_of_levels(records)
    for one, other in itertools.combinations(compared_axes(records, column), 2):
        mine, others = records.axes[one], records.axes[other]
        of_a_design = any(is_of_a_design(records, axis) for axis in (one, other))
        both = _pairs_of_pairs(len(mine), len(others), all_of_them=not of_a_design)
        kept = [{*_comparable(records, column, axis, [pair[i] for pair in both])}
                for i, axis in enumerate((one, other))]  # fmt: skip
        both = [(b_a, d_c) for b_a, d_c in both if b_a in kept[0] and d_c in kept[1]]
        if not both:
            continue
        width = len(others)
        cells = np.array(
            [(a * width + c, b * width + c, a * width + d, b * width + d)
             for (b, a), (d, c) in both]
        )  # fmt: skip
        names = [(one, mine[a], mine[b], other, others[c], others[d]) for (b, a), (d, c) in both]
        sides = []
        for _, a, b, _, c, d in names:
            (of_a, of_b), (of_c, of_d) = (
                [trials[axis, level] for level in pair]
                for axis, pair in ((one, (a, b)), (other, (c, d)))
            )
            sides.append(((of_a & of_c) | (of_b & of_d), (of_b & of_c) | (of_a & of_d)))
        table = grid(records, column, [one, other], conditions)
        signs = (1, -1, -1, 1)
        found += _explored(records, column, table, cells, signs, names, sides, None, scores)
    return found


def is_of_a_design(records: Records, axis: str) -> bool:
    """Whether an axis's levels are the configurations of an ablation design."""
    return records.design is not None and axis == CONFIGURATION


def compared_axes(records: Records, column: str) -> list[str]:
    """The axes whose levels are compared one with another: not the runs of a fraction."""
    design = records.design
    is_fraction = design is not None and design.kind is DesignKind.FRACTIONAL
    axes = comparable_axes(records, column)
    return [axis for axis in axes if not (is_fraction and axis == CONFIGURATION)]


def trials_of_levels(records: Records) -> dict[tuple[str, str], Trials]:
    """The trials of every level of every axis, by the source that is compared."""
    ours = records.runs["source"] == records.protocol
    found: dict[tuple[str, str], Trials] = {}
    for axis, levels in records.axes.items():
        labels = records.runs[f"axis.{axis}"]
        for level in levels:
            rows = np.flatnonzero((ours & (labels == level)).to_numpy(dtype=bool))
            found[axis, level] = frozenset(rows.tolist())
    return found


def _explored(
    records: Records,
    column: str,
    table: Grid,
    cells: Integers,
    signs: Sequence[int],
    names: Sequence[tuple[str, ...]],
    sides: Sequence[tuple[Trials, ...]],
    mode: Mode | None,
    scores: Scores,
) -> list[Explored]:
    """What was observed of contrasts, which are signed sums of cells."""
    found, compared = table.contrasts(cells, signs), table.compared(cells)
    by_fold = column_by_fold(records, column)
    results = []
    for i, (name, (a, b)) in enumerate(zip(names, sides, strict=True)):
        strata = np.flatnonzero(compared[:, i])
        complete = np.flatnonzero(~np.isnan(found.by_seed[:, i]))
        seen = Observed(
            found.by_seed[complete, i],
            sources=_by_image(table, cells[i], signs, strata, complete, scores),
            by_fold=None
            if found.seeds[i] >= FEWEST_SEEDS
            else contrast_by_fold(records, table, cells[i], signs, strata, complete, by_fold),
            failed=failed_trials(records, table, cells[i], signs, compared[:, i]),
            mode=mode,
            is_exact=column in EXACT,
        )
        lost, seeds = int(found.lost[i]), int(found.seeds[i])
        results.append(Explored(column, name, a, b, seen, lost, seeds))
    return results


def _by_image(
    table: Grid,
    cells: Integers,
    signs: Sequence[int],
    strata: Integers,
    seeds: Integers,
    scores: Scores,
) -> TwoSources | None:
    """The same by image; None unless all trials have scores of the same images."""
    if scores is None or not len(seeds):
        return None
    rows = [scores.rows[table.trials_of(int(cell), strata, seeds)] for cell in cells]
    if min(int(each.min()) for each in rows) < 0:
        return None
    plus = [row for row, sign in zip(rows, signs, strict=True) if sign > 0]
    minus = [row for row, sign in zip(rows, signs, strict=True) if sign < 0]
    differences = sum(paired_table(scores.values, a, b) for a, b in zip(plus, minus, strict=True))
    if not np.isfinite(differences).all(0).any():
        return None
    return two_sources(differences, scores.groups, scores.n_folds)


def failed_trials(
    records: Records, table: Grid, cells: Integers, signs: Sequence[int], compared: Flags
) -> dict[Side, int]:
    """By side, the trials of the compared strata whose failure says something of the arm."""
    within = compared[table.strata]
    rows: dict[Side, list[int]] = {"a": [], "b": []}
    for cell, sign in zip(cells, signs, strict=True):
        trials = table.trials[within, cell]
        rows["a" if sign > 0 else "b"] += trials[trials >= 0].tolist()
    return failures_that_count(records, rows)


def _pairs(levels: int, all_of_them: bool) -> list[Pair]:
    """(earlier, later) for every two levels, or for the first and every other one."""
    pairs = list(itertools.combinations(range(levels), 2))
    return pairs if all_of_them else pairs[: levels - 1]


def _comparable(records: Records, column: str, axis: str, pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of levels on which `column` measures the same."""
    of = [measured_on(records, column, {axis: level}) for level in records.axes[axis]]
    return [(one, other) for one, other in pairs if of[one] == of[other]]


def _pairs_of_design(records: Records, levels: Sequence[str]) -> list[Pair]:
    """The reference and every other configuration, and what is built upon each other."""
    found = _pairs(len(levels), all_of_them=False)
    if records.design is not None:
        places = {level: place for place, level in enumerate(levels)}
        steps = [places[label] for label in records.design.sequence if label in places]
        found += list(itertools.pairwise(steps))
    return list(dict.fromkeys(found))


def _pairs_of_pairs(one: int, other: int, *, all_of_them: bool) -> list[tuple[Pair, Pair]]:
    """Those of all levels, if they may be and are not too many; else with the first levels."""
    for every in (True, False) if all_of_them else (False,):
        found = list(itertools.product(_pairs(one, every), _pairs(other, every)))
        if len(found) <= MOST_CONTRASTS:
            break
    return found
