"""Counts and scores by hand: a 2×2 image is enough."""

from __future__ import annotations

import pytest
import torch

from bench.tasks import dice_iou as module
from bench.tasks.dice_iou import constant_prediction, count, dice_and_iou, pixels
from tests.builders.masks import mask


def test_dice_and_iou_by_hand() -> None:
    # P = 3 pixels, G = 2, both = 2: Dice 4/5, IoU 2/3
    found = dice_and_iou(mask([1, 1], [1, 0]), mask([1, 1], [0, 0]), 2)
    assert found.dice.item() == pytest.approx(0.8, abs=1e-6)
    assert found.iou.item() == pytest.approx(2 / 3, abs=1e-6)


def test_empty_predicted_empty_is_one_and_missed_is_zero() -> None:
    nothing, something = mask([0, 0], [0, 0]), mask([0, 1], [0, 0])
    assert dice_and_iou(nothing, nothing, 2).dice.item() == 1
    assert dice_and_iou(nothing, something, 2).dice.item() == pytest.approx(0, abs=1e-5)
    found = dice_and_iou(nothing, nothing, 2, "missing")
    assert (found.dice.item(), found.iou.item(), found.defined.item()) == (0, 0, False)


def test_ignored_pixels_count_on_neither_side() -> None:
    found = dice_and_iou(mask([1, 1], [1, 1]), mask([1, 255], [255, 0]), 2)
    assert found.dice.item() == pytest.approx(2 / 3, abs=1e-6)  # P = 2, G = 1, both = 1


def test_each_class_has_its_own_column() -> None:
    found = dice_and_iou(mask([1, 2], [2, 0]), mask([1, 1], [2, 0]), 3)
    assert found.dice[0].tolist() == pytest.approx([2 / 3, 2 / 3], abs=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 21, 254])
def test_counts_equal_comparing_class_by_class(
    classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, classes, (5, 9, 7), dtype=torch.uint8)
    predicted = torch.randint(0, classes, (5, 9, 7), dtype=torch.uint8)
    truth[0, :3], truth[1] = 255, 255
    valid = truth != 255
    found = count(predicted, truth, classes)
    for label in range(classes):
        p, g = (predicted == label) & valid, truth == label
        expected = [part.sum((1, 2)).tolist() for part in (p & g, p, g)]
        assert [part[:, label].tolist() for part in found] == expected
    assert torch.equal(pixels(truth, classes), found.truth)
    monkeypatch.setattr(module, "_MAX_BINS", 1)  # image by image
    assert all(map(torch.equal, count(predicted, truth, classes), found))
    for flags in (1, 1 << 26):  # what runs on a GPU
        monkeypatch.setattr(module, "_MAX_FLAGS", flags)
        by_comparing = module._by_comparing(truth.flatten(1), classes)
        assert torch.equal(by_comparing, found.truth)


def test_always_is_what_counting_a_constant_gives() -> None:
    truth = torch.cat([mask([0, 1, 2, 255]), mask([2, 2, 0, 0])])
    for label in range(3):
        expected = count(torch.full_like(truth, label), truth, 3)
        assert all(map(torch.equal, constant_prediction(pixels(truth, 3), label), expected))
