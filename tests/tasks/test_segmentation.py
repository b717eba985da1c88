"""Scores by hand: a 2×2 image is enough."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.tasks.base import Batch, Samples
from bench.tasks.palette import CONFUSED, EXTRA, IGNORED, MISSED, PALETTE
from bench.tasks.pictures import colour, errors, overlay, side_by_side
from bench.tasks.segmentation import AT_ONCE, Segmentation, predict_labels
from bench.tasks.settings import SUPPORT, EmptyMask, ScoreAverage, SegmentationSettings
from tests.builders.masks import Fixed, Played, batch, mask, scores_for


def test_labels_of_two_classes_equal_argmax() -> None:
    scores = torch.randn(2, 2, 5, 5)
    scores[0, :, 0, 0] = 0  # a tie goes to the background
    assert torch.equal(predict_labels(scores).long(), scores.argmax(1))


def score(
    task: Segmentation, truth: torch.Tensor, predicted: torch.Tensor, size: int = 99
) -> dict[str, float | None]:
    """What the meter finds where `predicted` (N, H, W) is predicted, in batches of `size`."""
    meter, model = task.meter(), Played(scores_for(predicted, len(task.classes)))
    for part in truth.split(size):
        meter.update(model, batch(part))
    return meter.compute()


THREE = ("background", "cat", "dog")


def test_binary_scores_are_means_over_images() -> None:
    truth = torch.cat([mask([0, 1], [0, 0])] * 2 + [mask([1, 0], [0, 0])])
    predicted = torch.cat([mask([0, 1], [0, 0])] * 3)
    found = score(Segmentation(), truth, predicted, size=2)
    assert list(found) == ["loss", "dice", "iou", "scored_images"]
    assert found["dice"] == pytest.approx(2 / 3, abs=1e-5)
    right, wrong = math.log(1 + math.exp(-4)), math.log(1 + math.exp(4))
    assert found["loss"] == pytest.approx((10 * right + 2 * wrong) / 12, rel=1e-5)


def test_an_empty_binary_mask_is_one_or_missing() -> None:
    truth = torch.cat([mask([0, 0]), mask([0, 1]), mask([0, 0])])
    predicted = torch.cat([mask([0, 0]), mask([0, 1]), mask([1, 1])])
    found = score(Segmentation(), truth, predicted)
    assert found["dice"] == pytest.approx((1 + 1 + 0) / 3, abs=1e-5)
    assert found["scored_images"] == 3
    found = score(Segmentation(empty_mask="missing"), truth, predicted)
    assert found["dice"] == pytest.approx((1 + 0) / 2)  # a false alarm has a score: 0
    assert found["scored_images"] == 2


@pytest.mark.parametrize("empty_mask", ["one", "missing"])
def test_an_image_without_a_pixel_to_score_has_no_score(empty_mask: EmptyMask) -> None:
    truth = torch.cat([mask([255, 255]), mask([1, 1])])
    predicted = torch.cat([mask([0, 0]), mask([0, 0])])
    found = score(Segmentation(empty_mask=empty_mask), truth, predicted)
    assert found["dice"] == pytest.approx(0, abs=1e-5)
    assert found["iou"] == pytest.approx(0, abs=1e-5)
    assert found["scored_images"] == 1


def test_a_split_without_a_pixel_to_score_has_no_figures() -> None:
    truth = mask([255, 255])
    found = score(Segmentation(classes=THREE, average="both"), truth, mask([1, 2]))
    assert {v for k, v in found.items() if not k.startswith("scored_")} == {None}
    assert found["scored_images"] == found["scored_pairs"] == found["scored_classes"] == 0


def test_scores_of_a_diverged_model_are_numbers_and_its_loss_is_none() -> None:
    meter = Segmentation().meter()
    meter.update(Fixed(torch.full((1, 2, 1, 2), math.nan)), batch(mask([0, 1])))
    found = meter.compute()
    assert found["loss"] is not None
    assert math.isnan(found["loss"])


def test_pairs_of_an_absent_class_have_no_score() -> None:
    # first image: cat half found, no dog; second: dog missed, a cat seen where there is none
    truth = torch.cat([mask([1, 1, 0, 0]), mask([2, 2, 0, 0])])
    predicted = torch.cat([mask([1, 0, 0, 0]), mask([1, 0, 0, 0])])
    found = score(Segmentation(classes=THREE), truth, predicted)
    assert found["dice_cat"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["dice_dog"] == 0
    assert found["dice"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["iou"] == pytest.approx((1 / 2 + 0) / 2)
    assert (found["scored_images"], found["scored_pairs"]) == (2, 3)


def test_each_image_counts_as_much_as_any_other() -> None:
    truth = torch.cat([mask([1, 2]), mask([1, 1])])
    predicted = torch.cat([mask([1, 2]), mask([0, 0])])
    found = score(Segmentation(classes=THREE), truth, predicted)
    assert found["dice"] == 0.5  # not (1 + 1 + 0) / 3
    assert (found["dice_cat"], found["dice_dog"]) == (0.5, 1)


def test_a_class_that_the_split_lacks_is_missing_even_where_it_is_predicted() -> None:
    found = score(Segmentation(classes=THREE, average="both"), mask([1, 1, 0]), mask([1, 1, 2]))
    assert found["dice"] == found["split_dice"] == found["dice_cat"] == 1
    assert found["dice_dog"] is None
    assert found["split_iou_dog"] is None


def test_background_everywhere_scores_nothing_over_many_classes() -> None:
    classes = ("background", *(f"c{i}" for i in range(1, 20)))
    truth = torch.zeros(20, 16, 16, dtype=torch.uint8)
    for image in range(20):
        truth[image, 4:12, 4:12] = image % 19 + 1
    found = score(Segmentation(classes=classes), truth, torch.zeros_like(truth))
    assert found["dice"] == found["iou"] == 0
    assert found["scored_pairs"] == 20


def test_the_average_over_a_split_adds_up_its_pixels() -> None:
    truth = torch.cat([mask([1, 1, 1, 1]), mask([1, 0, 0, 2])])
    predicted = torch.cat([mask([1, 1, 1, 1]), mask([0, 1, 0, 2])])
    found = score(Segmentation(classes=THREE, average="split"), truth, predicted, size=1)
    assert found["dice_cat"] == pytest.approx(2 * 4 / (5 + 5))
    assert found["iou_cat"] == pytest.approx(4 / 6)
    assert found["dice_dog"] == found["iou_dog"] == 1
    assert found["dice"] == pytest.approx((0.8 + 1) / 2)
    assert found["scored_classes"] == 2
    both = score(Segmentation(classes=THREE, average="both"), truth, predicted)
    assert both["split_dice"] == found["dice"]
    assert both["dice"] == pytest.approx((1 + (0 + 1) / 2) / 2)


def test_without_a_background_class_0_is_scored_like_any_other() -> None:
    task = Segmentation(classes=("road", "sky"), background=False)
    found = score(task, mask([0, 0, 1, 255]), mask([0, 1, 1, 0]))
    assert found["dice_road"] == found["dice_sky"] == found["dice"] == pytest.approx(2 / 3)
    assert score(task, mask([0, 0]), mask([0, 0]))["dice_sky"] is None


@pytest.mark.parametrize("average", ["image", "split", "both"])
@pytest.mark.parametrize("classes", [("a", "b"), THREE])
@pytest.mark.parametrize("background", [True, False])
def test_metrics_are_those_that_the_settings_tell(
    average: ScoreAverage, classes: tuple[str, ...], background: bool
) -> None:
    task = Segmentation(classes=classes, background=background, average=average)
    found = score(task, mask([0, 1]), mask([0, 1]))
    settings = SegmentationSettings(average=average)
    named = list(settings.metric_modes(classes, background=background))
    assert [name for name in found if name not in SUPPORT] == named


@pytest.mark.parametrize("loss", SegmentationSettings.losses)
@pytest.mark.parametrize("classes", [2, 4])
def test_figures_do_not_depend_on_the_batch_size(loss: str, classes: int) -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, classes, (7, 8, 8), dtype=torch.uint8)
    truth[:3, :, :5] = 255  # images with fewer pixels to score
    truth[4] = 255
    task = Segmentation(classes=tuple("abcd"[:classes]), loss=loss, average="both")
    found, scores = [], torch.randn(7, classes, 8, 8)
    for size in (1, 2, 3, 7):
        meter, model = task.meter(), Played(scores)
        for part in truth.split(size):
            meter.update(model, batch(part))
        found.append(meter.compute())
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6)


def test_the_baseline_is_the_best_constant_class_of_each_score() -> None:
    # six empty masks and four full ones, of which each has one pixel of background
    masks = torch.cat([mask([0, 0, 0, 0])] * 6 + [mask([1, 1, 1, 0])] * 4)
    found = Segmentation().baseline([batch(masks[:7]), batch(masks[7:])])
    assert found.metrics["dice"] == pytest.approx(0.6, abs=1e-6)
    assert found.predictions["dice"] == "background"
    assert found.metrics["loss"] == pytest.approx(-(0.3 * math.log(0.3) + 0.7 * math.log(0.7)))
    missing = Segmentation(empty_mask="missing").baseline([batch(masks)])
    # foreground everywhere: 0 on six empty masks, 6/7 on the others
    assert missing.metrics["dice"] == pytest.approx(0.4 * 6 / 7)
    assert missing.predictions["dice"] == "foreground"


def test_the_baseline_of_full_masks_is_all_foreground() -> None:
    masks = torch.cat([mask([1, 1], [0, 0]), mask([1, 1], [1, 1])])
    found = Segmentation(loss="dice").baseline([batch(masks)])
    assert found.metrics == {"dice": pytest.approx(5 / 6), "iou": pytest.approx(0.75)}
    assert found.predictions == {"dice": "foreground", "iou": "foreground"}


def test_no_constant_prediction_beats_the_baseline() -> None:
    torch.manual_seed(0)
    truth = torch.randint(0, 3, (5, 6, 6), dtype=torch.uint8)
    truth[0] = truth[0].clamp(max=1)
    truth[1, :2] = 255
    for background in (True, False):
        task = Segmentation(classes=THREE, background=background, average="both", loss="focal")
        found = task.baseline(batch(part) for part in truth.split(2))
        constants = [score(task, truth, torch.full_like(truth, label)) for label in range(3)]
        for name, best in found.metrics.items():
            values = [constant[name] or 0.0 for constant in constants]
            assert best == pytest.approx(max(values))
            if name.removeprefix("split_") in ("dice", "iou"):
                assert found.predictions[name] == THREE[values.index(max(values))]
            else:  # of one class, which is that constant
                assert name not in found.predictions


def test_the_baseline_of_nothing_is_nothing() -> None:
    assert Segmentation().baseline([batch(mask([255, 255]))]) == ({}, {})


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
    found = errors(image, truth, predicted, background=False)[0]
    expected = [[50] * 3, *[CONFUSED.tolist()] * 3, [50] * 3]
    assert found.tolist() == expected
    assert colour(truth)[0, 4].tolist() == IGNORED.tolist()
    assert colour(np.array([[9, 1]], np.uint8))[0].tolist() == PALETTE[[1, 1]].tolist()
    assert overlay(image, truth)[0, 0].tolist() == [100] * 3
    assert overlay(image, truth)[0, 1].tolist() == [165, 129, 50]
    assert side_by_side(image, truth, predicted).shape == (1, 5 * 4 + 2 * 3, 3)
