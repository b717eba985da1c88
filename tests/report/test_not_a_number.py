"""Where a figure is NaN or infinite: comparisons come out on the careful side."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from bench.analysis.arm_summary import ranking
from bench.analysis.contrast_tests import Basis
from bench.analysis.contrasts import Word
from bench.analysis.pareto import pareto_front
from bench.analysis.stats import mean_interval
from bench.plan.earlier import Earlier, EarlierTrial, best_trial
from bench.report.figures import predictions
from bench.report.search.words import search_headline
from bench.spec.hypotheses import Hypothesis
from tests.builders.contrasts import results_of
from tests.builders.search_records import CONFIRMED, read, record

NAN, INF = math.nan, math.inf


def replace(model, **changes):
    """The same record with other fields, which may be what no file can hold."""
    return model.model_copy(update=changes)


@pytest.mark.parametrize("expect", ["higher", "lower", "equivalent", "not_higher", "not_lower"])
@pytest.mark.parametrize("metric", ["best_val_dice", "macs"])
@pytest.mark.parametrize(
    "differences", [[NAN] * 5, [0.1, 0.2, NAN, INF], [NAN, 5.0, 5.0], [INF] * 5, [-INF, 1.0, 1.0]]
)
def test_verdicts(expect, metric, differences):
    margin = None if expect in ("higher", "lower") else 0.5
    hypothesis = Hypothesis.model_validate(
        {"id": "h", "claim": "c", "metric": metric, "a": {"m": "a"}, "b": {"m": "b"},
         "expect": expect, "margin": margin}
    )  # fmt: skip
    (found,) = results_of([hypothesis], [differences])
    assert found.basis is Basis.FEW
    assert found.estimate.n == sum(map(math.isfinite, differences))
    assert found.word is Word.INCONCLUSIVE


@pytest.mark.parametrize("values", [[0.5], [0.5, INF], [INF, INF, INF], [0.5, -INF, NAN], [NAN]])
def test_intervals(values):
    found = mean_interval(values)
    assert not found.known


@pytest.mark.parametrize(("mode", "order"), [("max", [2, 0, 1, 4]), ("min", [0, 2, 1, 4])])
def test_rankings(mode, order):
    summary = pd.DataFrame({"x": [0.1, INF, 0.2, NAN, -INF]})
    found = ranking(summary, "x", mode)
    assert found[:2] == order[:2]
    assert set(found) == set(order)  # what is infinite stands behind


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_fronts(mode, bad):
    assert pareto_front([1, 2, 3], [0.5, bad, 0.5], mode).tolist() == [True, False, False]
    assert pareto_front([1, bad, 3], [0.5, 0.4, 0.5], mode).tolist() == [True, False, False]


def test_images_without_a_score_are_neither_best_nor_worst():
    scores = {"a": NAN, "b": 0.1, "c": 0.5, "d": 0.4}
    assert [name for _, name in predictions.chosen_images(scores)] == ["b", "d", "c"]
    assert predictions.chosen_images({"a": NAN}) == []
    dice = {0: {"a": 0.5, "b": NAN}, 1: {"a": 0.6, "b": 0.2}}
    assert predictions.disputed_image(dice, {"a", "b"}) == "a"
    assert predictions.disputed_image({0: {"a": NAN}}, {"a"}) is None


def test_a_class_in_neither_mask_has_no_dice():
    empty, full = np.zeros((2, 2), dtype=np.int64), np.ones((2, 2), dtype=np.int64)
    image = np.zeros((2, 2, 3), dtype=np.uint8)
    nothing, wrong = predictions.Strip(image, empty, empty), predictions.Strip(image, full, empty)
    assert math.isnan(nothing.dice(3, NAN))
    assert nothing.dice(1, 1.0) == 1
    assert wrong.dice(3, NAN) == pytest.approx(0, abs=1e-6)  # and not two thirds


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_weights_come_from_a_trial_with_a_score(bad, index):
    scores = [0.5, 0.7]
    scores.insert(index, bad)
    trials = tuple(EarlierTrial(f"t{i}", i, {}, "arm", score, None, "cafe")
                   for i, score in enumerate(scores))  # fmt: skip
    for mode, score in (("max", 0.7), ("min", 0.5)):
        earlier = Earlier("exp", mode, trials)
        assert best_trial(earlier, trials).score == score


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_points_of_a_search(tmp_path, bad, index, mode):
    values = [0.5, 0.7]
    values.insert(index, bad)
    search = read(tmp_path, record(over=False, front=[], chosen=[], confirmations=[]))
    points = [replace(search.complete[0], number=i, values={"best_val_dice": value})
              for i, value in enumerate(values)]  # fmt: skip
    search, objective = replace(search, points=points), replace(search.objectives[0], mode=mode)
    first = 0.7 if mode == "max" else 0.5
    assert objective.best(values) == first
    assert math.isnan(objective.best([bad]))
    title = search_headline(replace(search, objectives=[objective])).title
    assert f"with best val Dice {first:.3f}" in title


def test_a_confirmation_without_the_figure(tmp_path):
    nothing = CONFIRMED | {"confirmed": {"1": {"test_dice": 0.6}}}
    text = " ".join(search_headline(read(tmp_path, record(confirmations=[nothing]))).sentences)
    assert "it has no best val Dice to compare" in text
    assert "lower than in the search" not in text
