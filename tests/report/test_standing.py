from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.record.store import Store
from bench.report.arms import arms_of
from bench.report.load import load
from bench.report.standing import Standing, _among, direction_of, standings

from .made_records import MadeTrial, write_experiment


def marked(root, values, mode="max", sources=None, **changes):
    trials = [
        MadeTrial(seed, {"model": model}, source=(sources or {}).get(model, "bench"),
                  summary={"best_val_dice": value})
        for model, found in values.items() for seed, value in enumerate(found)
    ]  # fmt: skip
    write_experiment(root, "exp", trials, **changes)
    records = load(Store(root), "exp")
    arms = arms_of(records)
    found = standings(records, arms, "best_val_dice", mode)
    return {arms[number].label: standing for number, standing in found.items()}


CLEAR = {"a": (0.50, 0.51, 0.52), "b": (0.80, 0.82, 0.81), "c": (0.60, 0.61, 0.60)}


def test_an_arm_that_differs_from_all_others_is_the_best(tmp_path):
    assert marked(tmp_path / "max", CLEAR) == {"b": Standing.BEST}
    assert marked(tmp_path / "min", CLEAR, "min") == {"a": Standing.BEST}


def test_arms_that_cannot_be_told_from_the_best(tmp_path):
    values = CLEAR | {"d": (0.82, 0.80, 0.805)}  # against b: −0.02, 0.02, 0.005
    assert marked(tmp_path, values) == {"b": Standing.TIED, "d": Standing.TIED}


def test_where_nothing_can_be_told_apart_nothing_is_marked(tmp_path):
    assert marked(tmp_path, {"a": (0.5, 0.6, 0.7), "b": (0.61, 0.6, 0.65)}) == {}


def test_two_seeds_prove_nothing(tmp_path):
    assert marked(tmp_path, {"a": (0.5, 0.51), "b": (0.9, 0.92)}) == {}


def test_holm_over_the_comparisons_with_the_best(tmp_path):
    near = (0.010, 0.012, 0.018)  # p of these differences alone is under 5%, doubled it is not
    p = stats.ttest_1samp(near, 0).pvalue
    assert 0.025 < p < 0.05
    top = (0.8, 0.81, 0.82)
    two = {"a": top, "b": tuple(t - d for t, d in zip(top, near, strict=True))}
    assert marked(tmp_path / "one", two) == {"a": Standing.BEST}
    three = two | {"c": tuple(t - d for t, d in zip(top, (0.010, 0.018, 0.012), strict=True))}
    assert marked(tmp_path / "two", three) == {}


def test_arms_logged_elsewhere_take_no_part(tmp_path):
    values = {"a": (0.50, 0.51, 0.52), "b": (0.80, 0.82, 0.81), "c": (0.99,)}
    assert marked(tmp_path, values, sources={"c": "A, 2024"}) == {"b": Standing.BEST}


@pytest.mark.parametrize("arms", [2, 4])
def test_a_wrong_best_is_rare(arms):
    """Under no difference at all, in 200 tables whose seeds have a part in common."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        table = pd.DataFrame(rng.normal(size=(5, 1)) + rng.normal(size=(5, arms)))
        wrong += Standing.BEST in _among(table, "max").values()
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
    assert direction_of(records, column) == mode
