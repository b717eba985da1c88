"""Effects of a fractional factorial design: one half of its runs against the other."""

from __future__ import annotations

import numpy as np

from bench.analysis.contrast_tests import Observed, Trials
from bench.analysis.effects import Grid, Integers, grid
from bench.analysis.figure_directions import figure_direction
from bench.analysis.level_contrasts import Explored, Scores, failed_trials, trials_of_levels
from bench.analysis.measurement_conditions import comparable_axes, incomparable_axes
from bench.analysis.records import Records
from bench.analysis.two_sources import TwoSources, paired_table, two_sources
from bench.plan.design import CONFIGURATION
from bench.plan.fraction import Effect, effect_name
from bench.record.directions import Mode
from bench.spec.hypotheses import EXACT


def fraction_effects(records: Records, column: str, scores: Scores = None) -> list[Explored]:
    """Main effects, then what is estimable of interactions of two components.

    An effect is the mean of the runs in which the product of the components' signs is positive
    minus that of the others (Box, Hunter and Hunter 2005, chapter 5): of a component on − off, of
    an interaction half the difference of differences. Where main effects are confounded with
    interactions, the interactions have no row of their own; interactions that are confounded with
    each other have one together. `names` are the effect and what it is confounded with.
    """
    design = records.design
    fraction = None if design is None else design.fraction
    if design is None or fraction is None or CONFIGURATION not in comparable_axes(records, column):
        return []
    is_loss = CONFIGURATION in incomparable_axes(records, column)
    labels = list(records.axes[CONFIGURATION])
    if not set(design.configurations) <= set(labels):
        return []
    cells = np.array([labels.index(label) for label in design.configurations])
    table, trials = grid(records, column, [CONFIGURATION]), trials_of_levels(records)
    mode = figure_direction(records, column)
    found = []
    for effects in fraction.alias_sets:
        if is_loss and any(name in design.losses for effect in effects for name in effect):
            continue  # one half has another loss than the other
        signs = _signs(design.components, fraction.signs, effects[0])
        a, b = (
            frozenset[int]().union(
                *(trials[CONFIGURATION, labels[cell]] for cell in cells[signs == sign])
            )
            for sign in (1, -1)
        )
        is_main = len(effects[0]) == 1
        others = " = ".join(effect_name(other) for other in effects[1:])
        names = (effect_name(effects[0]), others)
        found.append(
            _effect(records, column, table, (cells[signs == 1], cells[signs == -1]), names, (a, b),
                    mode if is_main else None, scores)
        )  # fmt: skip
    return found


def _signs(components: tuple[str, ...], signs: np.ndarray, effect: Effect) -> Integers:
    """Of the runs, the product over the components of an effect."""
    at = [components.index(component) for component in effect]
    return np.asarray(signs[:, at].astype(np.int64).prod(axis=1))


def _effect(
    records: Records,
    column: str,
    table: Grid,
    halves: tuple[Integers, Integers],
    names: tuple[str, str],
    sides: tuple[Trials, Trials],
    mode: Mode | None,
    scores: Scores,
) -> Explored:
    """What was observed of the mean of one half of the cells minus that of the other."""
    every = np.concatenate(halves)[None, :]
    half = len(halves[0])
    signs = (1,) * half + (-1,) * half
    found, compared = table.contrasts(every, signs), table.compared(every)
    strata = np.flatnonzero(compared[:, 0])
    complete = np.flatnonzero(~np.isnan(found.by_seed[:, 0]))
    seen = Observed(
        found.by_seed[complete, 0] / half,
        sources=_by_image(table, halves, strata, complete, scores),
        failed=failed_trials(records, table, every[0], signs, compared[:, 0]),
        mode=mode,
        is_exact=column in EXACT,
    )
    return Explored(column, names, *sides, seen, int(found.lost[0]), int(found.seeds[0]))


def _by_image(
    table: Grid,
    halves: tuple[Integers, Integers],
    strata: Integers,
    seeds: Integers,
    scores: Scores,
) -> TwoSources | None:
    """The same by image; None unless all trials have scores of the same images."""
    if scores is None or not len(seeds):
        return None
    plus, minus = (
        np.concatenate([scores.rows[table.trials_of(int(c), strata, seeds)] for c in cells])
        for cells in halves
    )
    if min(int(plus.min()), int(minus.min())) < 0:
        return None
    differences = paired_table(scores.values, plus, minus)  # a row for each stratum of each run
    if not np.isfinite(differences).all(axis=0).any():
        return None
    return two_sources(differences, scores.groups, scores.n_folds)
