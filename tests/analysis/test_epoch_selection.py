from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.epoch_selection import cross_fitted, halves, last_epochs_mean, optimism

from .simulated import fluctuating_curves

# two images on each half; the first half's best epoch is 1, the second's 2
SCORES = np.array(
    [
        [0.1, 0.2, 0.1, 0.2],
        [0.9, 0.3, 0.7, 0.1],
        [0.5, 0.8, 0.6, 0.6],
    ]
)


def test_by_hand() -> None:
    found = cross_fitted(SCORES)
    assert found.epochs == (1, 2)
    # images 1 and 3 at epoch 1, images 0 and 2 at epoch 2
    assert found.score == pytest.approx((0.3 + 0.1 + 0.5 + 0.6) / 4)
    assert optimism(0.625, found.score) == pytest.approx(0.25)


def test_less_is_better() -> None:
    found = cross_fitted(-SCORES, "min")
    assert found.epochs == (1, 2)
    assert found.score == pytest.approx(-0.375)
    assert optimism(-0.625, found.score, "min") == pytest.approx(0.25)


def test_first_of_equal_epochs() -> None:
    assert cross_fitted(np.ones((5, 4))).epochs == (0, 0)


def test_images_without_a_score_are_left_out() -> None:
    scores = SCORES.copy()
    scores[:, 1] = math.nan
    assert cross_fitted(scores).score == pytest.approx((0.1 + 0.5 + 0.6) / 3)
    scores[:, 3] = math.nan
    assert math.isnan(cross_fitted(scores).score)  # the second half has none


def test_groups_are_not_split() -> None:
    groups = ["a", "a", "b", "c", "c", "c", "d"]
    first = halves(7, groups)
    for group in "abcd":
        assert len({bool(first[i]) for i, name in enumerate(groups) if name == group}) == 1
    assert first.sum() in (3, 4)


def test_halves_without_groups_take_turns() -> None:
    assert halves(5).tolist() == [True, False, True, False, True]


def test_last_epochs() -> None:
    assert last_epochs_mean(np.arange(12.0)) == pytest.approx(np.mean(range(2, 12)))
    assert math.isnan(last_epochs_mean(np.arange(9.0)))
    assert math.isnan(last_epochs_mean([*np.arange(11.0), math.nan]))


def test_bias_of_one_hundred_epochs() -> None:
    best, crossed, last = fluctuating_curves(2000, 28)
    assert 0.027 < best < 0.033
    assert abs(crossed) <= 0.002
    assert abs(last) <= 0.001
