from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.analysis.contrast_tests import Contrast, Observed
from bench.analysis.contrasts import ContrastBook, Question, Result, Word
from bench.analysis.evidence import Claim
from bench.analysis.two_sources import Over, two_sources
from bench.report.narrative.contrast_notes import (
    runs_beyond,
    statement_lines,
    why_open,
    withheld,
)

A, B = frozenset("a"), frozenset("b")


def crossed(seeds: float, images: float, mean: float, rest: float = 0.0) -> np.ndarray:
    """(5, 60) differences whose seeds and images have these standard deviations exactly."""

    def scores(n: int) -> np.ndarray:
        values = np.sin(np.arange(n) * 2.4)
        return (values - values.mean()) / values.std(ddof=1)

    table = mean + seeds * scores(5)[:, None] + images * scores(60)
    return np.asarray(table + rest * np.random.default_rng(0).normal(size=(5, 60)))


def result(table: np.ndarray, over: Over = Over.BOTH, **given: object) -> Result:
    contrast = Contrast("test_dice", A, B, over)
    seen = Observed(table.mean(axis=1), sources=two_sources(table), mode="max", **given)  # type: ignore[arg-type]
    return ContrastBook([Question("h", contrast, "higher")], [], {contrast: seen}).declared[0]


def test_three_statements() -> None:
    both, seeds, images = statement_lines(result(crossed(0.005, 0.1, 0.02)))
    assert both.startswith("New seeds and new images: +0.020 [")
    assert seeds.startswith("New seeds on these 60 images: +0.020 [0.014, 0.026], p < 0.001")
    assert images.startswith(
        "New images with these trained models: +0.020 [−0.006, 0.046], p = 0.1"
    )


def test_statements_that_cannot_be_made() -> None:
    lines = statement_lines(result(crossed(0.005, 0.1, 0.02)[:2]))
    assert lines[0] == "New seeds and new images: no test below 3 complete seeds"
    assert lines[2].startswith("New images with these trained models: +")
    lines = statement_lines(result(crossed(0.005, 0.1, 0.02)[:, :4]))
    assert lines[2].endswith("no test below 5 images, or groups of images")


def test_images_leave_it_open() -> None:
    found = result(crossed(0.005, 0.1, 0.02))
    text = why_open(found, "unet", "resnet34_unet")
    known = "on these 60 images unet is higher than resnet34_unet (p < 0.001)"
    assert text.startswith(f"{known}, but 9")
    assert "of the uncertainty is which images these are; about " in text
    assert text.endswith(
        f"about {found.needs_images} images would settle it, no number of seeds would"
    )


def test_seeds_leave_it_open() -> None:
    found = result(crossed(0.05, 0.02, -0.03))
    text = why_open(found, "unet", "resnet34_unet")
    assert text.startswith("with these trained models unet is lower than resnet34_unet (p < 0.001)")
    assert text.endswith(
        f"about {found.needs_seeds} seeds would settle it, no number of images would"
    )


def test_both_leave_it_open() -> None:
    text = why_open(result(crossed(0.05, 0.2, 0.001)), "unet", "resnet34_unet")
    assert "due to seeds" in text
    assert text.endswith("neither more seeds nor more images alone would settle it")


def test_nothing_is_explained_where_nothing_is_open() -> None:
    assert why_open(result(crossed(0.001, 0.01, 0.1)), "a", "b") == ""
    assert why_open(result(crossed(0.005, 0.1, 0.02), Over.SEEDS), "a", "b") == ""


def test_withheld() -> None:
    found = result(crossed(0.001, 0.01, 0.02), failed={"a": 2})
    assert found.word is Word.INCONCLUSIVE
    text = withheld(found, "a", "b", {"a": 2}, {"a": 5, "b": 5})
    assert text == "a failed in 2 of 5 trials, b in 0 of 5; where both trained a is higher by 0.020"
    alone = withheld(found, "a", "", {"a": 2}, {"a": 5})
    assert alone == "a failed in 2 of 5 trials; where it trained a is higher by 0.020"
    within = withheld(replace(found, claim=Claim.WITHIN), "a", "b", {"a": 2}, {"a": 5, "b": 5})
    assert within.endswith("where both trained they are equivalent")
    assert withheld(replace(found, is_withheld=False), "a", "b", {}, {"a": 5, "b": 5}) == ""


def test_runs_against_a_number() -> None:
    assert runs_beyond(np.ones(5), "the gap", 0.05) == "in all 5 runs the gap is over 0.05"
    some = np.array([-1.0, -1.0, -1.0, 0.0, 1.0])
    assert runs_beyond(some, "the gap", 0.05) == "in 3 of 5 runs the gap is under 0.05"
