"""How much each dimension matters for each objective, and how sure that is."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.importance import FanovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState, create_trial

REPEATS = 10  # enough for a range; each fits a random forest
MIN_POINTS = 8
"""Fewer finished points say nothing."""


def importances(trials: Sequence[FrozenTrial], index: int) -> dict[str, dict[str, float]] | None:
    """Share of the variance of objective `index` that each dimension explains: fANOVA.

    Each repeat takes as many of the finished points at random, with replacement, and another seed
    of the forest; given are the mean and the range of the repeats. Dimensions under a `when:` are
    left out, as not every point has them. None where there are too few points, or all are equal.
    """
    finished = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    values = [trial.values[index] for trial in finished]
    if len(finished) < MIN_POINTS or len(set(values)) < 2:
        return None
    found: dict[str, list[float]] = {}
    for seed in range(REPEATS):
        chosen = np.random.default_rng(seed).integers(len(finished), size=len(finished))
        for name, share in _forest_importances([finished[k] for k in chosen], index, seed).items():
            found.setdefault(name, []).append(share)
    if not found:
        return None
    return {
        name: {"mean": statistics.fmean(shares), "low": min(shares), "high": max(shares)}
        for name, shares in sorted(found.items(), key=lambda item: -statistics.fmean(item[1]))
    }


def _forest_importances(trials: Sequence[FrozenTrial], index: int, seed: int) -> dict[str, float]:
    """One forest's. Nothing where all of them have the same value."""
    if len({trial.values[index] for trial in trials}) < 2:
        return {}
    study = optuna.create_study()
    study.add_trials(
        create_trial(
            params=trial.params, distributions=trial.distributions, value=trial.values[index]
        )
        for trial in trials
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = FanovaImportanceEvaluator(seed=seed)
        found: dict[str, Any] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(share) for name, share in found.items()}
