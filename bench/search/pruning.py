"""Which trials are ended before their time, by what is known of them so far."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.plan.objectives import Objective
from bench.search.storages import silence_optuna
from bench.spec.search_parts import Asha, Hyperband, Median, Pruner, Wilcoxon

CURVE = "bench:curve"
"""The curve's values by epoch, where Optuna itself keeps none: with several objectives."""

Curve = Mapping[int, float]


class PruningPolicy(Protocol):
    """Decides after each epoch of a point's first seed, and after each seed."""

    def epoch(self, trial: optuna.Trial, epoch: int, value: float) -> bool:
        """Whether to end the trial; `value` is what it would come to if it ended now."""
        ...

    def seed(self, trial: optuna.Trial, index: int, value: float) -> bool:
        """Whether to leave the other seeds out; `value` is what this one came to."""
        ...


class NeverPrune:
    """Lets every trial go on."""

    def epoch(self, _trial: optuna.Trial, _epoch: int, _value: float) -> bool:
        """Never."""
        return False

    def seed(self, _trial: optuna.Trial, _index: int, _value: float) -> bool:
        """Never."""
        return False


class OptunaPruning:
    """Asks the study's pruner. For one objective.

    Args:
        by_seed: a step is a seed, not an epoch.
    """

    def __init__(self, *, by_seed: bool) -> None:
        self._by_seed = by_seed

    def epoch(self, trial: optuna.Trial, epoch: int, value: float) -> bool:
        """By the values of other trials at the same epoch."""
        return not self._by_seed and _report_and_ask(trial, epoch, value)

    def seed(self, trial: optuna.Trial, index: int, value: float) -> bool:
        """By the best trial's values for the same seeds."""
        return self._by_seed and _report_and_ask(trial, index, value)


def _report_and_ask(trial: optuna.Trial, step: int, value: float) -> bool:
    with warnings.catch_warnings():
        # a trial that goes on reports its last epochs again: Optuna keeps the first value
        warnings.filterwarnings("ignore", message="The reported value is ignored")
        trial.report(value, step)
    return trial.should_prune()


class CurvePruning:
    """Median or successive halving on one curve. For several objectives, where Optuna has neither.

    Args:
        settings: the pruner.
        objective: which values of the curve are better.
        others: all trials of the study, as they are now.
    """

    def __init__(
        self,
        settings: Median | Asha,
        objective: Objective,
        others: Callable[[], Sequence[FrozenTrial]],
    ) -> None:
        self._settings, self._objective, self._others = settings, objective, others

    def epoch(self, trial: optuna.Trial, epoch: int, value: float) -> bool:
        """By the values of other trials at the same epoch."""
        curve = curve_of(trial.user_attrs) | {epoch: value}
        trial.set_user_attr(CURVE, {str(step): found for step, found in curve.items()})
        others = [found for found in self._others() if found.number != trial.number]
        if isinstance(self._settings, Asha):
            curves = [curve_of(found.user_attrs) for found in others]
            return fails_halving(self._settings, self._objective, curve, curves, epoch)
        finished = [
            curve_of(found.user_attrs) for found in others if found.state is TrialState.COMPLETE
        ]
        return is_below_median(self._settings, self._objective, curve, finished, epoch)

    def seed(self, _trial: optuna.Trial, _index: int, _value: float) -> bool:
        """Never."""
        return False


def curve_of(attributes: Mapping[str, Any]) -> dict[int, float]:
    """What a trial's attributes keep of its curve, but for those that are no number."""
    kept = {int(step): float(value) for step, value in attributes.get(CURVE, {}).items()}
    return {step: value for step, value in kept.items() if math.isfinite(value)}


def is_below_median(
    settings: Median, objective: Objective, curve: Curve, finished: Sequence[Curve], epoch: int
) -> bool:
    """Whether the best value so far is worse than the median of finished trials at this epoch."""
    if epoch <= settings.warmup_epochs or len(finished) < settings.startup_trials:
        return False
    there = [other[epoch] for other in finished if epoch in other]
    best = (max if objective.mode == "max" else min)(curve.values())
    return bool(there) and objective.better(statistics.median(there), best)


def fails_halving(
    settings: Asha, objective: Objective, curve: Curve, others: Sequence[Curve], epoch: int
) -> bool:
    """Whether, at one of the deciding epochs, others leave it no rank among the best."""
    deciding = settings.min_epochs
    while deciding < epoch:
        deciding *= settings.reduction
    if deciding != epoch:
        return False
    values = [other[epoch] for other in others if epoch in other] + [curve[epoch]]
    kept = max(1, len(values) // settings.reduction)
    worst = sorted(values, reverse=objective.mode == "max")[kept - 1]
    return objective.better(worst, curve[epoch])


def make_pruner(settings: Pruner, epochs: int) -> optuna.pruners.BasePruner:
    """Optuna's pruner for one objective; `epochs` are those of the longest trial."""
    if isinstance(settings, Median):
        # Optuna's first step at which it prunes, not the last at which it does not
        return optuna.pruners.MedianPruner(settings.startup_trials, settings.warmup_epochs + 1)
    if isinstance(settings, Asha):
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=settings.min_epochs, reduction_factor=settings.reduction
        )
    if isinstance(settings, Hyperband):
        return optuna.pruners.HyperbandPruner(
            min_resource=settings.min_epochs,
            max_resource=max(epochs, settings.min_epochs),
            reduction_factor=settings.reduction,
        )
    if isinstance(settings, Wilcoxon):
        silence_optuna()
        return optuna.pruners.WilcoxonPruner(p_threshold=settings.p)
    return optuna.pruners.NopPruner()


def make_pruning_policy(
    settings: Pruner,
    objective: Objective | None,
    *,
    several: bool,
    others: Callable[[], Sequence[FrozenTrial]],
) -> PruningPolicy:
    """What decides; `objective` is the curve that trials are pruned by."""
    if isinstance(settings, Wilcoxon):
        return OptunaPruning(by_seed=True)
    if objective is None:
        return NeverPrune()
    if several:
        assert isinstance(settings, Median | Asha)
        return CurvePruning(settings, objective, others)
    return OptunaPruning(by_seed=False)
