"""Scores by hand: a 2×2 image is enough."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.tasks.base import Batch, Samples
from bench.tasks.losses import cross_entropy, dice, focal, segmentation_loss
from bench.tasks.palette import CONFUSED, EXTRA, IGNORED, MISSED, PALETTE
from bench.tasks.pictures import colour, errors, overlay, side_by_side
from bench.tasks.segmentation import AT_ONCE, Segmentation, labels_of, overlap


def mask(*rows: list[int]) -> torch.Tensor:
    return torch.tensor([rows], dtype=torch.uint8)


def batch(masks: torch.Tensor) -> Batch:
    return Batch(torch.zeros(len(masks), 3, *masks.shape[1:]), masks, torch.arange(len(masks)))


class Fixed(nn.Module):
    """Gives the same scores for any input."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scores[: len(images)]


def test_dice_and_iou_by_hand() -> None:
    # P = 3 pixels, G = 2, both = 2: Dice 4/5, IoU 2/3
    found = overlap(mask([1, 1], [1, 0]), mask([1, 1], [0, 0]), 2)
    assert found.dice.item() == pytest.approx(0.8, abs=1e-6)
    assert found.iou.item() == pytest.approx(2 / 3, abs=1e-6)


def test_empty_predicted_empty_is_one_and_missed_is_zero() -> None:
    nothing, something = mask([0, 0], [0, 0]), mask([0, 1], [0, 0])
    assert overlap(nothing, nothing, 2).dice.item() == 1
    assert overlap(nothing, something, 2).dice.item() == pytest.approx(0, abs=1e-5)


def test_ignored_pixels_count_on_neither_side() -> None:
    found = overlap(mask([1, 1], [1, 1]), mask([1, 255], [255, 0]), 2)
    assert found.dice.item() == pytest.approx(2 / 3, abs=1e-6)  # P = 2, G = 1, both = 1


def test_each_class_has_its_own_column() -> None:
    found = overlap(mask([1, 2], [2, 0]), mask([1, 1], [2, 0]), 3)
    assert found.dice[0].tolist() == pytest.approx([2 / 3, 2 / 3], abs=1e-6)


def test_labels_of_two_classes_equal_argmax() -> None:
    scores = torch.randn(2, 2, 5, 5)
    scores[0, :, 0, 0] = 0  # a tie goes to the background
    assert torch.equal(labels_of(scores).long(), scores.argmax(1))


def test_meter_averages_over_images_not_batches() -> None:
    perfect = torch.tensor([[[9.0, 0], [9, 9]], [[0, 9.0], [0, 0]]])  # label 1 top right
    task = Segmentation()
    meter = task.meter()
    truth = torch.cat([mask([0, 1], [0, 0])] * 2 + [mask([1, 0], [0, 0])])
    model = Fixed(perfect.expand(3, -1, -1, -1))
    meter.update(model, batch(truth[:2]))
    meter.update(model, batch(truth[2:]))
    found = meter.compute()
    assert list(found) == ["loss", "dice", "iou"]
    assert found["dice"] == pytest.approx(2 / 3, abs=1e-5)
    right, wrong = math.log(1 + math.exp(-9)), math.log(1 + math.exp(9))
    assert found["loss"] == pytest.approx((2 * right + (wrong * 2 + right * 2) / 4) / 3, rel=1e-4)


def test_meter_names_each_class_when_there_are_several() -> None:
    task = Segmentation(classes=("background", "cat", "dog"))
    meter = task.meter()
    scores = torch.zeros(1, 3, 2, 2)
    scores[0, 1] = 1  # cat everywhere
    meter.update(Fixed(scores), batch(mask([1, 1], [2, 0])))
    found = meter.compute()
    assert found["dice_cat"] == pytest.approx(2 / 3, abs=1e-5)
    assert found["dice_dog"] == pytest.approx(0, abs=1e-5)
    assert found["dice"] == pytest.approx(1 / 3, abs=1e-5)


def test_baseline_is_all_foreground() -> None:
    masks = torch.cat([mask([1, 1], [0, 0]), mask([1, 1], [1, 1])])
    found = Segmentation().baseline([batch(masks)])
    assert found["dice"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)
    assert found["iou"] == pytest.approx(0.75, abs=1e-6)


def test_cross_entropy_ignores_and_survives_nothing_left() -> None:
    scores = torch.zeros(1, 2, 2, 2)
    assert cross_entropy(scores, mask([0, 1], [255, 255])).item() == pytest.approx(math.log(2))
    assert cross_entropy(scores, mask([255, 255], [255, 255])).item() == 0


def test_dice_loss_by_hand() -> None:
    # p = 0.5 everywhere, two of four pixels are foreground: 2·1 / (2 + 2)
    scores = torch.zeros(1, 2, 2, 2)
    assert dice(scores, mask([1, 1], [0, 0])).item() == pytest.approx(0.5, abs=1e-6)
    # one pixel not counted: p sums to 1.5, truth to 2
    assert dice(scores, mask([1, 1], [0, 255])).item() == pytest.approx(1 - 2 / 3.5, abs=1e-6)


def test_focal_by_hand_and_equal_to_cross_entropy_at_gamma_zero() -> None:
    scores, truth = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(focal(0.0)(scores, truth), cross_entropy(scores, truth))
    flat = torch.zeros(1, 2, 2, 2)
    assert focal(2.0)(flat, mask([0, 1], [1, 255])).item() == pytest.approx(0.25 * math.log(2))


@pytest.mark.parametrize("name", ["cross_entropy", "dice", "cross_entropy+dice", "focal"])
def test_every_loss_falls_along_its_gradient(name: str) -> None:
    torch.manual_seed(0)
    loss = segmentation_loss(name, 2.0)
    scores = torch.randn(2, 3, 8, 8, requires_grad=True)
    truth = torch.randint(0, 3, (2, 8, 8), dtype=torch.uint8)
    truth[0, 0] = 255
    before = loss(scores, truth)
    (gradient,) = torch.autograd.grad(before, scores)
    assert gradient[0, :, 0].abs().sum() == 0
    assert loss(scores - gradient, truth) < before


def test_predict_at_another_size_resizes_scores() -> None:
    scores = torch.tensor([[[[0.0, 0.0]], [[-1.0, 3.0]]]])  # (1, 2, 1, 2)
    found = Segmentation().predict(Fixed(scores), torch.zeros(1, 3, 1, 2), (1, 8))
    assert found.tolist() == [[[0, 0, 0, 1, 1, 1, 1, 1]]]


def test_many_pictures_go_through_the_model_in_parts() -> None:
    torch.manual_seed(0)
    model, images = nn.Conv2d(3, 2, 1), torch.rand(AT_ONCE + 2, 3, 2, 2)
    masks = torch.zeros(len(images), 2, 2, dtype=torch.uint8)
    names, shown = tuple(map(str, range(len(images)))), np.zeros((len(images), 2, 2, 3), np.uint8)
    samples = Samples(names, shown, Batch(images, masks, torch.arange(len(images))))
    found = Segmentation().pictures(model, samples)
    whole = Segmentation().predict(model, images).numpy()
    assert list(found) == list(names)
    for name, prediction in zip(names, whole, strict=True):
        assert (found[name][:, 8:10] == colour(prediction)).all()


def test_pictures() -> None:
    image = np.full((1, 5, 3), 100, np.uint8)
    truth = np.array([[0, 1, 0, 2, 255]], np.uint8)
    predicted = np.array([[0, 0, 1, 1, 1]], np.uint8)
    found = errors(image, truth, predicted)[0]
    expected = [[50] * 3, MISSED.tolist(), EXTRA.tolist(), CONFUSED.tolist(), [50] * 3]
    assert found.tolist() == expected
    assert colour(truth)[0, 4].tolist() == IGNORED.tolist()
    assert colour(np.array([[9, 1]], np.uint8))[0].tolist() == PALETTE[[1, 1]].tolist()
    assert overlay(image, truth)[0, 0].tolist() == [100] * 3
    assert overlay(image, truth)[0, 1].tolist() == [165, 129, 50]
    assert side_by_side(image, truth, predicted).shape == (1, 5 * 4 + 2 * 3, 3)
