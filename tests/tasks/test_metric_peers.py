"""Scores and losses against independent packages, on shared masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.tasks.dice_iou import Counts, Overlap, count, mean_over_pairs, scores
from bench.tasks.losses import PixelCrossEntropy, SoftDice
from bench.tasks.settings import EmptyMask

NAMED = "needs the packages of the extra `test`"


def labels(classes: int, *, false_alarms: bool = True) -> tuple[Tensor, Tensor]:
    """(8, 24, 24) predicted and true labels: blocks, each image with some of the classes only.

    Every class is in some mask. Without `false_alarms` an image's prediction has no class that its
    mask lacks, but for background.
    """
    generator = torch.Generator().manual_seed(0)
    truth = torch.zeros(8, 24, 24, dtype=torch.uint8)
    predicted = truth.clone()
    for image in range(8):
        for label in range(1, classes):
            if (image + label) % 3 == 0:
                y, x = torch.randint(0, 12, (2,), generator=generator).tolist()
                truth[image, y : y + 9, x : x + 11] = label
                predicted[image, y + 2 : y + 10, x + 1 : x + 12] = label
    predicted[0] = 0  # everything missed
    if false_alarms:
        predicted[1, :3, :3] = classes - 1
        predicted[2, 20:, 20:] = 1
    for image in range(8):  # what one class hides of another may hide it altogether
        absent = ~torch.isin(predicted[image], truth[image])
        if not false_alarms:
            predicted[image][absent] = 0
    return predicted, truth


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return torch.nn.functional.one_hot(labels.long(), classes).permute(0, 3, 1, 2)


def means(found: Overlap) -> list[float]:
    return [mean_over_pairs(each, found.defined).item() for each in (found.dice, found.iou)]


def ours(predicted: Tensor, truth: Tensor, classes: int, first: int, empty: EmptyMask) -> Overlap:
    return scores(count(predicted, truth, classes), first=first, empty_mask=empty)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("ignore_empty", [True, False])
def test_monai(classes: int, first: int, ignore_empty: bool) -> None:
    monai = pytest.importorskip("monai.metrics", reason=NAMED)
    # `ignore_empty` leaves out every pair whose mask is empty, false alarms too: with us these are
    # 0, so that the two agree where there are none
    predicted, truth = labels(classes, false_alarms=not ignore_empty)
    arguments: dict[str, Any] = {"include_background": first == 0, "ignore_empty": ignore_empty}
    inputs = one_hot(predicted, classes), one_hot(truth, classes)
    found = ours(predicted, truth, classes, first, "missing" if ignore_empty else "one")
    for metric, values in (
        (monai.DiceMetric(**arguments), found.dice),
        (monai.MeanIoU(**arguments), found.iou),
    ):
        each = metric(*inputs)
        assert torch.equal(~each.isnan(), found.defined)
        torch.testing.assert_close(each.nan_to_num().double(), values, atol=1e-6, rtol=0)
        mean = mean_over_pairs(values, found.defined).item()
        assert metric.aggregate().item() == pytest.approx(mean, abs=1e-6)


def test_monai_leaves_false_alarms_out_that_are_0_with_us() -> None:
    monai = pytest.importorskip("monai.metrics", reason=NAMED)
    predicted, truth = labels(5)
    each = monai.DiceMetric(include_background=False, ignore_empty=True)(
        one_hot(predicted, 5), one_hot(truth, 5)
    )
    found = ours(predicted, truth, 5, 1, "missing")
    alarms = each.isnan() & found.defined
    assert alarms.any()
    assert (found.dice[alarms] == 0).all()
    known = ~each.isnan()
    torch.testing.assert_close(each[known].double(), found.dice[known], atol=1e-6, rtol=0)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("classes", [3, 5])
def test_torchmetrics(classes: int, first: int) -> None:
    peer = pytest.importorskip("torchmetrics.functional.segmentation", reason=NAMED)
    predicted, truth = (part.long() for part in labels(classes))
    arguments: dict[str, Any] = {
        "num_classes": classes,
        "include_background": first == 0,
        "input_format": "index",
    }
    small = predicted.byte(), truth.byte()
    counts = count(*small, classes)
    for level, found in (
        ("samplewise", scores(counts, first=first, empty_mask="missing")),
        ("global", scores(counts.of_split(), first=first, empty_mask="missing")),
    ):
        each = peer.dice_score(
            predicted, truth, average="macro", aggregation_level=level, **arguments
        )
        assert each.nanmean().item() == pytest.approx(means(found)[0], abs=1e-6)
    iou = peer.mean_iou(predicted, truth, **arguments)  # per image
    found = scores(counts, first=first, empty_mask="missing")
    assert iou.nanmean().item() == pytest.approx(means(found)[1], abs=1e-6)


@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize("classes", [3, 5])
def test_segmentation_models_pytorch(classes: int, ignore: bool) -> None:
    peer = pytest.importorskip("segmentation_models_pytorch.metrics", reason=NAMED)
    predicted, truth = labels(classes)
    if ignore:
        truth[:, 5:9] = 255
    masked = truth.long().masked_fill(truth == 255, -1)
    tp, fp, fn, tn = peer.get_stats(
        predicted.long(), masked, "multiclass", ignore_index=-1, num_classes=classes
    )
    counts = count(predicted, truth, classes)
    assert torch.equal(counts.both, tp)
    assert torch.equal(counts.predicted, tp + fp)
    assert torch.equal(counts.truth, tp + fn)
    for mode, one, found in (
        ("macro-imagewise", 1.0, scores(counts, first=0, empty_mask="one")),
        ("macro", 1.0, scores(counts.of_split(), first=0, empty_mask="missing")),
    ):
        stats: dict[str, Any] = {"reduction": mode, "zero_division": one}
        dice, iou = means(found)
        assert peer.f1_score(tp, fp, fn, tn, **stats).item() == pytest.approx(dice, abs=1e-6)
        assert peer.iou_score(tp, fp, fn, tn, **stats).item() == pytest.approx(iou, abs=1e-6)


def test_losses_of_segmentation_models_pytorch() -> None:
    peer = pytest.importorskip("segmentation_models_pytorch.losses", reason=NAMED)
    torch.manual_seed(0)
    logits = torch.randn(4, 5, 8, 8)
    masks = torch.randint(0, 5, (4, 8, 8))
    dice = peer.DiceLoss("multiclass", classes=[1, 2, 3, 4])(logits, masks)
    assert SoftDice()(logits, masks.byte()).item() == pytest.approx(dice.item(), abs=1e-6)
    everywhere = peer.DiceLoss("multiclass")(logits, masks)
    assert SoftDice(first=0)(logits, masks.byte()).item() == pytest.approx(
        everywhere.item(), abs=1e-6
    )


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_of_monai(gamma: float) -> None:
    peer = pytest.importorskip("monai.losses", reason=NAMED)
    torch.manual_seed(0)
    logits, masks = torch.randn(4, 5, 8, 8), torch.randint(0, 5, (4, 8, 8))
    focal = peer.FocalLoss(gamma=gamma, use_softmax=True, reduction="none", alpha=None)
    expected = focal(logits, one_hot(masks, 5).float()).sum(1).mean()
    assert PixelCrossEntropy(gamma)(logits, masks.byte()).item() == pytest.approx(
        expected.item(), abs=1e-6
    )


def test_counts_are_of_images_or_of_a_split() -> None:
    predicted, truth = labels(5)
    counts = count(predicted, truth, 5)
    assert isinstance(counts.of_split(), Counts)
    assert counts.of_split().truth.sum() == truth.numel()
