from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bench.plan.sides import sides
from bench.record.columns import RUNS
from bench.spec.hypotheses import COLUMNS, EXACT, Hypothesis, MetricTerm, columns, figures

GIVEN: dict[str, Any] = {
    "id": "h",
    "claim": "a is better",
    "metric": "best_val_dice",
    "a": {"model": "unet"},
    "b": {"model": "resnet"},
    "expect": "higher",
}


def made(**changes: Any) -> Hypothesis:
    return Hypothesis.model_validate(GIVEN | changes)


def test_margin_is_there_where_it_means_something() -> None:
    for expect in ("equivalent", "not_higher", "not_lower"):
        assert made(expect=expect, margin=0.01).margin == 0.01
        with pytest.raises(ValidationError, match=f"{expect} needs a `margin`"):
            made(expect=expect)
    for expect in ("higher", "lower"):
        with pytest.raises(ValidationError, match=f"has no effect with expect: {expect}"):
            made(expect=expect, margin=0.01)


def test_record_is_read_back() -> None:
    hypothesis = made(b=0, expect="equivalent", margin=0.5)
    assert hypothesis.record() == GIVEN | {"b": 0, "expect": "equivalent", "margin": 0.5}
    assert Hypothesis.model_validate(hypothesis.record()) == hypothesis


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("macs", [MetricTerm("macs", None)]),
        ("val/loss@20", [MetricTerm("val/loss", 20)]),
        (
            "final_val_dice - best_val_dice",
            [MetricTerm("final_val_dice", None), MetricTerm("best_val_dice", None)],
        ),
        ("val/dice@30 - val/dice@3", [MetricTerm("val/dice", 30), MetricTerm("val/dice", 3)]),
        ("val/loss@0", [MetricTerm("val/loss@0", None)]),  # epochs start at 1, so this is no curve
    ],
)
def test_figures(metric: str, expected: list[MetricTerm]) -> None:
    assert figures(metric) == expected


def test_columns_are_those_of_runs() -> None:
    words = {
        "id", "experiment", "status", "failure", "message", "health", "source", "seed",
        "memory_kind", "device", "threads", "precision", "micro_batch", "skipped_steps",
        "channels_last", "deterministic", "data_fingerprint", "torch", "git_commit",
    }  # fmt: skip
    assert set(COLUMNS) == {c for c in RUNS if not c.startswith("<")} - words
    assert columns(["dice"], "dice", ["frechet"])[len(COLUMNS) :] == [
        "best_val_dice", "final_val_dice", "test_dice", "last10_val_dice", "cross_val_dice",
        "frechet",
    ]  # fmt: skip


def test_exact_is_what_no_seed_changes() -> None:
    assert all(made(metric=name).exact for name in EXACT)
    assert made(metric="params - trainable_params").exact
    assert not made(metric="peak_memory_mb").exact
    assert not made(metric="macs - epochs").exact


ARMS = [
    {"model": model, "batch": batch, "augment": augment}
    for model, batch in (("unet", "20"), ("resnet", "60"), ("big", "60"))
    for augment in ("none", "elastic")
]


def test_sides_leave_strata_and_what_varies_along() -> None:
    found = sides(made(), ARMS)
    assert (found.a, found.b) == ((0, 1), (2, 3))
    assert found.strata == ("augment",)
    assert found.along == {"batch": ("20", "60")}


def test_what_both_sides_share_is_a_stratum() -> None:
    found = sides(made(a={"model": "big"}), ARMS)
    assert found.strata == ("batch", "augment")
    assert found.along == {}


def test_a_number_has_no_side() -> None:
    found = sides(made(b=0.5), ARMS)
    assert (found.a, found.b, found.along) == ((0, 1), (), {})
    assert found.strata == ("batch", "augment")
