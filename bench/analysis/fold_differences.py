"""Differences by fold, for the test of one or two seeds of cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.analysis.effects import Grid, Integers
from bench.analysis.fold_pool import fold_values
from bench.analysis.pairing import figures_by_trial
from bench.analysis.records import Records
from bench.analysis.stats import Floats
from bench.analysis.strata import Pairs
from bench.analysis.two_sources import FEWEST_SEEDS
from bench.metric_columns import MetricColumn
from bench.spec.hypotheses import Hypothesis, figures


def have_folds(records: Records, columns: list[str], n_seeds: int) -> bool:
    """Whether differences by fold say something of new training sets.

    Not where figures are of the test split, whose images are the same in all folds; nor where
    several seeds have folds of their own, that cannot be averaged over seeds.
    """
    if records.folds is None or records.fold_records is None:
        return False
    if records.folds.repartition and n_seeds > 1:
        return False
    parsed = [MetricColumn.parse(column) for column in columns]
    return not any(column is not None and column.on_test_split for column in parsed)


def differences_by_fold(records: Records, hypothesis: Hypothesis, pairs: Pairs) -> Floats | None:
    """(seeds, folds), a − b of the complete seeds, means over the planned strata.

    None where there are no folds, or they say nothing; or where three seeds or more are planned,
    of which images will be counted: the test must not depend on which of them are complete.
    """
    if len(pairs.seeds) >= FEWEST_SEEDS:
        return None
    columns = [figure.column for figure in figures(hypothesis.metric)]
    if not pairs.complete or not have_folds(records, columns, len(pairs.complete)):
        return None
    of_trials = figures_by_trial(records.trial_records, hypothesis)
    known = fold_values(records, of_trials)
    found = []
    for seed in pairs.complete:
        of_strata = []
        for stratum in pairs.tested:
            sides = [known.get(name) for name in stratum.trials[seed]]
            if not isinstance(hypothesis.b, dict):
                sides.append(np.asarray(float(hypothesis.b)))
            a, b = sides
            if a is None or b is None:
                return None
            of_strata.append(a - b)
        found.append(np.mean(of_strata, axis=0))
    return np.array(found, dtype=float)


def column_by_fold(records: Records, column: str) -> Floats | None:
    """(rows of runs, folds) of a column of runs.csv; NaN where a row has no figure in a fold.

    None where there are no folds, or they say nothing.
    """
    if records.folds is None or not have_folds(records, [column], n_seeds=1):
        return None
    runs = records.trial_records.runs
    if column not in runs:
        return None
    values = runs[column].to_numpy(dtype=float, na_value=np.nan)
    known = fold_values(records, dict(zip(runs["id"], values, strict=True)))
    none = np.full(records.folds.k, np.nan)
    return np.array([known.get(name, none) for name in records.runs["id"]])


def contrast_by_fold(
    records: Records,
    table: Grid,
    cells: Integers,
    signs: Sequence[int],
    strata: Integers,
    seeds: Integers,
    by_fold: Floats | None,
) -> Floats | None:
    """(seeds, folds), a signed sum of cells; see `Grid.contrasts`."""
    if by_fold is None or not len(seeds) or not len(strata):
        return None
    if records.folds is not None and records.folds.repartition and len(seeds) > 1:
        return None
    terms = [
        sign * by_fold[table.trials_of(int(cell), strata, seeds)].mean(axis=0)
        for cell, sign in zip(cells, signs, strict=True)
    ]
    found: Floats = np.sum(terms, axis=0)
    return found if np.isfinite(found).all() else None
