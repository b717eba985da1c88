from __future__ import annotations

import json

import pandas as pd
import pytest

from bench.analysis.load import load
from bench.errors import StoreError
from bench.record.directions import direction
from bench.record.store import Store
from tests.builders.records import MadeTrial, study, write_experiment, write_plan, write_trial

NONE, ELASTIC = {"augment": "none"}, {"augment": "elastic"}


def made(root, trials, **changes):
    write_experiment(root, "exp", trials, **changes)
    return load(Store(root), "exp")


def test_columns_are_the_contract_s(tmp_path):
    records = made(tmp_path, study(models=("unet",), augments=("none",), seeds=1, epochs=3))
    assert list(records.runs.columns) == [
        "id", "experiment", "status", "failure", "message", "health", "source", "seed",
        "axis.model", "axis.augment", "params", "trainable_params", "macs", "epochs", "best_epoch",
        "best_val_loss", "best_val_dice", "best_val_iou", "final_val_loss", "final_val_dice",
        "final_val_iou", "last10_val_loss", "last10_val_dice", "last10_val_iou", "final_train_loss",
        "overfit_gap", "epochs_to_95pct", "seconds_to_95pct", "epoch_seconds", "train_seconds",
        "compile_seconds", "peak_memory_mb",
        "memory_kind", "test_loss", "test_dice", "test_iou", "baseline_dice", "baseline_iou",
        "baseline_val_dice", "baseline_val_iou", "device", "threads", "precision",
        "micro_batch", "skipped_steps", "channels_last", "deterministic", "data_fingerprint",
        "torch", "git_commit",
    ]  # fmt: skip
    assert list(records.history.columns) == [
        "id", "epoch", "train/loss", "val/loss", "val/dice", "val/iou", "lr", "epoch_seconds",
        "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb",
    ]  # fmt: skip
    assert records.history["epoch"].tolist() == [1, 2, 3]
    assert set(records.history["id"]) == set(records.runs["id"])


def test_every_planned_trial_has_a_row(tmp_path):
    trials = [
        MadeTrial(0, NONE, summary={"best_val_dice": 0.5}),
        MadeTrial(1, NONE, status="failed", failure="out_of_memory", message="too big"),
        MadeTrial(2, NONE, status="planned"),
        MadeTrial(3, NONE, status="interrupted"),
    ]
    runs = made(tmp_path, trials).runs
    assert runs["id"].tolist() == [t.id for t in trials]
    assert runs["status"].tolist() == ["done", "failed", "planned", "interrupted"]
    assert runs["failure"].fillna("").tolist() == ["", "out_of_memory", "", ""]
    assert runs["message"].fillna("").tolist() == ["", "too big", "", ""]
    assert runs["best_val_dice"].isna().tolist() == [False, True, True, True]
    assert runs["params"].isna().all()
    assert runs["seed"].tolist() == [0, 1, 2, 3]


def test_a_missing_cell_is_missing(tmp_path):
    history = [{"epoch": 1, "train/loss": 0.5, "val/loss": None, "val/dice": 0.25}]
    records = made(tmp_path, [MadeTrial(0, NONE, history=history)])
    row = records.history.iloc[0]
    assert pd.isna(row["val/loss"])
    assert pd.isna(row["lr"])
    assert row["val/dice"] == 0.25


def test_axes_keep_the_spec_s_order(tmp_path):
    trials = [MadeTrial(0, {"model": m, "train.lr": lr}) for m in "zay" for lr in ("0.1", "0.01")]
    assert made(tmp_path, trials).axes == {"model": ["z", "a", "y"], "train.lr": ["0.1", "0.01"]}


def test_trials_of_an_earlier_plan_of_the_same_settings_belong(tmp_path):
    planned = [MadeTrial(0, NONE)]
    earlier = [MadeTrial(7, NONE), MadeTrial(0, ELASTIC)]
    write_experiment(tmp_path, "exp", planned)
    for trial in earlier:
        write_trial(tmp_path, "exp", trial)
    records = load(Store(tmp_path), "exp")
    assert set(records.runs["id"]) == {t.id for t in planned + earlier}
    assert records.runs["id"].iloc[0] == planned[0].id
    assert records.axes == {"augment": ["none", "elastic"]}
    assert records.left_out == ()


def test_trials_of_other_settings_are_left_out_and_named(tmp_path):
    write_experiment(tmp_path, "exp", [MadeTrial(0, NONE)])
    other = MadeTrial(0, NONE, common="deadbeef")
    axes = MadeTrial(0, {"augment": "none", "model": "unet"})
    arm = MadeTrial(5, NONE, arm="feedface")
    for trial in (other, axes, arm):
        write_trial(tmp_path, "exp", trial)
    records = load(Store(tmp_path), "exp")
    assert len(records.runs) == 1
    reasons = dict(records.left_out)
    assert set(reasons) == {other.id, axes.id, arm.id}
    assert "latest plan" in reasons[other.id]
    assert "augment, model" in reasons[axes.id]
    assert "same labels: none" in reasons[arm.id]


def test_of_unplanned_settings_under_one_label_the_latest_stay(tmp_path):
    write_experiment(tmp_path, "exp", [MadeTrial(0, NONE)])
    old = MadeTrial(0, ELASTIC, arm="0ld00000", updated="2026-01-01T00:00:00Z")
    new = [MadeTrial(s, ELASTIC, arm="new00000", updated=f"2026-02-0{s}") for s in (1, 2)]
    for trial in (old, *new):
        write_trial(tmp_path, "exp", trial)
    records = load(Store(tmp_path), "exp")
    assert {t.id for t in new} < set(records.runs["id"])
    assert [left.id for left in records.left_out] == [old.id]


def test_without_a_plan_all_trials_belong(tmp_path):
    history = [{"epoch": e, "train/loss": 0.5, "val/loss": 0.6, "val/dice": 0.7} for e in (1, 2)]
    for i, model in enumerate(("unet", "resnet")):
        trial = MadeTrial(
            None, {"model": model}, source="a paper", common=None, arm=str(i), history=history
        )
        write_trial(tmp_path, "logged", trial)
    records = load(Store(tmp_path), "logged")
    assert len(records.runs) == 2
    assert records.left_out == ()
    assert records.spec is None
    assert records.metrics == {"loss": "min", "dice": "max"}
    assert (records.select.metric, records.select.mode) == ("dice", "max")
    assert records.axes == {"model": ["resnet", "unet"]}
    assert set(records.runs["source"]) == {"a paper"}
    assert records.runs["seed"].isna().all()


def test_a_given_plan_counts_instead_of_the_recorded_one(tmp_path):
    trials = [MadeTrial(0, NONE), MadeTrial(0, ELASTIC, common="other")]
    write_experiment(tmp_path, "exp", trials)
    plan = write_plan(tmp_path / "elsewhere", "exp", [trials[1]])
    records = load(Store(tmp_path), "exp", plan)
    assert records.runs["id"].tolist() == [trials[1].id]
    assert [left.id for left in records.left_out] == [trials[0].id]


def test_unreadable_files_are_reported_and_not_fatal(tmp_path):
    trials = [MadeTrial(0, NONE, summary={"best_val_dice": 0.5}), MadeTrial(1, NONE)]
    write_experiment(tmp_path, "exp", trials)
    (tmp_path / "exp" / trials[0].id / "summary.json").write_text("{")
    stray = write_trial(tmp_path, "exp", MadeTrial(2, NONE))
    (stray / "config.yaml").write_text("a: [")
    records = load(Store(tmp_path), "exp")
    assert "summary.json" in records.runs["message"].iloc[0]
    assert pd.isna(records.runs["best_val_dice"].iloc[0])
    assert {left.id for left in records.left_out} == {trials[0].id, stray.name}
    assert records.runs["status"].tolist() == ["planned", "done"]
    assert "config.yaml" in dict(records.left_out)[stray.name]


def test_an_unknown_experiment_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="nothing"):
        load(Store(tmp_path), "nothing")


def test_the_plan_names_what_is_selected(tmp_path):
    changes = {"select": {"metric": "val/loss", "mode": "min"}}
    records = made(tmp_path, [MadeTrial(0, NONE)], **changes)
    assert (records.select.metric, records.select.mode) == ("loss", "min")


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("loss", "min"), ("dice", "max"), ("loss_ema", "min"), ("top1_error", "min"), ("psnr", "max")],
)
def test_directions_without_a_plan(metric, expected):
    assert direction(metric) == expected


def test_integers_stay_whole_and_flags_flags(tmp_path):
    summary = {"params": 13395394, "channels_last": True, "threads": 8}
    runs = made(tmp_path, [MadeTrial(0, NONE, summary=summary), MadeTrial(1, NONE)]).runs
    text = runs[["params", "channels_last", "threads"]].to_csv(index=False)
    assert text == "params,channels_last,threads\n13395394,True,8\n,,\n"


def test_made_plans_have_the_contract_s_keys(tmp_path):
    write_plan(tmp_path, "exp", [MadeTrial(0, NONE)])
    plan = json.loads((tmp_path / "exp" / "plan.json").read_text())
    assert set(plan) == {
        "experiment", "task", "spec", "source", "common", "axes", "select", "metrics", "trials",
        "written",
    }  # fmt: skip


def test_the_selected_metric_has_columns_even_without_any_history(tmp_path):
    write_trial(tmp_path, "exp", MadeTrial(0, NONE, status="interrupted"))
    records = load(Store(tmp_path), "exp")
    assert records.metrics == {"loss": "min"}
    assert "best_val_loss" in records.runs
    assert records.history.empty
