from __future__ import annotations

import pytest

from bench.analysis.load import load
from bench.analysis.measurement_conditions import (
    comparable_axes,
    incomparable_axes,
    measurement_conditions,
    run_facts,
    same_conditions,
)
from bench.record.store import Store
from tests.builders.records import MadeTrial, write_experiment

TERMS = {"device": "cuda", "threads": 8, "deterministic": False, "precision": "bf16"}


def records(root, *changes, axes=None, environments=()):
    """Two trials with a time, whose summaries differ by `changes`."""
    trials = [
        MadeTrial(seed, (axes or [{}, {}])[seed], environment=environment or {"cpu": "made"},
                  summary={"epoch_seconds": 2.0, "peak_memory_mb": 3.0, **TERMS, **change})
        for seed, (change, environment) in enumerate(
            zip(changes or ({}, {}), environments or ({}, {}), strict=True)
        )
    ]  # fmt: skip
    write_experiment(root, "exp", trials)
    return load(Store(root), "exp")


def test_the_same_machine_has_the_same_conditions(tmp_path):
    made = records(tmp_path)
    assert same_conditions(made, "epoch_seconds")
    assert same_conditions(made, "peak_memory_mb")


@pytest.mark.parametrize(
    ("change", "memory_too"),
    [
        ({"device": "cpu"}, True),
        ({"precision": "fp32"}, True),
        ({"threads": 1}, False),
        ({"deterministic": True}, False),
        ({"compile_seconds": 12.0}, False),  # a record of before environments told the mode
    ],
)
def test_other_settings_are_other_conditions(tmp_path, change, memory_too):
    made = records(tmp_path, {}, change)
    assert not same_conditions(made, "epoch_seconds")
    assert same_conditions(made, "peak_memory_mb") is not memory_too
    assert (measurement_conditions(made, "macs") == "").all()


@pytest.mark.parametrize(
    "change",
    [{"compile": "max-autotune"}, {"gpu": "Y"}, {"trials_per_device": 2}, {"cpu": "other"}],
)
def test_the_machine_is_part_of_a_times_conditions(tmp_path, change):
    same = {"gpu": "X", "trials_per_device": 1, "cpu": "made", "compile": "default"}
    made = records(tmp_path, {}, {}, environments=[same, same | change])
    assert not same_conditions(made, "epoch_seconds")
    assert same_conditions(made, "peak_memory_mb")


@pytest.mark.parametrize(
    ("axis", "change"),
    [("train.precision", {"precision": "fp32"}), ("train.compile", {"compile_seconds": 9.0})],
)
def test_what_an_axis_decides_is_the_question(tmp_path, axis, change):
    made = records(tmp_path, {}, change, axes=[{axis: "a"}, {axis: "b"}])
    assert same_conditions(made, "epoch_seconds")


def test_incomparable_axes_are_those_that_change_a_metric(tmp_path):
    trials = [MadeTrial(0, {"train.loss": loss, "model": "a"}) for loss in ("ce", "dice")]
    write_experiment(tmp_path, "exp", trials, incomparable={"loss": ["train.loss"]})
    made = load(Store(tmp_path), "exp")
    for column in ("best_val_loss", "final_val_loss", "test_loss", "overfit_gap"):
        assert incomparable_axes(made, column) == ("train.loss",)
        assert comparable_axes(made, column) == []
    for column in ("best_val_dice", "epoch_seconds", "epochs_to_95pct"):
        assert incomparable_axes(made, column) == ()
        assert comparable_axes(made, column) == ["train.loss"]


def test_run_facts_flag_what_is_mixed(tmp_path):
    made = records(tmp_path, {"data_fingerprint": "aa"}, {"data_fingerprint": "bb"})
    facts = {fact.name: fact for fact in run_facts(made, {"threads"})}
    assert "threads" not in facts
    assert facts["data_fingerprint"].values == [("aa", 1), ("bb", 1)]
    assert facts["data_fingerprint"].mixed
    assert facts["compiled"].values == [("False", 2)]
    assert "git_commit" not in facts  # nobody recorded one
