"""What a page says of cross-validation."""

from __future__ import annotations

import pandas as pd

from bench.analysis.contrast_tests import Basis, has_folds_alone
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.records import Records
from bench.analysis.two_sources import Over
from bench.report.format import numbers


def folds_note(records: Records) -> str:
    """How the numbers of an arm come about; empty without folds."""
    if records.folds is None:
        return ""
    trials = records.trial_records.runs
    trials = trials[trials["fold"].notna()]  # neither imported ones nor other experiments'
    if records.combined_from:
        of_each = trials.groupby("experiment", sort=False)
        size = "; ".join(f"{name}: {_size(own, 0)}" for name, own in of_each)
    else:
        other = records.folds.repartition
        again = "each seed has other folds" if other else "the same folds for all"
        size = f"{_size(trials, records.folds.k)} ({again})"
    return (
        f"Cross-validation: {size}. A number of an arm and seed is over all its folds; of "
        "validation it is out of fold, every image being scored by the one model that was not "
        "trained on it. A seed counts with all its folds."
    )


def _size(trials: pd.DataFrame, planned: int) -> str:
    """`3 seeds × 5 folds`: those planned, where that is known, and at least those begun."""
    seeds = numbers.plural(trials["seed"].nunique(), "seed")
    return f"{seeds} × {max(planned, int(trials['fold'].max()) + 1)} folds"


def scope_of_folds(outcome: HypothesisOutcome) -> str:
    """What a verdict on out-of-fold figures generalises over; empty of other figures."""
    result, seen = outcome.result, outcome.seen
    if outcome.against_number or result.contrast.over is Over.IMAGES:
        return ""
    new = "For new training sets of this size and new images"
    if seen.by_fold is not None and has_folds_alone(seen) and result.basis is Basis.TEST:
        return (
            f"{new}, by a t-test over {seen.by_fold.shape[1]} folds whose variance is corrected "
            "for the training images that they share (Nadeau and Bengio 2003)."
        )
    if result.contrast.over is Over.BOTH and result.sources and (c := result.sources.correction):
        seeds = numbers.plural(result.sources.n_seeds, "seed")
        return (
            f"{new}: {seeds} × {round(c / (c - 1))} folds. The variance over images counts "
            f"{1 + c:.3g} times, for the training images that folds share."
        )
    return ""
