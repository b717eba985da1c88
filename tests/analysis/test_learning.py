from __future__ import annotations

import math

import pandas as pd
import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.learning import learning_summary
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.tables.arms_and_trials import label_columns
from bench.report.tables.learning import learning_table
from tests.builders.records import MadeTrial, derived, study, write_experiment


def made(root, trials):
    write_experiment(root, "exp", trials)
    records = load(Store(root), "exp")
    summary = arm_summary(records)
    return records, summary, learning_summary(records, summary, arms_of(records))


def course(seed, *values, **changes):
    """A trial with (loss, dice) by epoch."""
    history = [
        {"epoch": epoch, "train/loss": 0.5, "val/loss": loss, "val/dice": dice}
        for epoch, (loss, dice) in enumerate(values, start=1)
    ]
    return MadeTrial(seed, {"model": "a"}, history=history, summary=derived(history), **changes)


def test_by_hand(tmp_path):
    trials = [
        course(0, (0.5, 0.4), (0.3, 0.78), (0.4, 0.8)),
        course(1, (0.2, 0.6), (math.inf, 0.5)),
        course(2, (0.1, 0.9), status="running"),
    ]
    records, summary, found = made(tmp_path, trials)
    row = found.iloc[0]
    assert (row["n"], row["epochs"], row["best_epoch"]) == (2, 2.5, 2)
    assert (row["lowest_loss_epoch_least"], row["lowest_loss_epoch_most"]) == (1, 2)
    assert row["best_val_loss"] == pytest.approx(0.25)
    assert row["best_val_dice"] == pytest.approx(0.7)
    table = learning_table(records, summary, found)
    cells = {c.title: (c.cells[0].text, c.cells[0].detail) for c in table.columns}
    assert cells["Epochs"] == ("2.5 (2–3)", "")
    assert cells["Best val Dice @ epoch"] == ("0.700", "@ 2 (1–3)")
    assert cells["Lowest val loss @ epoch"] == ("0.250", "@ 1.5 (1–2)")
    assert cells["Epochs to 95%"] == ("1.5 (1–2)", "")


def test_it_agrees_with_the_histories(tmp_path):
    records, _, found = made(tmp_path, study(seeds=2, epochs=30, failed=(3,)))
    history = records.history.merge(records.done[["id", "axis.model", "axis.augment"]], on="id")
    for (model, augment), rows in history.groupby(["axis.model", "axis.augment"]):
        row = found[(found["axis.model"] == model) & (found["axis.augment"] == augment)].iloc[0]
        by_trial = [one.set_index("epoch")["val/loss"] for _, one in rows.groupby("id")]
        epochs = pd.Series([loss.idxmin() for loss in by_trial])
        assert row["lowest_loss_epoch"] == epochs.median()
        assert row["best_val_loss"] == pytest.approx(sum(map(min, by_trial)) / len(by_trial))


def test_an_arm_without_a_finished_trial(tmp_path):
    trials = [course(0, (0.5, 0.4)), MadeTrial(0, {"model": "b"}, status="planned")]
    records, summary, found = made(tmp_path, trials)
    table = learning_table(records, summary, found)
    labels = len(label_columns(records, summary))
    assert {cell.text for cell in table.rows[1][labels:]} == {"–"}
