from __future__ import annotations

import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.leaderboard import Mark, leaderboards_by_column, marks_by_column
from bench.analysis.load import load
from bench.analysis.pareto import pareto_members
from bench.record.store import Store
from bench.report.format.display_names import display_name, title
from bench.report.tables.arms_and_trials import arm_table, meaning, trial_table, trouble_table
from tests.builders.records import MadeTrial, study, write_experiment


def made(root, trials):
    write_experiment(root, "exp", trials)
    records = load(Store(root), "exp")
    return records, arm_summary(records)


def column(table, heading):
    return next(c for c in table.columns if c.title == heading)


@pytest.mark.parametrize(
    ("name", "words"),
    [("best_val_dice", "best val Dice"), ("val/loss", "val loss"), ("test_iou", "test IoU")],
)
def test_names_for_people(name, words):
    assert display_name(name) == words


def test_title_keeps_the_rest():
    assert title("val/iou_cat") == "Val IoU cat"


def test_meanings():
    assert meaning("test_dice").startswith("Dice on the test split")
    assert "median over seeds" in meaning("epoch_seconds")


def test_arm_table(tmp_path):
    table = arm_table(*made(tmp_path, study(models=("unet",), seeds=3, epochs=5, failed=(1,))))
    assert [c.title for c in table.columns] == [
        "Model", "Augment", "Seeds", "Test Dice", "Best val Dice", "Best val loss", "Params",
        "MACs", "Epoch", "Memory",
    ]  # fmt: skip
    assert [(c.text, c.detail) for c in column(table, "Seeds").cells] == [
        ("2", "(1 failed)"), ("3", ""), ("3", ""),
    ]  # fmt: skip
    params = column(table, "Params").cells[0]
    assert (params.text, params.note) == ("13.4 M", "13,395,394")
    assert column(table, "Memory").cells[0].text == "7.40 GB"
    assert len(table.rows) == 3


def test_runs_without_a_seed_are_no_seeds(tmp_path):
    axes = {"model": "unet", "augment": "none"}
    runs = [MadeTrial(None, axes, source="paper")]
    mixed = [
        MadeTrial(seed, {"model": "x", "augment": "none"}, source="paper") for seed in (0, None)
    ]
    table = arm_table(*made(tmp_path, [*runs, *mixed]))
    assert [(c.text, c.detail) for c in column(table, "Seeds").cells] == [
        ("–", "(1 run without a seed)"), ("1", "(1 run without a seed)"),
    ]  # fmt: skip


def test_baselines_that_differ_have_a_column(tmp_path):
    trials = study(models=("unet",), augments=("none", "elastic"), seeds=1, epochs=3)
    trials[1].summary["baseline_dice"] = 0.25
    found = column(arm_table(*made(tmp_path, trials)), "Baseline Dice")
    assert [cell.text for cell in found.cells] == ["0.560", "0.250"]


def test_marks_and_fronts_in_the_arm_table(tmp_path):
    costs = {"a": 10, "b": 5}
    trials = [
        MadeTrial(seed, {"model": model}, summary={"best_val_dice": value, "macs": costs[model]})
        for model, values in {"a": (0.5, 0.52, 0.51), "b": (0.8, 0.81, 0.82)}.items()
        for seed, value in enumerate(values)
    ]
    records, summary = made(tmp_path, trials)
    marks = marks_by_column(leaderboards_by_column(records, summary, arms_of(records)))
    table = arm_table(records, summary, marks, pareto_members(records, summary))
    assert [cell.mark for cell in column(table, "Best val Dice").cells] == [
        None,
        Mark.BEST,
    ]
    assert column(table, "Best val Dice").cells[1].note == (
        "n = 3; the best: the only arm in the 95% set of arms that may be"
    )
    assert [(c.text, c.note) for c in column(table, "Pareto").cells] == [
        ("0 of 1", ""), ("1 of 1", "MACs"),
    ]  # fmt: skip


def test_trouble_table(tmp_path):
    failed = MadeTrial(0, {"model": "a"}, status="failed", failure="out_of_memory", message="m")
    records, _ = made(tmp_path, [failed, MadeTrial(1, {"model": "a"}, status="planned")])
    table = trouble_table(records.runs.assign(arm="a"))
    assert [cell.text for cell in column(table, "Outcome").cells] == ["out of memory", "planned"]
    assert [cell.text for cell in column(table, "Message").cells] == ["m", "–"]
    assert column(table, "Trial").trials


def test_a_number_over_fewer_seeds_says_so(tmp_path):
    trials = [
        MadeTrial(0, summary={"best_val_dice": 0.8, "test_dice": 0.7}),
        MadeTrial(1, summary={"best_val_dice": 0.9}),
    ]
    table = arm_table(*made(tmp_path, trials))
    assert column(table, "Test Dice").cells[0].detail == "(n = 1)"
    assert column(table, "Best val Dice").cells[0].text == "0.850"
    assert table.columns[0].title == "Arm"


def test_trial_table_shows_what_is_missing_as_a_dash(tmp_path):
    records, _ = made(tmp_path, study(models=("unet",), augments=("none",), epochs=5, failed=(1,)))
    table = trial_table(records)
    assert [row[0].text for row in table.rows] == records.runs["id"].tolist()
    assert [cell.text for cell in column(table, "Best epoch").cells][1] == "–"
    assert [cell.key for cell in column(table, "Test Dice").cells][1] is None
