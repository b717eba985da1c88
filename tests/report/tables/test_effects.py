from __future__ import annotations

import dataclasses

import pytest

from bench.analysis.explored import compared_columns
from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.tables.effects import (
    all_effect_tables,
    table_together,
    together,
)
from bench.spec.hypotheses import Hypothesis
from tests.builders.records import MadeTrial, write_experiment

VALUES = {
    ("a", "n"): (0.50, 0.52, 0.51), ("b", "n"): (0.60, 0.63, 0.60),
    ("a", "e"): (0.54, 0.55, 0.53), ("b", "e"): (0.70, 0.74, 0.71),
}  # fmt: skip


@pytest.fixture
def records(tmp_path):
    trials = [
        MadeTrial(seed, {"model": model, "augment": augment},
                  summary={"best_val_dice": value, "epochs_to_95pct": 3})
        for (model, augment), values in VALUES.items() for seed, value in enumerate(values)
    ]  # fmt: skip
    write_experiment(tmp_path, "exp", trials)
    return load(Store(tmp_path), "exp")


def lines(table):
    return [" | ".join(f"{c.text} {c.detail}".strip() for c in row) for row in table.rows]


def test_figures_that_are_known_are_compared(records):
    assert [effect.column for effect in all_effect_tables(records)] == [
        "best_val_dice",
        "epochs_to_95pct",
    ]
    assert "test_dice" not in compared_columns(records)
    tested = dataclasses.replace(records, runs=records.runs.assign(test_dice=0.5))
    assert compared_columns(tested)[0] == "test_dice"
    assert "best_val_dice" not in compared_columns(tested)


def test_a_table_each_for_differences_interactions_and_effects(records):
    effect = all_effect_tables(records)[0]
    # by seed: b − a 0.13, 0.15, 0.135, so t = 23.0; e − n 0.07, 0.07, 0.065, so t = 41.0
    assert lines(effect.tables["differences"]) == [
        "model | b − a | +0.138 [0.112, 0.164] | 3 | 0.002 | 0.009 | clear",
        "augment | e − n | +0.068 [0.061, 0.076] | 3 | <0.001 | 0.004 | clear",
    ]
    assert lines(effect.tables["interactions"]) == [
        "model: b − a | augment: e instead of n | +0.077 [0.039, 0.115] | 3 "
        "| 0.013 | 0.052 | not clear (explored)"
    ]
    assert lines(effect.tables["effects"])[0] == "model | a | 0.525 | −0.069 [−0.082, −0.056] | 3"
    assert effect.summary == "2 of 2 differences clear; 0 of 1 interaction clear"


def test_no_scatter_is_said(records):
    effect = all_effect_tables(records)[1]
    assert effect.summary == "2 differences, none testable; 1 interaction, not testable"
    assert lines(effect.tables["differences"])[0].endswith(
        "0.000 | 3 | – | – | not clear (explored) no test"
    )


def test_few_seeds_are_said(tmp_path):
    trials = [
        MadeTrial(s, {"m": m}, summary={"best_val_dice": 0.1 * s}) for m in "ab" for s in (0, 1)
    ]
    trials.append(MadeTrial(2, {"m": "a"}, status="failed", failure="crash"))
    trials.append(MadeTrial(2, {"m": "b"}, summary={"best_val_dice": 0.5}))
    write_experiment(tmp_path, "exp", trials)
    effect = all_effect_tables(load(Store(tmp_path), "exp"))[0]
    assert lines(effect.tables["differences"])[0].endswith(
        "2 (of 3, 1 lost) | – | – | not clear (explored) no test: under 3 seeds"
    )


def test_all_figures_in_one_table(records):
    effects = all_effect_tables(records)
    frame, table = together(effects, "differences"), table_together(effects, "differences")
    assert frame["figure"].tolist() == ["best_val_dice"] * 2 + ["epochs_to_95pct"] * 2
    assert [row[0].text for row in table.rows] == [
        "Best val Dice", "Best val Dice", "Epochs to 95% of the best", "Epochs to 95% of the best",
    ]  # fmt: skip
    assert len(table.columns) == len(effects[0].tables["differences"].columns) + 1


def test_one_arm_has_no_effects(tmp_path):
    write_experiment(tmp_path, "exp", [MadeTrial(0, {"m": "a"}, summary={"best_val_dice": 0.5})])
    assert all_effect_tables(load(Store(tmp_path), "exp")) == []


@pytest.mark.parametrize(
    ("asked", "summary"),
    [
        ([], "2 of 2 differences clear"),
        (["model"], "1 of 1 difference clear; 1 is tested as a hypothesis"),
        (["model", "augment"], "2 differences are tested as hypotheses"),
        (["model", "model"], "1 of 1 difference clear; 1 is tested as a hypothesis"),
    ],
)
def test_hypotheses_are_counted_apart(records, asked, summary):
    levels = {"model": "ba", "augment": "en"}
    claims = [
        Hypothesis.model_validate(
            {"id": f"h{i}", "claim": "c", "metric": "best_val_dice", "a": {axis: levels[axis][0]},
             "b": {axis: levels[axis][1]}, "expect": "higher"}
        )
        for i, axis in enumerate(asked)
    ]  # fmt: skip
    made = dataclasses.replace(records, hypotheses=tuple(claims))
    effect = all_effect_tables(made, outcomes(made))[0]
    assert effect.summary == f"{summary}; 0 of 1 interaction clear"
    rows = effect.tables["differences"].rows
    assert sum("supported (h" in row[-1].text for row in rows) == len(asked)
