from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bench.analysis.contrast_tests import Observed
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.strata import NO_FIGURE, OTHER_CONDITIONS, SIDES, Gap, Pairs, Side, Stratum
from bench.report.narrative.sentences import claim_words, metric_words, sentence
from bench.spec.hypotheses import Hypothesis
from tests.builders.contrasts import results_of


def sentence_of(
    differences: list[float],
    needs: int | None = None,
    along: dict[str, tuple[str, str]] | None = None,
    unpaired: int = 0,
    gaps: tuple[Gap, ...] = (),
    ends: dict[Side, dict[str, int]] | None = None,
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
    (found,) = results_of([hypothesis], [differences])
    found = replace(found, needs_seeds=needs)
    stratum = Stratum(
        {}, dict(enumerate(differences)), unpaired=unpaired, gaps=gaps, ends=ends or {}
    )
    pairs = Pairs((stratum,), along or {})
    seen = Observed(np.asarray(differences, dtype=float))
    outcome = HypothesisOutcome(hypothesis, pairs, seen, found, (), 1)
    return sentence(outcome)


LOWER = [-0.06, -0.07, -0.08]  # half the interval: 4.303 · 0.01 / √3 = 0.0248


def test_supported_and_refuted() -> None:
    start = "resnet34_unet's final validation loss is lower than unet's by 0.070 [0.045, 0.095]"
    assert sentence_of(LOWER) == f"{start}, 3 seeds: supported."
    assert sentence_of(LOWER, expect="higher") == f"{start}, 3 seeds: refuted."


def test_inconclusive_says_what_is_needed() -> None:
    few = sentence_of([0.1, 0.2])
    assert few.endswith("[−0.485, 0.785], 2 seeds: inconclusive; 3 complete seeds are the least "
                        "that can settle it.")  # fmt: skip
    assert "final validation loss is higher than unet's by 0.100, 1 seed: inconc" in sentence_of(
        [0.1]
    )
    assert sentence_of([0.1, 0.2, 0.3], needs=7).endswith(
        "3 seeds: inconclusive; about 7 seeds would be needed."
    )
    assert sentence_of([0.1, 0.2, 0.3]).endswith(
        "inconclusive; more than 1000 seeds would be needed."
    )
    assert sentence_of([0.5] * 3) == (
        "resnet34_unet's final validation loss is higher than unet's by 0.500, 3 seeds: "
        "inconclusive; every seed gives the same difference, so there is no scatter to judge it by."
    )


def test_equivalent() -> None:
    assert sentence_of(LOWER, expect="equivalent", margin=0.2) == (
        "resnet34_unet's final validation loss differs from unet's by −0.070 [−0.095, −0.045] "
        "(margin 0.2), 3 seeds: equivalent."
    )
    assert "by +0.070 [0.045, 0.095]" in sentence_of(
        [-d for d in LOWER], expect="equivalent", margin=1
    )


def test_margin_of_one_side() -> None:
    text = sentence_of(LOWER, expect="not_lower", margin=0.2)
    assert "is lower than unet's by 0.070 [0.045, 0.095] (margin 0.2), 3 seeds: supported" in text


def test_exact_and_large() -> None:
    assert sentence_of([-22_886_744_064.0] * 3, metric="macs") == (
        "resnet34_unet's MACs are lower than unet's by exactly 22.9 G, 3 seeds: supported."
    )
    assert "are exactly as high as unet's, 3 seeds: refuted" in sentence_of(
        [0.0] * 3, metric="params"
    )


def test_against_a_number_and_with_shared_labels() -> None:
    runs = [0.1, 0.11, 0.12, 0.1, 0.11]
    text = sentence_of(runs, metric="overfit_gap", b=0.05, expect="higher")
    assert text == (
        "resnet34_unet's median overfitting gap is higher than 0.05 by 0.110, 5 seeds: supported; "
        "in all 5 runs the overfitting gap is over 0.05."
    )
    few = sentence_of(runs[:4], metric="overfit_gap", b=0.05, expect="higher")
    assert few.endswith("4 seeds: inconclusive; 5 runs are the least that can settle it.")
    sides = {"a": {"model": "unet", "augment": "none"}, "b": {"model": "unet", "augment": "crop"}}
    assert sentence_of(LOWER, **sides).startswith(
        "With unet, none's final validation loss is lower than"
    )


def test_what_to_know_besides() -> None:
    gaps = (Gap(3, "a", "out_of_memory"), Gap(4, None, OTHER_CONDITIONS), Gap(5, "b", NO_FIGURE))
    text = sentence_of(LOWER, along={"train.batch_size": ("60", "20")}, unpaired=2, gaps=gaps)
    assert text.endswith(
        "supported; the sides also differ in train.batch_size 60 against 20; 3 of 6 seeds are "
        "complete: resnet34_unet lacks seed 3 (out of memory), the pair was measured under other "
        "conditions (seed 4), unet lacks seed 5 (not recorded); 2 trials without a counterpart."
    )


def test_too_few_complete_seeds_say_what_would_help() -> None:
    gaps = tuple(Gap(seed, "a", reason) for seed, reason in
                 ((2, "crash"), (3, "crash"), (4, "diverged"), (5, "planned")))  # fmt: skip
    assert sentence_of([0.1, 0.2], gaps=gaps).endswith(
        "2 seeds: inconclusive; 3 complete seeds are the least that can settle it; 2 of 6 seeds "
        "are complete: resnet34_unet lacks seeds 2 and 3 (crash), resnet34_unet lacks seed 4 "
        "(diverged), resnet34_unet lacks seed 5 (not started); the same `run` goes on with what is "
        "not finished; `run --retry-failed` trains failed trials again; what diverged would do so "
        "again: add seeds."
    )


def test_failures_that_are_results_are_counted_for_each_side() -> None:
    ends: dict[Side, dict[str, int]] = {
        "a": {"done": 3, "diverged": 2},
        "b": {"done": 4, "crash": 1},
    }
    gaps = (Gap(3, "a", "diverged"), Gap(4, "a", "diverged"))
    text = sentence_of(LOWER, gaps=gaps, ends=ends)
    assert text.endswith("; diverged: resnet34_unet 2 of 5 trials, unet 0 of 5.")
    assert "crash" not in text
    alone = sentence_of(LOWER, gaps=gaps, ends={"a": ends["a"]}, b=0.5)
    assert alone.endswith("; diverged: resnet34_unet 2 of 5 trials.")


def test_no_pair_at_all() -> None:
    gaps = tuple(Gap(seed, side, "planned") for seed in range(3) for side in SIDES)
    assert sentence_of([], gaps=gaps) == (
        "resnet34_unet and unet have no pair to compare in final validation loss: inconclusive; "
        "3 complete seeds are the least that can settle it; 0 of 3 seeds are complete: "
        "resnet34_unet lacks seeds 0, 1 and 2 (not started), unet lacks seeds 0, 1 and 2 (not "
        "started); the same `run` goes on with what is not finished."
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


def test_a_claim_names_its_figure_for_people() -> None:
    claim = "Without EMA, test_dice is lower; best_test_dice is no figure"
    sides = {"a": {"configuration": "without EMA"}, "b": {"configuration": "full"}}
    hypothesis = Hypothesis(id="h", claim=claim, metric="test_dice", expect="lower", **sides)
    assert claim_words(hypothesis) == (
        "Without EMA, test Dice is lower; best_test_dice is no figure"
    )
