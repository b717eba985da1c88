from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis.arms import arms_of
from bench.analysis.figure_directions import figure_direction
from bench.analysis.hypotheses import outcomes
from bench.analysis.leaderboard import (
    Mark,
    _leaderboard,
    leaderboards,
    marks_in_column,
)
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.narrative.mark_notes import mark_notes
from tests.builders.records import MadeTrial, write_experiment


def marked(root, values, mode="max", sources=None, **changes):
    trials = [
        MadeTrial(seed, {"model": model}, source=(sources or {}).get(model, "bench"),
                  summary={"best_val_dice": value})
        for model, found in values.items() for seed, value in enumerate(found)
    ]  # fmt: skip
    write_experiment(root, "exp", trials, **changes)
    records = load(Store(root), "exp")
    arms = arms_of(records)
    found = marks_in_column(records, arms, "best_val_dice", mode)
    return {arms[number].label: verified_status for number, verified_status in found.items()}


CLEAR = {"a": (0.50, 0.51, 0.52), "b": (0.80, 0.82, 0.81), "c": (0.60, 0.61, 0.60)}


def test_an_arm_that_differs_from_all_others_is_the_best(tmp_path):
    assert marked(tmp_path / "max", CLEAR) == {"b": Mark.BEST}
    assert marked(tmp_path / "min", CLEAR, "min") == {"a": Mark.BEST}


def test_arms_without_a_significant_difference_from_the_best(tmp_path):
    values = CLEAR | {"d": (0.82, 0.80, 0.805)}  # against b: −0.02, 0.02, 0.005
    assert marked(tmp_path, values) == {"b": Mark.MAY_BE, "d": Mark.MAY_BE}


def test_where_nothing_can_be_distinguished_nothing_is_marked(tmp_path):
    assert marked(tmp_path, {"a": (0.5, 0.6, 0.7), "b": (0.61, 0.6, 0.65)}) == {}


def test_two_seeds_prove_nothing(tmp_path):
    assert marked(tmp_path, {"a": (0.5, 0.51), "b": (0.9, 0.92)}) == {}


def test_arms_logged_elsewhere_take_no_part(tmp_path):
    values = {"a": (0.50, 0.51, 0.52), "b": (0.80, 0.82, 0.81), "c": (0.99,)}
    assert marked(tmp_path, values, sources={"c": "A, 2024"}) == {"b": Mark.BEST}


def compared(root, values, hypotheses=()):
    """The leaderboards in best_val_dice, the notes on ties, and the labels of the marked arms."""
    trials = [
        MadeTrial(seed, {"model": model}, summary={"best_val_dice": value})
        for model, found in values.items() for seed, value in enumerate(found) if value is not None
    ]  # fmt: skip
    write_experiment(root, "exp", trials, hypotheses=list(hypotheses))
    records = load(Store(root), "exp")
    arms = arms_of(records)
    found = leaderboards(records, arms, "best_val_dice", "max", outcomes(records))
    marks = {arms[n].label: str(mark) for each in found for n, mark in each.marks.items()}
    return mark_notes({"best_val_dice": found}, arms), marks


def claim(a, b, expect, **changes):
    return {"id": f"{a}_{b}", "claim": "c", "metric": "best_val_dice", "a": {"model": a},
            "b": {"model": b}, "expect": expect} | changes  # fmt: skip


TOP = (0.80, 0.81, 0.82, 0.81)
NEAR = (0.790, 0.801, 0.811, 0.799)  # 0.010, 0.009, 0.009, 0.011 below
BOTH = {"top": "may be best", "near": "may be best"}
FAR = (0.60, 0.85, 0.70, 0.80)


def test_notes_say_which_arms_may_be_the_best(tmp_path):
    low = {"low": (0.1, 0.12, 0.11, 0.1)}
    notes, marks = compared(tmp_path / "two", {"top": TOP, "far": FAR} | low)
    assert marks == {"top": "may be best", "far": "may be best"}
    assert notes == ["Best val Dice: 2 of 3 arms may be the best: top, far."]
    notes, marks = compared(tmp_path / "one", {"top": TOP, "near": NEAR} | low)
    assert notes == ["Best val Dice: top is the best of 3 arms."]
    notes, marks = compared(tmp_path / "few", {"top": TOP, "near": NEAR, "far": FAR[:2]})
    assert (notes, marks) == (
        ["Best val Dice: top is the best of 2 arms; 1 without all seeds not ranked."],
        {"top": "best"},
    )
    notes, _ = compared(tmp_path / "none", {"top": TOP[:2], "near": NEAR[:2]})
    assert "fewer than three seeds in common" in notes[0]


@pytest.mark.parametrize(
    ("hypothesis", "marks"),
    [
        (claim("near", "top", "lower"), {"top": "best"}),
        (claim("near", "top", "higher"), {"top": "best"}),  # refuted: it is lower
        (
            claim("top", "near", "equivalent", margin=0.02),
            {"top": "may be best", "near": "may be best"},
        ),
        (claim("top", "near", "equivalent", margin=0.002), {"top": "best"}),
        (
            claim("top", "near", "equivalent", margin=0.0101),
            {"top": "may be best", "near": "may be best"},
        ),
        (claim("top", "near", "not_higher", margin=0.02), {"top": "best"}),  # says nothing of 0
        (claim("near", "top", "lower") | {"b": 0.5}, {"top": "best"}),  # another contrast
        (claim("near", "top", "lower", metric="final_val_dice"), {"top": "best"}),
    ],
)
def test_a_verdict_decides_the_mark(tmp_path, hypothesis, marks):
    low = {"low": (0.1, 0.12, 0.11, 0.1)}
    assert compared(tmp_path, {"top": TOP, "near": NEAR} | low, [hypothesis])[1] == marks


def test_an_arm_with_an_infinite_figure_leads_nothing(tmp_path):
    _, marks = compared(tmp_path, CLEAR | {"d": (np.inf, np.inf, np.inf)})
    assert marks == {"b": "best"}


@pytest.mark.parametrize("arms", [2, 4])
def test_the_best_arm_is_rarely_without_a_mark(arms):
    """Under no difference at all, in 200 tables whose seeds have a part in common."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        table = pd.DataFrame(rng.normal(size=(5, 1)) + rng.normal(size=(5, arms)))
        marks = _leaderboard(table, "max", {}).marks
        wrong += bool(marks) and 0 not in marks  # all are equal, so the first is one of the best
    assert wrong <= stats.binom.ppf(0.99, 200, 0.05)


@pytest.mark.parametrize(
    ("column", "mode"),
    [
        ("best_val_dice", "max"),
        ("test_loss", "min"),
        ("final_val_iou", "max"),
        ("frechet", "min"),
        ("mystery", None),
    ],
)
def test_directions(tmp_path, column, mode):
    write_experiment(tmp_path, "exp", [MadeTrial(0)])
    records = load(Store(tmp_path), "exp")
    assert figure_direction(records, column) == mode
