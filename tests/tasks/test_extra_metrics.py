"""Further metrics: equal to the libraries' own, and missing where they are not defined."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch import Tensor, nn

from bench.errors import DataError, SpecError
from bench.labels import IGNORE_LABEL
from bench.tasks.base import Batch
from bench.tasks.classification import Classification
from bench.tasks.metric_set import require
from bench.tasks.metric_settings import METRICS, CLDiceSettings
from bench.tasks.segmentation import Segmentation
from bench.tasks.settings import ClassificationSettings, SegmentationSettings

monai_metrics = pytest.importorskip("monai.metrics")
torchmetrics = pytest.importorskip("torchmetrics")
pytest.importorskip("skimage")

THREE = ("background", "cat", "dog")
SEVEN = tuple("abcdefg")


def asked(task: type[Any], *metrics: Any) -> tuple[Any, ...]:
    found: tuple[Any, ...] = task.model_validate({"metrics": list(metrics)}).metrics
    return found


def one_hot(labels: Tensor, classes: int) -> Tensor:
    return nn.functional.one_hot(labels.long(), classes).permute(0, 3, 1, 2)


def blobs(count: int = 5, classes: int = 3, seed: int = 0) -> Tensor:
    """(N, 24, 24) labels with large regions."""
    noise = torch.Generator().manual_seed(seed)
    small = torch.randn(count, classes, 4, 4, generator=noise)
    large = nn.functional.interpolate(small, size=(24, 24), mode="bicubic")
    return large.argmax(1).to(torch.uint8)


def figures(task: Any, scores: Tensor, target: Tensor, size: int = 2) -> tuple[Any, Any]:
    """Of a split and of its images, given in batches, for scores that the images are."""
    meter = task.meter(final=True)
    for images, targets in zip(torch.split(scores, size), torch.split(target, size), strict=True):
        meter.update(nn.Identity(), Batch(images, targets, torch.arange(len(images))))
    return meter.compute(), meter.by_image()


def segmented(
    predicted: Tensor, truth: Tensor, *metrics: Any, classes: tuple[str, ...] = THREE
) -> tuple[dict[str, float | None], Any]:
    task = Segmentation(classes=classes, metrics=asked(SegmentationSettings, *metrics))
    return figures(task, one_hot(predicted, len(classes)).float(), truth)


def known(values: Any) -> np.ndarray:
    found = np.asarray(values, np.float64)
    return np.where(np.isfinite(found), found, np.nan)


def mean_of(values: np.ndarray) -> float:
    """Over an image's classes, then over images."""
    rows = [row[~np.isnan(row)].mean() for row in values if not np.isnan(row).all()]
    return float(np.mean(rows))


def test_hd95_and_nsd_are_monais() -> None:
    predicted, truth = blobs(seed=1), blobs(seed=2)
    found, images = segmented(predicted, truth, "hd95", {"name": "nsd", "tolerance": 2})
    pair = one_hot(predicted, 3), one_hot(truth, 3)
    hd95 = known(monai_metrics.compute_hausdorff_distance(*pair, percentile=95))
    nsd = known(monai_metrics.compute_surface_dice(*pair, class_thresholds=[2.0, 2.0]))
    present = (pair[1][:, 1:].flatten(2).any(2) | pair[0][:, 1:].flatten(2).any(2)).numpy()
    nsd = np.where(present, nsd, np.nan)
    for name, expected in (("hd95", hd95), ("nsd", nsd)):
        assert found[name] == pytest.approx(mean_of(expected), abs=1e-6)
        assert found[f"{name}_dog"] == pytest.approx(np.nanmean(expected[:, 1]), abs=1e-6)
        np.testing.assert_allclose(images.column(f"{name}_cat"), expected[:, 0], atol=1e-5)
        assert {name, f"{name}_cat"} <= images.means
    assert list(found)[-1] in ("scored_images", "scored_pairs")


def test_hd95_by_hand_and_missing_where_a_mask_is_empty() -> None:
    truth, predicted = torch.zeros(3, 9, 9), torch.zeros(3, 9, 9)
    truth[0, 2, 2] = predicted[0, 2, 6] = 1  # four pixels apart
    truth[1, 2, 2] = 1  # nothing predicted
    predicted[2, 2, 2] = 1  # nothing there
    found, images = segmented(
        predicted, truth.to(torch.uint8), "hd95", "nsd", classes=("background", "cat")
    )
    assert found["hd95"] == pytest.approx(4)
    np.testing.assert_allclose(images.column("hd95"), [4, np.nan, np.nan])
    assert found["hd95_missing"] == 2
    np.testing.assert_allclose(images.column("nsd"), [0, 0, 0])
    nothing = torch.zeros(1, 9, 9)
    found, images = segmented(
        nothing, nothing.to(torch.uint8), "hd95", "nsd", "cldice", classes=("a", "b")
    )
    assert [found[name] for name in ("hd95", "nsd", "cldice")] == [None] * 3
    assert np.isnan(images.column("hd95")).all()
    assert found["hd95_missing"] == 0


def test_pairs_without_a_value_are_counted() -> None:
    truth, predicted = torch.zeros(4, 9, 9), torch.zeros(4, 9, 9)
    truth[0, :2] = predicted[0, :2] = 1
    truth[1, :2] = 2  # not predicted
    predicted[2, :2] = 2  # not there
    found, _ = segmented(predicted, truth.to(torch.uint8), "hd95", "precision")
    assert found["hd95_missing"] == 2  # the last image has neither mask nor prediction
    assert found["precision_missing"] == 1  # nothing predicted
    modes = SegmentationSettings.model_validate({"metrics": ["hd95", "recall"]})
    names = modes.metric_modes(("background", "cat"))
    assert names["hd95_missing"] == "min"
    assert "recall_missing" not in names
    assert modes.end_metrics() == {"hd95", "hd95_missing"}


def test_cl_dice_of_broken_tubes_by_hand() -> None:
    truth = torch.zeros(1, 9, 20, dtype=torch.uint8)
    truth[0, 3:6, 2:18] = 1
    predicted = truth.clone()
    assert segmented(predicted, truth, "cldice", classes=("a", "b"))[0]["cldice"] == 1
    predicted[0, :, 8:12] = 0  # the tube is broken: its line is in the mask, the mask's is not
    value = segmented(predicted, truth, "cldice", classes=("a", "b"))[0]["cldice"]
    assert value is not None
    assert 0.7 < value < 0.95
    line = torch.zeros(1, 9, 20, dtype=torch.uint8)
    line[0, 4, 2:18] = 1
    half = line.clone()
    half[0, 4, 10:] = 0
    # of 16 pixels of the line 8 are found, and all that is found is in it: 2 · 1 · 0.5 / 1.5
    assert segmented(half, line, "cldice", classes=("a", "b"))[0]["cldice"] == pytest.approx(2 / 3)


def test_precision_and_recall_are_torchmetrics_of_each_image() -> None:
    from torchmetrics.functional.classification import multiclass_precision, multiclass_recall

    predicted, truth = blobs(seed=3), blobs(seed=4)
    found, images = segmented(predicted, truth, "precision", "recall")
    for name, function, shown in (
        ("precision", multiclass_precision, predicted),
        ("recall", multiclass_recall, truth),
    ):
        each = np.array(
            [
                function(p[None].long(), t[None].long(), 3, average=None).numpy()[1:]
                for p, t in zip(predicted, truth, strict=True)
            ]
        )
        there = np.array([[(s == k).any() for k in (1, 2)] for s in shown])
        expected = np.where(there, each, np.nan)
        assert found[name] == pytest.approx(mean_of(expected), abs=1e-6)
        np.testing.assert_allclose(images.column(f"{name}_dog"), expected[:, 1], atol=1e-6)


@pytest.mark.parametrize("background", [False, True])
def test_pooled_iou_is_torchmetrics_jaccard(background: bool) -> None:
    from torchmetrics.functional.classification import multiclass_jaccard_index

    predicted, truth = blobs(seed=5), blobs(seed=6)
    truth[:, :3] = IGNORE_LABEL
    found, images = segmented(predicted, truth, {"name": "miou", "background": background})
    each = multiclass_jaccard_index(
        predicted.long(), truth.long(), 3, average=None, ignore_index=IGNORE_LABEL
    )
    assert found["miou"] == pytest.approx(float(each[0 if background else 1 :].mean()), abs=1e-6)
    assert images.column("miou") is None


def test_ignored_pixels_are_in_neither_mask() -> None:
    truth, predicted = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    truth[0, 2:6, 2:6] = predicted[0, 2:6, 2:6] = 1
    predicted[0, 7, 7] = 1
    truth[0, 7] = IGNORE_LABEL
    names = ("hd95", "precision", "recall", "nsd")
    found, _ = segmented(predicted, truth.to(torch.uint8), *names, classes=("a", "b"))
    assert [found[name] for name in names] == pytest.approx([0, 1, 1, 1])


# --- classes of images


def labelled(*names: Any, classes: int = 7, n: int = 40) -> tuple[dict[str, Any], Tensor, Tensor]:
    noise = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (n,), generator=noise)
    scores = torch.randn(n, classes, generator=noise) + 1.5 * nn.functional.one_hot(labels, classes)
    task = Classification(classes=SEVEN[:classes], metrics=asked(ClassificationSettings, *names))
    return figures(task, scores, labels, size=7)[0], scores.softmax(1), labels


@pytest.mark.parametrize("classes", [2, 7])
def test_metrics_of_classes_are_scikit_learns_and_torchmetrics(classes: int) -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    names = ("auroc", "f1", "balanced_accuracy", "calibration_error")
    found, chances, labels = labelled(*names, classes=classes)
    predicted = chances.argmax(1)
    p = chances if classes > 2 else chances[:, 1]
    auroc = sklearn_metrics.roc_auc_score(labels, p, multi_class="ovr")
    assert found["auroc"] == pytest.approx(auroc, abs=1e-6)
    f1 = sklearn_metrics.f1_score(labels, predicted, average="macro")
    assert found["f1"] == pytest.approx(f1, abs=1e-6)
    balanced = sklearn_metrics.balanced_accuracy_score(labels, predicted)
    assert found["balanced_accuracy"] == pytest.approx(balanced, abs=1e-6)
    error = multiclass_calibration_error(chances, labels, classes, n_bins=15)
    assert found["calibration_error"] == pytest.approx(float(error), abs=1e-6)


def test_a_class_that_the_split_lacks_is_in_no_mean() -> None:
    scores = torch.tensor([[2.0, 1, 0], [0, 2, 1], [2, 1, 0], [0, 1, 2]])
    task = Classification(
        classes=THREE, metrics=asked(ClassificationSettings, "auroc", "balanced_accuracy")
    )
    found, _ = figures(task, scores, torch.tensor([0, 1, 0, 1]))
    assert found["balanced_accuracy"] == pytest.approx(0.75)  # 1 and 1/2
    # class 0: its images have the highest probabilities of it; class 1: one above, one tied
    assert found["auroc"] == pytest.approx((1 + 0.75) / 2)
    one, _ = figures(task, scores, torch.tensor([0, 0, 0, 0]))
    assert one["auroc"] is None


def test_a_diverged_model_has_nan() -> None:
    task = Classification(classes=THREE, metrics=asked(ClassificationSettings, "f1"))
    found, _ = figures(task, torch.full((2, 3), math.nan), torch.tensor([0, 1]))
    assert math.isnan(found["f1"])


# --- of others


def relative_area_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """A metric of one's own: (B,); NaN where the mask is empty."""
    area = (truth == 1).flatten(1).sum(1)
    return ((predicted == 1).flatten(1).sum(1) - area).abs() / area


HERE = "tests.tasks.test_extra_metrics"


def test_metrics_by_target() -> None:
    predicted, truth = blobs(seed=7), blobs(seed=8)
    truth[0][truth[0] == 1] = 0
    found, images = segmented(
        predicted,
        truth,
        {"target": "torchmetrics.classification:MulticlassCohenKappa", "mode": "max"},
        {"target": "monai.metrics:DiceMetric", "mode": "max", "include_background": False},
        {"target": f"{HERE}:relative_area_error", "mode": "min", "column": "area"},
    )
    kappa = torchmetrics.functional.classification.multiclass_cohen_kappa(
        predicted.long(), truth.long(), 3
    )
    assert found["multiclass_cohen_kappa"] == pytest.approx(float(kappa), abs=1e-6)
    dice = monai_metrics.DiceMetric(include_background=False)
    dice(one_hot(predicted, 3), one_hot(truth, 3))
    assert found["dice_metric"] == pytest.approx(float(dice.aggregate()), abs=1e-6)
    own = relative_area_error(predicted, truth).numpy()
    own = np.where(np.isfinite(own), own, np.nan)
    assert found["area"] == pytest.approx(np.nanmean(own), abs=1e-6)
    np.testing.assert_allclose(images.column("area"), own, atol=1e-6)
    assert "area" in images.means


def test_a_metric_of_probabilities_by_target() -> None:
    own = {"target": "torchmetrics.classification:MulticlassAUROC", "mode": "max", "column": "own"}
    found, _, _ = labelled("auroc", own)
    assert found["own"] == pytest.approx(found["auroc"], abs=1e-6)


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        ({"target": "torchmetrics:NoSuchMetric", "mode": "min"}, "cannot be imported"),
        ({"target": "torch.nn:Identity", "mode": "min"}, "fails on predictions"),
        ({"target": "torch:add", "mode": "min"}, "a value for each of 2 images"),
        (
            {
                "target": "torchmetrics.classification:MulticlassRecall",
                "average": None,
                "mode": "max",
            },
            "not one number",
        ),
    ],
)
def test_a_metric_that_does_not_work_is_named(metric: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says) as caught:
        segmented(blobs(2, seed=1), blobs(2, seed=2), metric)
    assert caught.value.key == "task.metrics"


def test_a_figure_outside_its_bounds_is_refused() -> None:
    own = {"target": f"{HERE}:relative_area_error", "mode": "min", "bounds": [0, 1e-9]}
    with pytest.raises(DataError, match="outside its bounds"):
        segmented(blobs(3, seed=1), blobs(3, seed=2), own)


# --- settings


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        (["auroc"], "is not a metric of segmentation"),
        (["hd95", "hd95"], "two metrics are called 'hd95'"),
        ([{"name": "hd95", "column": "dice"}], "recorded anyhow"),
        ([{"target": "a:b"}], "mode"),
    ],
)
def test_settings_are_checked(metrics: list[Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SegmentationSettings.model_validate({"metrics": metrics})


def test_modes_name_every_column() -> None:
    metrics = ["hd95", {"name": "nsd", "column": "nsd_1"}, "miou"]
    settings = SegmentationSettings.model_validate({"metrics": metrics})
    predicted, truth = blobs(seed=1), blobs(seed=2)
    found, _ = segmented(predicted, truth, *metrics)
    modes = settings.metric_modes(THREE)
    assert set(modes) == {name for name in found if not name.startswith("scored_")}
    assert (modes["hd95_cat"], modes["nsd_1_dog"], modes["miou"]) == ("min", "max", "max")
    assert settings.end_metrics() == {"hd95", "hd95_missing", "nsd_1"}


def test_every_metric_has_bounds_and_a_task() -> None:
    for name in METRICS.names():
        settings = METRICS.entry(name).settings
        assert settings.bounds[0] == 0
        assert settings.bounds[1] == (None if name == "hd95" else 1)
        assert settings.tasks <= {"segmentation", "classification", "multi_label"}


def test_metrics_of_every_epoch_are_in_validation_and_others_at_the_end() -> None:
    task = Segmentation(classes=THREE, metrics=asked(SegmentationSettings, "hd95", "precision"))
    scores, truth = one_hot(blobs(2, seed=1), 3).float(), blobs(2, seed=2)
    meter = task.meter()
    meter.update(nn.Identity(), Batch(scores, truth, torch.arange(2)))
    found = meter.compute()
    assert "precision_cat" in found
    assert "hd95" not in found


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require(CLDiceSettings())
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(SpecError, match=r"cldice needs skimage, .*pip install 'bench\[metrics\]'"):
        require(CLDiceSettings())
