from __future__ import annotations

import math

import pytest

from bench.report.figures import plot_data
from tests.builders.records import MadeTrial
from tests.builders.studies import row, study_of


def test_curves_by_hand(tmp_path):
    histories = [
        [row(1, 1.0, 0.8), row(2, 0.5, 0.9)],
        [row(1, 2.0, 0.9)],
        [row(1, 3.0, 1.0)],
    ]
    trials = [MadeTrial(s, history=h) for s, h in enumerate(histories)]
    trials.append(MadeTrial(9, status="failed", history=[row(1, 99.0, 0.0)]))
    found = plot_data.curve_data(study_of(tmp_path, trials)).set_index(["metric", "epoch"])
    assert found.loc[("val/dice", 1), "mean"] == pytest.approx(0.9)
    assert found.loc[("val/dice", 1), "low"] == pytest.approx(0.651586, abs=1e-6)
    assert found.loc[("train/loss", 1), "mean"] == pytest.approx(2.0)  # without the failed one
    assert found.loc[("train/loss", 1), "highest"] == 3.0
    assert found.loc[("val/dice", 2), "n"] == 1
    assert math.isnan(found.loc[("val/dice", 2), "low"])


def test_values_of_seeds_have_no_gaps(tmp_path):
    trials = [
        MadeTrial(0, summary={"best_val_dice": 0.8, "test_dice": 0.7}),
        MadeTrial(1, summary={"test_dice": math.inf}),
        MadeTrial(2, status="failed", summary={"best_val_dice": 0.1}),
    ]
    found = plot_data.seed_data(
        study_of(tmp_path, trials), ["best_val_dice", "test_dice", "no_such"]
    )
    assert found[["id", "column", "value"]].to_numpy().tolist() == [
        [trials[0].id, "best_val_dice", 0.8],
        [trials[0].id, "test_dice", 0.7],
    ]


def test_intervals_by_hand(tmp_path):
    trials = [MadeTrial(s, summary={"best_val_dice": v}) for s, v in enumerate((0.8, 0.9, 1.0))]
    values = plot_data.seed_data(study_of(tmp_path, trials), ["best_val_dice"])
    found = plot_data.intervals_by_arm(values, "best_val_dice")[0]
    assert found == pytest.approx((0.9, 0.651586, 1.148414, 3), abs=1e-6)


def test_throughput_is_the_median_after_the_first_epoch(tmp_path):
    speeds = (1.0, 50.0, 70.0, 60.0)
    history = [row(e, 1.0, 0.5, images_per_second=s) for e, s in enumerate(speeds, 1)]
    trials = [MadeTrial(0, history=history, environment={"gpu": "X"}), MadeTrial(1)]
    found = plot_data.throughput_data(study_of(tmp_path, trials))
    assert found["value"].tolist() == [60.0]
    assert "gpu X" in found["conditions"].iloc[0]


def spender(seed, model, dices, seconds, macs=None):
    """A trial of 10 images a second, with `seconds` an epoch of training and one of validation."""
    history = [
        row(e, 1.0, d, epoch_seconds=seconds, val_seconds=1.0, images_per_second=10.0)
        for e, d in enumerate(dices, 1)
    ]
    return MadeTrial(seed, {"model": model}, history=history, summary={"macs": macs})


@pytest.fixture
def running(tmp_path):
    """a: three epochs of 3 s and 2 MACs an image; b: two of 9 s and 1."""
    trials = [
        spender(0, "a", (0.1, 0.5, 0.4), 2.0, 2),
        spender(1, "a", (0.3, 0.3, 0.6), 2.0, 2),
        spender(0, "b", (math.nan, 0.7), 8.0, 1),
    ]
    return plot_data.running_best(study_of(tmp_path, trials))


def test_the_best_so_far_and_what_it_cost(running):
    assert running["best"].tolist()[:6] == [0.1, 0.5, 0.5, 0.3, 0.3, 0.6]
    assert math.isnan(running["best"].iloc[6])  # nothing yet is nothing, not 0
    assert running["epochs"].tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert running["seconds"].tolist() == [3, 6, 9, 3, 6, 9, 9, 18]
    assert running["macs"].tolist() == [40, 80, 120, 40, 80, 120, 80, 160]


def test_equal_budgets_by_hand(running):
    common = {cost: plot_data.common_budget(running, cost) for cost in plot_data.BUDGETS}
    assert common == {"epochs": 2, "seconds": 9, "macs": 120}
    within = {cost: plot_data.at_budget(running, cost, common[cost]) for cost in common}
    assert within["epochs"]["value"].tolist() == [0.5, 0.3, 0.7]
    assert within["seconds"][["arm", "value"]].to_numpy().tolist() == [[0, 0.5], [0, 0.6]]
    assert within["macs"]["value"].tolist() == [0.5, 0.6]


def test_a_budget_that_one_trial_does_not_know_is_none(tmp_path):
    known, other = spender(0, "a", (0.1, 0.5), 2.0, 2), spender(0, "b", (0.1, 0.5), 2.0)
    del other.history[0]["val_seconds"]
    found = plot_data.running_best(study_of(tmp_path, [known, other]))
    assert plot_data.common_budget(found, "epochs") == 2
    assert math.isnan(plot_data.common_budget(found, "seconds"))
    assert math.isnan(plot_data.common_budget(found, "macs"))
    assert found["seconds"].isna().tolist() == [False, False, True, True]


def test_curves_over_a_budget_go_as_far_as_all_seeds(running):
    found = plot_data.budget_curves(running, "seconds")
    ours = found[found["arm"] == 0]
    assert (ours["budget"].min(), ours["budget"].max()) == (3, 9)
    assert ours["mean"].iloc[0] == pytest.approx(0.2)
    assert ours["mean"].iloc[-1] == pytest.approx(0.55)
    assert found[found["arm"] == 1]["budget"].tolist() == [18]


def test_lower_may_be_better(tmp_path):
    history = [row(e, v, 0.5) for e, v in enumerate((3.0, 1.0, 2.0), 1)]
    select = {"metric": "val/loss", "mode": "min"}
    found = plot_data.running_best(
        study_of(tmp_path, [MadeTrial(0, history=history)], select=select)
    )
    assert found["best"].tolist() == [3.0, 1.0, 1.0]
