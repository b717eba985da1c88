"""What a page says of cross-validation."""

from __future__ import annotations

from bench.analysis.records import Records
from bench.report.format import numbers


def folds_note(records: Records) -> str:
    """How the numbers of an arm come about; empty without folds."""
    if records.folds is None:
        return ""
    seeds = records.runs["seed"].nunique()
    k = records.folds.k
    again = "each seed has other folds" if records.folds.repartition else "the same folds for all"
    return (
        f"Cross-validation: {numbers.plural(seeds, 'seed')} × {k} folds ({again}). A number of an "
        f"arm and seed is over all {k} folds; of validation it is out of fold, every image being "
        "scored by the one model that was not trained on it. A seed counts with all its folds."
    )
