from __future__ import annotations

import pytest

from bench.record.store import Store
from bench.report.layout import (
    Cell,
    Column,
    Table,
    arm_table,
    latex,
    markdown,
    meaning,
    to_latex,
    to_markdown,
    trial_table,
)
from bench.report.load import load
from bench.report.table import arm_summary
from bench.report.wording import nice, title

from .made_records import MadeTrial, study, write_experiment

TABLE = Table(
    [
        Column("Model", "", [Cell("u_net"), Cell("a|b")], "left"),
        Column("Dice", "", [Cell("0.9", 0.9, "", "[0.8, 1.0]"), Cell("–")]),
    ]
)


def made(root, trials):
    write_experiment(root, "exp", trials)
    records = load(Store(root), "exp")
    return records, arm_summary(records)


def column(table, heading):
    return next(c for c in table.columns if c.title == heading)


def test_markdown_table():
    assert to_markdown(TABLE).splitlines() == [
        "| Model | Dice |",
        "|---|---:|",
        "| u\\_net | 0.9 \\[0.8, 1.0\\] |",
        "| a\\|b | – |",
    ]


def test_latex_table():
    assert to_latex(TABLE).splitlines() == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Model & Dice \\",
        r"\midrule",
        r"u\_net & 0.9 [0.8, 1.0] \\",
        r"a|b & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_hostile_text_stays_text():
    assert markdown("<b>&`x`\n# [y](z)") == "&lt;b&gt;&amp;\\`x\\` \\# \\[y\\](z)"
    assert latex(r"50% \input{x}_^~&") == (
        r"50\% \textbackslash{}input\{x\}\_\textasciicircum{}\textasciitilde{}\&"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [("best_val_dice", "best val Dice"), ("val/loss", "val loss"), ("test_iou", "test IoU")],
)
def test_names_for_people(name, words):
    assert nice(name) == words


def test_title_keeps_the_rest():
    assert title("val/iou_cat") == "Val IoU cat"


def test_meanings():
    assert meaning("test_dice").startswith("Dice on the test split")
    assert "median over seeds" in meaning("epoch_seconds")


def test_arm_table(tmp_path):
    table = arm_table(*made(tmp_path, study(models=("unet",), seeds=3, epochs=5, failed=(1,))))
    assert [c.title for c in table.columns] == [
        "Model", "Augment", "Seeds", "Best val Dice", "Final val Dice", "Test Dice",
        "Best val loss", "Final val loss", "Baseline Dice", "Params", "MACs", "Epoch", "Memory",
    ]  # fmt: skip
    assert [(c.text, c.detail) for c in column(table, "Seeds").cells] == [
        ("2", "(1 failed)"), ("3", ""), ("3", ""),
    ]  # fmt: skip
    params = column(table, "Params").cells[0]
    assert (params.text, params.note) == ("13.4 M", "13,395,394")
    assert column(table, "Memory").cells[0].text == "7.40 GB"
    assert column(table, "Baseline Dice").cells[0].text == "0.560"
    assert len(table.rows) == 3


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
