from __future__ import annotations

from typing import Any

import pytest

from bench.report.hypotheses import Outcome, correct, decide, finding
from bench.report.pairing import Pairs, Stratum
from bench.report.sentences import metric_words, sentence
from bench.spec.hypotheses import Hypothesis


def told(
    differences: list[float],
    needs: int | None = None,
    along: dict[str, tuple[str, str]] | None = None,
    counts: tuple[int, int, int] = (0, 0, 0),
    **changes: Any,
) -> str:
    given = {
        "id": "h",
        "claim": "c",
        "metric": "final_val_loss",
        "a": {"model": "resnet34_unet"},
        "b": {"model": "unet"},
        "expect": "lower",
    }
    hypothesis = Hypothesis.model_validate(given | changes)
    found = finding(hypothesis, differences)
    pairs = Pairs((Stratum({}, dict(enumerate(differences)), *counts),), along or {})
    (p,) = correct([found])
    outcome = Outcome(hypothesis, pairs, found, (found,), p, decide(hypothesis, found, p), needs)
    return sentence(outcome)


LOWER = [-0.06, -0.07, -0.08]  # half the interval: 4.303 · 0.01 / √3 = 0.0248


def test_supported_and_refuted() -> None:
    start = "resnet34_unet's final validation loss is lower than unet's by 0.070 [0.045, 0.095]"
    assert told(LOWER) == f"{start}, 3 seeds: supported."
    assert told(LOWER, expect="higher") == f"{start}, 3 seeds: refuted."


def test_inconclusive_says_what_is_needed() -> None:
    few = told([0.1, 0.2])
    assert few.endswith("[−0.485, 0.785], 2 seeds: inconclusive; 3 seeds are the least that can "
                        "settle it.")  # fmt: skip
    assert "final validation loss is higher than unet's by 0.100, 1 seed: inconc" in told([0.1])
    assert told([0.1, 0.2, 0.3], needs=7).endswith(
        "3 seeds: inconclusive; about 7 seeds would be needed."
    )
    assert told([0.1, 0.2, 0.3]).endswith("inconclusive; more than 1000 seeds would be needed.")
    assert told([0.5] * 3) == (
        "resnet34_unet's final validation loss is higher than unet's by 0.500, 3 seeds: "
        "inconclusive; every seed gives the same difference, so there is no scatter to judge it by."
    )


def test_equivalent() -> None:
    assert told(LOWER, expect="equivalent", margin=0.2) == (
        "resnet34_unet's final validation loss differs from unet's by −0.070 [−0.095, −0.045] "
        "(margin 0.2), 3 seeds: equivalent."
    )
    assert "by +0.070 [0.045, 0.095]" in told([-d for d in LOWER], expect="equivalent", margin=1)


def test_margin_of_one_side() -> None:
    text = told(LOWER, expect="not_lower", margin=0.2)
    assert "is lower than unet's by 0.070 [0.045, 0.095] (margin 0.2), 3 seeds: supported" in text


def test_exact_and_large() -> None:
    assert told([-22_886_744_064.0] * 3, metric="macs") == (
        "resnet34_unet's MACs are lower than unet's by exactly 22.9 G, 3 seeds: supported."
    )
    assert "are exactly as high as unet's, 3 seeds: refuted" in told([0.0] * 3, metric="params")


def test_against_a_number_and_with_shared_labels() -> None:
    text = told([0.1, 0.11, 0.12], metric="overfit_gap", b=0.05, expect="higher")
    assert text.startswith("resnet34_unet's overfitting gap is higher than 0.05 by 0.110 [0.085, ")
    sides = {"a": {"model": "unet", "augment": "none"}, "b": {"model": "unet", "augment": "crop"}}
    assert told(LOWER, **sides).startswith("With unet, none's final validation loss is lower than")


def test_what_to_know_besides() -> None:
    text = told(LOWER, along={"train.batch_size": ("60", "20")}, counts=(1, 2, 3))
    assert text.endswith(
        "supported; the sides also differ in train.batch_size 60 against 20; 1 trial without this "
        "figure; 2 trials without a counterpart; 3 pairs not measured on equal terms."
    )


def test_no_pair_at_all() -> None:
    assert told([], counts=(6, 0, 0)) == (
        "resnet34_unet and unet have no pair to compare in final validation loss: inconclusive; "
        "3 seeds are the least that can settle it; 6 trials without this figure."
    )


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("val/loss@20", "validation loss after epoch 20"),
        ("final_val_dice - best_val_dice", "final validation Dice minus best validation Dice"),
        ("epochs_to_95pct", "epochs to 95% of the best"),
        ("test_iou", "test IoU"),
        ("best_epoch", "best epoch"),
        ("frechet", "Fréchet distance"),
    ],
)
def test_metric_words(metric: str, words: str) -> None:
    assert metric_words(metric) == words
