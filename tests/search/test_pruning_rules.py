"""Which trials are pruned, by hand: medians with several objectives, the rungs of halving."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from bench.plan.objectives import Objective
from bench.search.pruning import (
    CURVE,
    CurvePruning,
    NeverPrune,
    OptunaPruning,
    fails_halving,
    is_below_median,
    make_pruning_policy,
)
from bench.spec.search_parts import Asha, Median, Wilcoxon

UP = Objective("best_val_dice", "max")
DOWN = Objective("best_val_loss", "min")


def study_of(*curves: Mapping[int, float], state: TrialState = TrialState.COMPLETE) -> optuna.Study:
    """A study of two objectives whose trials went through these curves."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for curve in curves:
        kept = {CURVE: {str(epoch): value for epoch, value in curve.items()}}
        values = [0.0, 0.0] if state is TrialState.COMPLETE else None
        study.add_trial(create_trial(state=state, values=values, user_attrs=kept))
    return study


def pruned_at(
    study: optuna.Study, settings: Median | Asha, objective: Objective, values: list[float]
) -> int:
    """The epoch after which a further trial with these values is ended; 0: none."""
    policy = make_pruning_policy(settings, objective, several=True, others=study.get_trials)
    assert isinstance(policy, CurvePruning)
    trial = study.ask()
    for epoch, value in enumerate(values, 1):
        if policy.epoch(trial, epoch, value):
            return epoch
    return 0


CURVES = [{1: 0.1, 2: 0.5, 3: 0.6}, {1: 0.2, 2: 0.4, 3: 0.7}, {1: 0.9, 2: 0.3, 3: 0.9}]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.0, 0.0], 2),  # epoch 1 warms up; the median of epoch 2 is 0.4
        ([0.0, 0.4, 0.6], 3),  # equal to it goes on; that of epoch 3 is 0.7
        ([0.0, 0.4, 0.7], 0),
        ([0.75, 0.0, 0.0], 0),  # the best value so far counts, not the last
        ([0.39, 0.39, 0.9], 2),
    ],
)
def test_median_with_several_objectives(values: list[float], expected: int) -> None:
    settings = Median(startup_trials=3, warmup_epochs=1)
    assert pruned_at(study_of(*CURVES), settings, UP, values) == expected


def test_median_of_what_is_to_be_small() -> None:
    settings = Median(startup_trials=3, warmup_epochs=0)
    assert pruned_at(study_of(*CURVES), settings, DOWN, [0.2, 0.41]) == 0  # the best so far is 0.2
    assert pruned_at(study_of(*CURVES), settings, DOWN, [0.21]) == 1


def test_median_waits_for_enough_finished_trials_and_warms_up() -> None:
    worst = [0.0, 0.0, 0.0]
    assert pruned_at(study_of(*CURVES), Median(startup_trials=4), UP, worst) == 0
    warm = Median(startup_trials=1, warmup_epochs=2)
    assert pruned_at(study_of(*CURVES), warm, UP, worst) == 3


def test_median_counts_finished_trials_alone() -> None:
    settings = Median(startup_trials=3, warmup_epochs=0)
    running = study_of(*CURVES, state=TrialState.RUNNING)
    assert pruned_at(running, settings, UP, [0.0] * 3) == 0
    pruned = study_of(*CURVES, state=TrialState.FAIL)
    assert pruned_at(pruned, settings, UP, [0.0] * 3) == 0


def test_median_passes_over_trials_that_did_not_come_so_far() -> None:
    settings = Median(startup_trials=2, warmup_epochs=0)
    assert is_below_median(settings, UP, {3: 0.5}, [{1: 0.9}, {1: 0.9, 3: 0.4}], 3) is False
    assert is_below_median(settings, UP, {3: 0.3}, [{1: 0.9}, {1: 0.9, 3: 0.4}], 3) is True
    assert is_below_median(settings, UP, {3: 0.3}, [{1: 0.9}, {1: 0.9}], 3) is False


def test_the_median_of_an_even_number_lies_between() -> None:
    settings = Median(startup_trials=2, warmup_epochs=0)
    others = [{1: 0.2}, {1: 0.4}]
    assert is_below_median(settings, UP, {1: 0.31}, others, 1) is False
    assert is_below_median(settings, UP, {1: 0.29}, others, 1) is True


@pytest.mark.parametrize(("first", "reduction", "rungs"), [
    (1, 3, [1, 3, 9, 27]), (2, 2, [2, 4, 8, 16]), (3, 4, [3, 12]), (5, 3, [5, 15]),
])  # fmt: skip
def test_halving_decides_at_its_rungs_alone(first: int, reduction: int, rungs: list[int]) -> None:
    settings = Asha(min_epochs=first, reduction=reduction)
    better = [dict.fromkeys(range(1, 31), 1.0)] * 5
    ended = [e for e in range(1, 31) if fails_halving(settings, UP, {e: 0.0}, better, e)]
    assert ended == rungs


@pytest.mark.parametrize(
    ("others", "value", "expected"),
    [
        ([], 0.0, False),  # alone: the best
        ([0.5], 0.4, True),  # one rank of two
        ([0.5], 0.5, False),  # equal to the last rank goes on
        ([0.5, 0.4], 0.5, False),
        ([0.9, 0.8, 0.7, 0.6, 0.5], 0.85, False),  # two places of six: 0.9 and 0.85
        ([0.9, 0.8, 0.7, 0.6, 0.5], 0.79, True),
        ([0.9, 0.8, 0.7, 0.6], 0.85, True),  # one rank of five
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], 0.7, False),  # three of nine
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2], 0.69, True),
    ],
)
def test_one_in_three_goes_on(others: list[float], value: float, expected: bool) -> None:
    curves = [{3: other} for other in others]
    assert fails_halving(Asha(), UP, {3: value}, curves, 3) is expected
    small = [{3: -other} for other in others]
    assert fails_halving(Asha(), DOWN, {3: -value}, small, 3) is expected


def test_only_who_came_to_a_rung_has_a_place_there() -> None:
    others = [{1: 0.9}, {1: 0.9}, {1: 0.9, 3: 0.1}]
    assert fails_halving(Asha(), UP, {1: 0.9, 3: 0.2}, others, 3) is False
    assert fails_halving(Asha(), UP, {1: 0.9, 3: 0.05}, others, 3) is True


def test_halving_with_several_objectives_counts_running_trials() -> None:
    running = study_of({1: 0.9}, {1: 0.8}, state=TrialState.RUNNING)
    assert pruned_at(running, Asha(), UP, [0.85]) == 1
    assert pruned_at(running, Asha(), UP, [0.95]) == 0


def test_a_trial_is_not_its_own_rival() -> None:
    """One rank of five; with its own curve counted twice there were two of six."""
    study = study_of({1: 0.9}, {1: 0.8}, {1: 0.7}, {1: 0.6}, state=TrialState.RUNNING)
    assert pruned_at(study, Asha(), UP, [0.85]) == 1


def test_curves_are_kept_for_those_that_come_later() -> None:
    study = study_of()
    settings = Median(startup_trials=1, warmup_epochs=0)
    assert pruned_at(study, settings, UP, [0.5, 0.6]) == 0
    study.tell(0, [0.6, 0.0])
    assert pruned_at(study, settings, UP, [0.5, 0.59]) == 2


def test_who_judges() -> None:
    def others() -> list[optuna.trial.FrozenTrial]:
        return []

    assert isinstance(make_pruning_policy(Median(), None, several=True, others=others), NeverPrune)
    assert isinstance(
        make_pruning_policy(Wilcoxon(), UP, several=False, others=others), OptunaPruning
    )
    assert isinstance(
        make_pruning_policy(Median(), UP, several=False, others=others), OptunaPruning
    )
