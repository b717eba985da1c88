"""Losses by hand, their gradients at the edge, and of a split."""

from __future__ import annotations

import math

import pytest
import torch

from bench.tasks.losses import PixelCrossEntropy, SoftDice
from bench.tasks.segmentation_loss import segmentation_loss
from bench.tasks.settings import SegmentationSettings
from tests.builders.masks import mask

LOSSES = SegmentationSettings.losses


def test_cross_entropy_ignores_and_survives_nothing_left() -> None:
    scores = torch.zeros(1, 2, 2, 2)
    assert PixelCrossEntropy()(scores, mask([0, 1], [255, 255])).item() == pytest.approx(
        math.log(2)
    )
    assert PixelCrossEntropy()(scores, mask([255, 255], [255, 255])).item() == 0


def test_dice_loss_by_hand() -> None:
    # p = 0.5 everywhere, two of four pixels are foreground: 2·1 / (2 + 2)
    scores = torch.zeros(1, 2, 2, 2)
    assert SoftDice()(scores, mask([1, 1], [0, 0])).item() == pytest.approx(0.5, abs=1e-6)
    # one pixel not counted: p sums to 1.5, truth to 2
    assert SoftDice()(scores, mask([1, 1], [0, 255])).item() == pytest.approx(1 - 2 / 3.5, abs=1e-6)


def test_focal_by_hand_and_equal_to_cross_entropy_at_gamma_zero() -> None:
    scores, truth = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)
    torch.testing.assert_close(
        PixelCrossEntropy(0.0)(scores, truth), PixelCrossEntropy()(scores, truth)
    )
    flat = torch.zeros(1, 2, 2, 2)
    assert PixelCrossEntropy(2.0)(flat, mask([0, 1], [1, 255])).item() == pytest.approx(
        0.25 * math.log(2)
    )


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


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 1.0, 2.0, 5.0])
def test_the_focal_loss_has_its_own_gradient_up_to_certainty(gamma: float) -> None:
    gaps = torch.tensor([-30.0, -3, 0, 3, 9, 15, 17, 30, 200])
    scores = torch.stack([torch.zeros(9), gaps])[None, :, None].requires_grad_()
    loss = PixelCrossEntropy(gamma)(scores, torch.ones(1, 1, 9, dtype=torch.uint8))
    (gradient,) = torch.autograd.grad(loss, scores)
    x = torch.sigmoid(-gaps.double())  # 1 - p
    # d/dp of -(1-p)^γ·log p, times dp/dgap = p·(1-p)
    expected = gamma * x**gamma * (1 - x) * torch.log1p(-x) - x ** (1 + gamma)
    found = gradient[0, 1, 0].double() * 9
    certain = gaps > 16  # in fp32 p is 1 there: the limit, 0
    assert (found[certain] == 0).all()
    torch.testing.assert_close(found[~certain], expected[~certain], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", LOSSES)
def test_no_gradient_is_lost_at_scores_in_half_precision(name: str, dtype: torch.dtype) -> None:
    scores = torch.tensor([[-600.0, 600, 0, -8], [600, -600, 0, 8]], dtype=dtype)
    scores = scores[None, :, None].requires_grad_()
    loss = segmentation_loss(name, 0.5)(scores.float(), mask([1, 1, 0, 255]))
    (gradient,) = torch.autograd.grad(loss, scores)
    assert loss.isfinite()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [2, 4])
def test_the_loss_of_a_split_is_that_of_one_batch_of_it(name: str, classes: int) -> None:
    torch.manual_seed(0)
    loss = segmentation_loss(name, 0.5)
    scores = torch.randn(5, classes, 6, 6)
    truth = torch.randint(0, classes, (5, 6, 6), dtype=torch.uint8)
    truth[0, :4] = 255
    sums = sum(
        loss.measure(s, t).sums for s, t in zip(scores.split(2), truth.split(2), strict=True)
    )
    assert isinstance(sums, torch.Tensor)
    assert loss.of_split(sums).item() == pytest.approx(loss(scores, truth).item(), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", [2, 4])
def test_the_loss_of_a_split_without_pixels_is_not_defined(name: str, classes: int) -> None:
    loss = segmentation_loss(name)
    sums = loss.measure(torch.randn(1, classes, 1, 2), mask([255, 255])).sums
    assert loss.of_split(sums).isnan()
    assert sums.isfinite().all()


def test_the_dice_loss_leaves_out_classes_that_no_mask_of_the_batch_has() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 5, 4, 4)
    truth = torch.randint(0, 3, (2, 4, 4), dtype=torch.uint8)  # classes 3 and 4 are absent
    softmax = scores.softmax(1)
    each = [
        1 - 2 * softmax[:, c][truth == c].sum() / (softmax[:, c].sum() + (truth == c).sum())
        for c in (1, 2)
    ]
    assert SoftDice()(scores, truth).item() == pytest.approx(sum(each).item() / 2, rel=1e-5)
    nothing = torch.zeros_like(truth)
    scores.requires_grad_()
    (gradient,) = torch.autograd.grad(SoftDice()(scores, nothing), scores)
    assert gradient.abs().sum() == 0


def test_the_binary_dice_loss_of_a_batch_without_foreground_is_one() -> None:
    scores = torch.randn(2, 2, 4, 4)
    loss = SoftDice()(scores, torch.zeros(2, 4, 4, dtype=torch.uint8))
    assert loss.item() == pytest.approx(1, abs=1e-5)
