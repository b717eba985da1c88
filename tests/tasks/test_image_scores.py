"""Each image's own scores by hand; the figures of a split are their means where they say so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from bench.image_scores import ImageScores
from bench.tasks.base import Batch, Meter
from bench.tasks.classification import Classification
from bench.tasks.diffusion import Diffusion
from bench.tasks.segmentation import Segmentation
from bench.tasks.settings import DIFFUSION_QUARTERS
from tests.builders.masks import Fixed, Played, batch, mask, scores_for

THREE = ("background", "cat", "dog")
RIGHT, WRONG = math.log(1 + math.exp(-4)), math.log(1 + math.exp(4))


def scored(
    task: Segmentation, truth: torch.Tensor, predicted: torch.Tensor, size: int = 2
) -> tuple[dict[str, float | None], ImageScores]:
    meter, model = task.meter(), Played(scores_for(predicted, len(task.classes)))
    for part in truth.split(size):
        meter.update(model, batch(part))
    return meter.compute(), meter.by_image()


def check_means(meter: Meter) -> None:
    figures, images = meter.compute(), meter.by_image()
    assert images.means
    for metric in images.means:
        values = images.values[:, images.metrics.index(metric)]
        known = values[~np.isnan(values)]
        if figures[metric] is None:
            assert not len(known)
        else:
            assert known.mean(dtype=float) == pytest.approx(figures[metric], abs=1e-6)


def column(scores: ImageScores, metric: str) -> list[float]:
    found = scores.column(metric)
    assert found is not None
    return [float(value) for value in found]


def test_binary_scores_by_hand() -> None:
    truth = torch.cat([mask([0, 1], [0, 0]), mask([1, 1], [1, 0]), mask([1, 1], [255, 255])])
    predicted = torch.cat([mask([0, 1], [0, 0]), mask([1, 0], [1, 1]), mask([0, 0], [1, 1])])
    figures, images = scored(Segmentation(), truth, predicted)
    assert images.metrics == ("loss", "dice", "iou")
    assert images.values.dtype == np.float32
    assert column(images, "dice") == pytest.approx([1, 2 / 3, 0], abs=1e-5)
    assert column(images, "iou") == pytest.approx([1, 1 / 2, 0], abs=1e-5)
    assert column(images, "loss") == pytest.approx([RIGHT, (RIGHT + WRONG) / 2, WRONG], rel=1e-5)
    # two pixels of the last image count, four of the others: the loss over pixels is another mean
    assert images.means == {"dice", "iou"}
    assert figures["loss"] == pytest.approx((6 * RIGHT + 4 * WRONG) / 10, rel=1e-5)


def test_background_empty_masks_score_one_or_nothing() -> None:
    truth = torch.cat([mask([0, 0]), mask([0, 1]), mask([0, 0])])
    predicted = torch.cat([mask([0, 0]), mask([0, 1]), mask([1, 1])])
    figures, images = scored(Segmentation(), truth, predicted)
    assert column(images, "dice") == pytest.approx([1, 1, 0], abs=1e-5)
    assert figures["dice"] == pytest.approx(np.mean(column(images, "dice")), abs=1e-6)
    _, images = scored(Segmentation(empty_mask="missing"), truth, predicted)
    assert column(images, "dice") == pytest.approx([math.nan, 1, 0], nan_ok=True)


def test_an_image_without_a_pixel_to_score_has_none() -> None:
    truth, predicted = torch.cat([mask([255, 255]), mask([1, 1])]), mask([0, 0]).repeat(2, 1, 1)
    _, images = scored(Segmentation(), truth, predicted)
    for metric in images.metrics:
        first, second = column(images, metric)
        assert math.isnan(first)
        assert math.isfinite(second)


def test_scores_of_single_classes_are_there_where_the_class_is() -> None:
    truth = torch.cat([mask([1, 1, 0, 0]), mask([2, 2, 0, 0])])
    predicted = torch.cat([mask([1, 0, 0, 0]), mask([1, 0, 0, 0])])
    figures, images = scored(Segmentation(classes=THREE), truth, predicted)
    assert images.metrics == (
        "loss", "dice", "dice_cat", "dice_dog", "iou", "iou_cat", "iou_dog",
    )  # fmt: skip
    assert column(images, "dice_cat") == pytest.approx([2 / 3, 0])
    assert column(images, "dice_dog") == pytest.approx([math.nan, 0], nan_ok=True)
    assert column(images, "dice") == pytest.approx([2 / 3, 0])
    assert images.means == set(images.metrics)
    assert figures["dice_cat"] == pytest.approx(1 / 3)


def test_scores_of_a_whole_split_are_no_means_over_images() -> None:
    truth, predicted = torch.cat([mask([0, 1]), mask([1, 1])]), mask([0, 1]).repeat(2, 1, 1)
    _, images = scored(Segmentation(average="split"), truth, predicted)
    assert column(images, "dice") == pytest.approx([1, 2 / 3], abs=1e-5)
    assert images.means == {"loss"}
    _, images = scored(Segmentation(average="both"), truth, predicted)
    assert images.metrics == ("loss", "dice", "iou")
    assert images.means == {"loss", "dice", "iou"}


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "cross_entropy+dice", "focal"])
@pytest.mark.parametrize("classes", [("background", "cat"), THREE])
def test_an_image_s_loss_is_that_of_a_split_of_it_alone(
    loss: str, classes: tuple[str, ...]
) -> None:
    torch.manual_seed(0)
    scores = torch.randn(5, len(classes), 6, 7)
    truth = torch.randint(len(classes), (5, 6, 7), dtype=torch.uint8)
    truth[1] = 0
    truth[2, :2] = 255
    truth[3] = 255
    task = Segmentation(classes=classes, loss=loss)
    whole, alone = task.meter(), []
    whole.update(Fixed(scores), batch(truth))
    whole.compute()
    for index in range(5):
        meter = task.meter()
        meter.update(Fixed(scores[index : index + 1]), batch(truth[index : index + 1]))
        alone.append(meter.compute()["loss"])
    expected = [math.nan if value is None else value for value in alone]
    assert column(whole.by_image(), "loss") == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert math.isnan(expected[3])


@pytest.mark.parametrize("changes", [{}, {"empty_mask": "missing"}, {"classes": THREE}])
def test_figures_of_a_split_are_means_of_its_images(changes: dict[str, Any]) -> None:
    torch.manual_seed(1)
    task = Segmentation(**changes)
    truth = torch.randint(len(task.classes), (9, 8, 8), dtype=torch.uint8)
    truth[4:6] = 0
    meter, model = task.meter(), Played(torch.randn(9, len(task.classes), 8, 8))
    for part in truth.split(4):
        meter.update(model, batch(part))
    check_means(meter)


def test_a_classification_is_right_or_wrong() -> None:
    classes = tuple("abcdef")
    scores = torch.tensor([[9.0, 0, 1, 2, 3, 4], [9, 0, 1, 2, 3, 4], [9, 0, 1, 2, 3, 4]])
    meter = Classification(classes=classes).meter()
    meter.update(
        Fixed(scores), Batch(torch.zeros(3, 3, 2, 2), torch.tensor([0, 5, 1]), torch.arange(3))
    )
    check_means(meter)
    images = meter.by_image()
    assert images.metrics == ("loss", "top1", "top5")
    assert column(images, "top1") == [1, 0, 0]
    assert column(images, "top5") == [1, 1, 0]


def test_diffusion_has_each_image_s_loss_in_its_own_quarter() -> None:
    task = Diffusion()
    samples = Batch(torch.randn(6, 3, 4, 4), None, torch.arange(6))
    meter = task.meter()

    class Zero(torch.nn.Module):
        def forward(self, images: torch.Tensor, _time: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(images)

    meter.update(Zero(), samples)
    check_means(meter)
    images = meter.by_image()
    noise, time = task.fixed_noise_and_steps(samples)
    assert column(images, "loss") == pytest.approx(noise.square().mean((1, 2, 3)).tolist())
    for index, step in enumerate(time.tolist()):
        own = DIFFUSION_QUARTERS[step * 4 // 1000]
        known = [m for m in DIFFUSION_QUARTERS if not math.isnan(column(images, m)[index])]
        assert known == [own]


def test_a_diverged_model_has_no_loss_and_a_great_one_is_infinite() -> None:
    meter = Segmentation().meter()
    meter.update(Fixed(torch.full((1, 2, 1, 2), math.nan)), batch(mask([0, 1])))
    meter.compute()
    assert math.isnan(column(meter.by_image(), "loss")[0])
    huge = ImageScores.of({"loss": np.array([1e300])}, {"loss"})
    assert math.isinf(huge.values[0, 0])
