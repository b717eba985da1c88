from __future__ import annotations

import math

import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.load import load
from bench.analysis.pareto import pareto_front, pareto_members
from bench.record.store import Store
from tests.builders.records import MadeTrial, write_experiment


@pytest.mark.parametrize(
    ("costs", "values", "mode", "front"),
    [
        ([1, 2, 3], [0.5, 0.4, 0.9], "max", [True, False, True]),
        ([1, 2, 3], [0.5, 0.4, 0.9], "min", [True, True, False]),
        ([1, 1, 2], [0.5, 0.5, 0.5], "max", [True, True, False]),  # equal points stay together
        ([1, math.nan, 0], [0.5, 0.9, math.nan], "max", [True, False, False]),
        ([], [], "max", []),
    ],
)
def test_front(costs, values, mode, front):
    assert pareto_front(costs, values, mode).tolist() == front


def members(root, trials, **changes):
    write_experiment(root, "exp", trials, **changes)
    records = load(Store(root), "exp")
    return pareto_members(records, arm_summary(records))


def arm(model, dice, macs, seconds, gpu="X", **axes):
    summary = {"best_val_dice": dice, "macs": macs, "epoch_seconds": seconds}
    return MadeTrial(0, {"model": model, **axes}, summary=summary, environment={"gpu": gpu})


def test_members(tmp_path):
    trials = [arm("a", 0.8, 10, 3), arm("b", 0.7, 5, 3), arm("c", 0.9, None, 9)]
    found = members(tmp_path, trials)
    assert list(found) == ["macs", "epoch_seconds"]  # memory and params are not known
    assert found["macs"].tolist()[:2] == [True, True]
    assert found["macs"].isna().tolist() == [False, False, True]
    assert found["epoch_seconds"].tolist() == [True, False, True]


def test_times_under_other_conditions_have_no_front(tmp_path):
    assert list(members(tmp_path, [arm("a", 0.8, 1, 3), arm("b", 0.7, 2, 3, "Y")])) == ["macs"]


def test_arms_compete_only_where_the_metric_means_the_same(tmp_path):
    trials = [
        MadeTrial(0, {"train.loss": loss}, summary={"best_val_loss": value, "macs": macs})
        for loss, value, macs in (("ce", 0.1, 1), ("dice", 0.5, 2))
    ]
    select = {"metric": "val/loss", "mode": "min"}
    on_the_front = members(
        tmp_path / "a", trials, select=select, incomparable={"loss": ["train.loss"]}
    )
    assert on_the_front["macs"].tolist() == [True, True]
    assert members(tmp_path / "b", trials, select=select)["macs"].tolist() == [True, False]
