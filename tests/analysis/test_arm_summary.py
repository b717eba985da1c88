from __future__ import annotations

import math

import pandas as pd
import pytest

from bench.analysis.arm_summary import (
    arm_summary,
    baseline_column,
    best_trials,
    interval_of,
    ranking,
    write_csvs,
)
from bench.analysis.arms import arms_of
from bench.analysis.load import load
from bench.record.store import Store
from tests.builders.records import MadeTrial, study, write_experiment

NONE, ELASTIC = {"augment": "none"}, {"augment": "elastic"}


def made(root, trials, **changes):
    write_experiment(root, "exp", trials, **changes)
    return load(Store(root), "exp")


def trial(seed, axes, best, **summary):
    return MadeTrial(seed, axes, summary={"best_val_dice": best, **summary})


@pytest.fixture
def records(tmp_path):
    """Arm `none`: 0.8, 0.9, 1.0 and one failed; `elastic`: 0.7 and one planned."""
    return made(
        tmp_path,
        [
            trial(0, NONE, 0.8, test_dice=0.7, params=10, epoch_seconds=2.0, baseline_dice=0.5),
            trial(1, NONE, 0.9, test_dice=0.9, params=10, epoch_seconds=9.0, baseline_dice=0.5),
            trial(2, NONE, 1.0, params=10, epoch_seconds=3.0, baseline_dice=0.5),
            MadeTrial(3, NONE, status="failed", failure="crash", summary={"best_val_dice": 0.1}),
            trial(0, ELASTIC, 0.7),
            MadeTrial(1, ELASTIC, status="planned"),
        ],
    )


def test_summary_by_hand(records):
    found = arm_summary(records)
    assert found["arm"].tolist() == ["none", "elastic"]
    assert found[["n_done", "n_failed", "n_missing"]].to_numpy().tolist() == [[3, 1, 0], [1, 0, 1]]
    row = found.loc[0]
    assert row["best_val_dice"] == pytest.approx(0.9)
    assert row["best_val_dice_low"] == pytest.approx(0.651586, abs=1e-6)
    assert row["best_val_dice_high"] == pytest.approx(1.148414, abs=1e-6)
    assert row["best_val_dice_n"] == 3  # without the failed one
    assert row["test_dice_n"] == 2
    assert row["test_dice"] == pytest.approx(0.8)
    assert row["epoch_seconds"] == 3.0  # median
    assert row["params"] == 10
    assert row["baseline_dice"] == 0.5


def test_one_seed_has_no_interval_and_missing_is_missing(records):
    row = arm_summary(records).loc[1]
    assert row["best_val_dice"] == 0.7
    assert math.isnan(row["best_val_dice_low"])
    assert math.isnan(row["test_dice"])
    assert row["test_dice_n"] == 0
    assert math.isnan(row["params"])


def test_every_number_leads_to_its_trials(records):
    ids = arm_summary(records)["trials"].str.split()
    assert ids.loc[0] == records.runs["id"].tolist()[:4]
    assert ids.loc[1] == records.runs["id"].tolist()[4:]


def test_interval_of_agrees(records):
    found = interval_of(arm_summary(records), 0, "best_val_dice")
    assert found.n == 3
    assert found.mean == pytest.approx(0.9)


def test_ranking_both_ways(records):
    summary = arm_summary(records)
    assert ranking(summary, "best_val_dice", "max") == [0, 1]
    assert ranking(summary, "best_val_dice", "min") == [1, 0]
    assert ranking(summary, "test_dice", "max") == [0]


def test_best_trial_of_each_arm(records):
    ids = records.runs["id"]
    assert best_trials(records, arms_of(records)) == {0: ids[2], 1: ids[4]}


@pytest.mark.parametrize(
    ("column", "baseline"),
    [
        ("test_dice", "baseline_dice"),
        ("best_val_dice", "baseline_val_dice"),
        ("final_val_dice_cat", "baseline_val_dice_cat"),
        ("test_dice_cat", "baseline_dice_cat"),
    ],
)
def test_baseline_column(column, baseline):
    assert baseline_column(column) == baseline


def test_nothing_finished(tmp_path):
    found = arm_summary(made(tmp_path, [MadeTrial(0, NONE, status="planned")]))
    assert found["n_missing"].tolist() == [1]
    assert found["best_val_dice"].isna().all()
    assert found["best_val_dice_n"].tolist() == [0]


def test_csvs_have_the_columns_and_read_back_equal(tmp_path):
    records = made(tmp_path, study(models=("unet",), seeds=2, epochs=3, failed=(1,)))
    write_csvs(records, tmp_path / "out")
    runs = pd.read_csv(tmp_path / "out" / "runs.csv", float_precision="round_trip")
    history = pd.read_csv(tmp_path / "out" / "history.csv", float_precision="round_trip")
    assert list(runs.columns) == list(records.runs.columns)
    assert list(history.columns) == list(records.history.columns)
    assert runs["best_val_dice"].tolist()[0] == records.runs["best_val_dice"].tolist()[0]
    assert history["val/loss"].tolist() == records.history["val/loss"].tolist()
    failed = (tmp_path / "out" / "runs.csv").read_text().splitlines()[2].split(",")
    assert failed[runs.columns.get_loc("params")] == ""
    assert "13395394," in (tmp_path / "out" / "runs.csv").read_text()
