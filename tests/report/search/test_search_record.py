from __future__ import annotations

import math

import pytest

from bench.errors import DamagedError
from bench.report.search.search_record import (
    best_so_far,
    known_facts,
    manifest_of,
    most_important,
    read_search_record,
)
from tests.builders.search_records import POINTS, point, read, record, two_objectives, write


def test_an_experiment_without_search_json_was_none(tmp_path):
    assert read_search_record(tmp_path) is None


def test_where_values_lie(tmp_path):
    space = read(tmp_path).space
    assert space["train.lr"].share(1e-3) == pytest.approx(0.5)
    assert space["train.batch_size"].share(8) == 0.25
    assert space["train.optimizer"].share("sgd") == 1
    assert space["train.momentum"].condition == "train.optimizer sgd"
    assert space["train.batch_size"].words == "4 to 20 in steps of 4"
    assert space["train.momentum"].words == "0.5 to 0.9; only with train.optimizer sgd"


def test_states_and_what_points_lack(tmp_path):
    search = read(tmp_path)
    assert search.counts == {"complete": 4, "pruned": 1, "infeasible": 1, "failed": 1}
    assert search.absent("train.momentum") == 5
    assert search.absent("train.lr") == 0


def test_the_best_so_far_goes_on_to_the_last_point(tmp_path):
    search = read(tmp_path)
    assert best_so_far(search, search.objectives[0]) == [(0, 0.6), (2, 0.8), (6, 0.8)]
    two = read(tmp_path / "two", two_objectives())
    assert best_so_far(two, two.objectives[1]) == [(0, 1e9), (4, 1e9)]
    nothing = read(tmp_path / "n", record(trials=[], front=[], chosen=[], confirmations=[]))
    assert best_so_far(nothing, search.objectives[0]) == []


def test_what_is_seen_of_a_point(tmp_path):
    """Values of complete points, the last one of pruned ones, costs that constraints tell."""
    search = read(tmp_path)
    seen = [search.seen(p, "best_val_dice") for p in search.points]
    assert seen[:4] == [0.6, 0.5, 0.8, 0.4]
    assert math.isnan(seen[4])
    assert math.isnan(seen[5])
    two = read(tmp_path / "two", two_objectives())
    assert [two.seen(p, "macs") for p in two.points] == [1e9, 2e9, 4e9, 6e9, 3e9]
    assert two.seen(two.by_number[3], "best_val_dice") == 0.4
    assert two.limit("macs") == 5e9
    assert math.isnan(two.limit("best_val_dice"))


def test_a_curve_of_another_metric_is_not_the_objective(tmp_path):
    pruner = {"name": "asha", "metric": "val/iou"}
    two = read(tmp_path, two_objectives(pruner=pruner))
    assert math.isnan(two.seen(two.by_number[3], "best_val_dice"))


def test_wilcoxon_s_points_are_means_of_their_seeds(tmp_path):
    pruned = point(0, "pruned", figures=[{"best_val_dice": 0.2}, {"best_val_dice": 0.4}],
                   intermediate={"0": 0.2, "1": 0.4})  # fmt: skip
    search = read(tmp_path, record(pruner={"name": "wilcoxon", "p": 0.1}, trials=[pruned],
                                   front=[], chosen=[], confirmations=[]))  # fmt: skip
    assert search.seen(search.points[0], "best_val_dice") == pytest.approx(0.3)


def test_fresh_seeds(tmp_path):
    search = read(tmp_path)
    found = search.confirmation(2)
    interval = found.interval("best_val_dice")
    assert interval.mean == pytest.approx(0.7)
    assert interval.high - 0.7 == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6)
    assert found.test_figures == ["test_dice"]
    assert search.confirmation(0) is None


def test_importances_by_their_means(tmp_path):
    search = read(tmp_path)
    names = ["train.lr", "train.batch_size", "train.optimizer"]
    assert most_important(search, search.objectives[0]) == names
    unknown = read(tmp_path / "u", record(importances={"best_val_dice": None}))
    assert most_important(unknown, unknown.objectives[0]) == []


def test_the_manifest_says_how_was_searched(tmp_path):
    search = read(tmp_path)
    kept = manifest_of(search)
    assert kept["points"] == {"complete": 4, "pruned": 1, "infeasible": 1, "failed": 1}
    assert (kept["reused"], kept["confirm_seeds"], kept["chosen"]) == (1, [1, 2, 3], [2])
    assert kept["space"]["train.lr"] == {"float": (1e-4, 1e-2), "log": True}
    facts = known_facts(search)
    assert facts["sampler"] == "tpe (startup_trials 10, seed 0)"
    assert facts["pruner"] == "median (startup_trials 5, warmup_epochs 1)"
    assert facts["space: train.optimizer"] == "adam, sgd"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"objectives": []}, "objectives"),
        ({"trials": [point(0, "lost")]}, "trials.0.state"),
        ({"chosen": [9]}, "there is no point 9"),
        ({"trials": [*POINTS, point(7, params={"train.lr": 0.0})]}, "train.lr cannot be 0"),
        ({"trials": [*POINTS, point(7, params={"x": 1})]}, "point 7: there is no dimension x"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_reported(tmp_path, changes, reason):
    write(tmp_path, record(**changes))
    with pytest.raises(DamagedError, match=reason) as error:
        read_search_record(tmp_path)
    assert "search.json" in str(error.value)
    assert "bench search" in str(error.value)
