"""Metrics of one's own in records: no word in their names says their range or direction."""

from __future__ import annotations

from typing import Any

import pytest

from bench.analysis.plan_check import correct_plan
from bench.record.confirm import _is_one_of, _metrics_of_ones_own, range_of
from bench.record.directions import declared_directions, known_direction

CONFIG: dict[str, Any] = {
    "settings": {
        "task": {
            "name": "segmentation",
            "metrics": [
                {"name": "hd95", "when": "end", "column": None},
                {"name": "nsd", "column": "nsd_2"},
                {"target": "mine:accuracy", "mode": "min", "column": None},
                {"target": "mine:Error", "mode": "max", "column": "f1"},
            ],
        }
    }
}
OWN_TASK = {"settings": {"task": {"target": "mine:Task", "scores": {"precision_gap": "min"}}}}


def test_directions_are_those_of_the_trials_settings() -> None:
    found = declared_directions([CONFIG, OWN_TASK])
    assert found == {
        "hd95": "min", "nsd_2": "max", "accuracy": "min", "f1": "max", "precision_gap": "min"
    }  # fmt: skip
    assert known_direction("precision_missing") == "min"


def test_a_plans_directions_are_not_guessed_from_words() -> None:
    plan = {
        "trials": [{"id": "t", "seed": 0, "axes": {}, "arm": "a"}],
        "axes": {},
        "metrics": {"accuracy": "min", "f1": "max", "precision_missing": "min"},
        "select": {"metric": "val/f1", "mode": "max"},
        "task": "segmentation",
        "common": None,
    }
    config = CONFIG | {"axes": {}, "seed": 0, "arm": "a", "common": None}
    found, _, sentences = correct_plan(plan, {"t": config})
    assert found["metrics"] == plan["metrics"]
    assert not any("metrics" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("column", "is_own"),
    [("val/accuracy", True), ("test_f1", True), ("best_val_nsd_2", False), ("lr", False)],
)
def test_ranges_are_not_asked_of_ones_own(column: str, is_own: bool) -> None:
    assert _is_one_of(_metrics_of_ones_own(CONFIG), column) is is_own


def test_counts_of_what_is_missing_have_no_upper_bound() -> None:
    for column in ("val/precision_missing", "test_hd95_missing"):
        bounds = range_of(column)
        assert bounds is not None
        assert bounds.holds(298)
    upper = range_of("test_ap_cat")
    assert upper is not None
    assert not upper.holds(1.5)
