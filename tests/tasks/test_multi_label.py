"""Several labels for every image: losses, scores, baselines; equal to other packages'."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional import classification as tm

from bench.errors import SpecError
from bench.spec.schema import TrialSettings
from bench.tasks.base import Batch, Samples
from bench.tasks.label_scores import average_precisions
from bench.tasks.loss_settings import CustomLoss
from bench.tasks.metric_settings import AUROCSettings, CalibrationErrorSettings, CustomMetric
from bench.tasks.multi_label import MultiLabel
from bench.tasks.multi_label_baseline import best_constants
from bench.tasks.multi_label_loss import (
    BinaryCrossEntropy,
    ForeignMultiLabelLoss,
    multi_label_loss,
    positive_weights,
)
from bench.testing import loss_conforms

NAMES = ("cat", "dog", "bird", "fish")
test_torchs_loss = loss_conforms("torch.nn:MultiLabelSoftMarginLoss", several_labels=True)
test_bce = loss_conforms("torch.nn:BCEWithLogitsLoss", several_labels=True)


class Fixed(nn.Module):
    """Gives known scores, whatever it sees: those of the images' numbers."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores[images[:, 0, 0, 0].long()]


def made(count: int = 40, missing: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, len(NAMES), generator=noise).mul(2).round(decimals=1)  # with ties
    labels = (torch.rand(count, len(NAMES), generator=noise) < 0.35).long()
    labels[torch.rand(labels.shape, generator=noise) < missing] = -1
    return scores, labels


def batches(labels: Tensor, size: int) -> list[Batch]:
    numbers = torch.arange(len(labels))
    images = numbers.view(-1, 1, 1, 1).float().expand(-1, 3, 2, 2)
    parts = (torch.split(part, size) for part in (images, labels, numbers))
    return [Batch(*fields) for fields in zip(*parts, strict=True)]


def measured(
    scores: Tensor, labels: Tensor, size: int = 7, **settings: Any
) -> tuple[dict[str, float | None], Any]:
    task = MultiLabel(classes=NAMES, **settings)
    meter, model = task.meter(), Fixed(scores)
    with torch.inference_mode():
        for batch in batches(labels, size):
            meter.update(model, batch)
    return meter.compute(), meter.by_image()


EXTRA = (AUROCSettings(), CalibrationErrorSettings(bins=10))


def test_scores_are_those_of_scikit_learn_and_torchmetrics() -> None:
    scores, labels = made()
    found, _ = measured(scores, labels, metrics=EXTRA)
    shares, truth = scores.double().sigmoid().numpy(), labels.numpy()
    predicted = (shares > 0.5).astype(int)
    assert found["map"] == pytest.approx(sk.average_precision_score(truth, shares), abs=1e-9)
    assert found["f1"] == pytest.approx(sk.f1_score(truth, predicted, average="macro"), abs=1e-9)
    assert found["micro_f1"] == pytest.approx(sk.f1_score(truth, predicted, average="micro"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = sk.f1_score(truth, predicted, average="samples", zero_division=np.nan)
    assert found["samples_f1"] == pytest.approx(samples, abs=1e-9)
    assert found["subset_accuracy"] == pytest.approx(sk.accuracy_score(truth, predicted))
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(truth, shares), abs=1e-6)
    assert found["auroc_bird"] == pytest.approx(sk.roc_auc_score(truth[:, 2], shares[:, 2]))
    own = sk.average_precision_score(truth[:, 1], shares[:, 1])
    assert found["ap_dog"] == pytest.approx(own, abs=1e-9)
    each = [
        float(tm.binary_calibration_error(scores.sigmoid()[:, k], labels[:, k], n_bins=10))
        for k in range(4)
    ]
    assert found["calibration_error"] == pytest.approx(np.mean(each), abs=1e-6)
    assert found["calibration_error_fish"] == pytest.approx(each[3], abs=1e-6)
    peer = tm.multilabel_average_precision(scores.sigmoid(), labels, 4)
    assert found["map"] == pytest.approx(float(peer), abs=1e-6)
    loss = F.binary_cross_entropy_with_logits(scores, labels.float())
    assert found["loss"] == pytest.approx(float(loss), abs=1e-6)
    assert (found["scored_classes"], found["scored_images"]) == (
        4,
        np.isfinite(f1s(labels, predicted)).sum(),
    )


def f1s(labels: Tensor, predicted: Any) -> Any:
    truth = labels.numpy()
    both, either = (truth * predicted).sum(1), truth.sum(1) + predicted.sum(1)
    with np.errstate(invalid="ignore"):
        return 2 * both / either


def test_missing_labels_are_in_no_score_and_no_loss() -> None:
    scores, labels = made(60, missing=0.3)
    found, images = measured(scores, labels, metrics=EXTRA)
    known = labels >= 0
    loss = F.binary_cross_entropy_with_logits(scores[known], labels[known].float())
    assert found["loss"] == pytest.approx(float(loss), abs=1e-6)
    shares = scores.double().sigmoid()
    each = [
        sk.average_precision_score(labels[known[:, k], k], shares[known[:, k], k]) for k in range(4)
    ]
    assert found["map"] == pytest.approx(np.mean(each), abs=1e-9)
    areas = [sk.roc_auc_score(labels[known[:, k], k], shares[known[:, k], k]) for k in range(4)]
    assert found["auroc"] == pytest.approx(np.mean(areas), abs=1e-6)
    flipped = labels.clone()
    flipped[0] = -1
    assert np.isnan(measured(scores, flipped)[1].values[0]).all()
    assert "loss" not in images.means  # images have unequal numbers of known labels
    assert {"samples_f1", "subset_accuracy"} <= images.means


@pytest.mark.parametrize("size", [1, 13, 60])
def test_no_figure_depends_on_the_batch_size(size: int) -> None:
    scores, labels = made(60, missing=0.2)
    whole, part = (measured(scores, labels, n, metrics=EXTRA)[0] for n in (60, size))
    assert whole == pytest.approx(part, nan_ok=True)


def test_means_of_images_are_the_splits() -> None:
    found, images = measured(*made())
    assert images.means == {"loss", "samples_f1", "subset_accuracy"}
    for name in images.means:
        assert found[name] == pytest.approx(np.nanmean(images.column(name)), abs=1e-6)


def test_a_label_that_no_image_has_gets_no_score() -> None:
    scores, labels = made()
    labels[:, 2] = 0
    found, _ = measured(scores, labels, metrics=EXTRA)
    assert found["ap_bird"] is None
    assert found["auroc_bird"] is None
    assert found["calibration_error_bird"] is not None
    others = [k for k in range(4) if k != 2]
    truth, predicted = labels[:, others], (scores > 0)[:, others]
    macro = sk.f1_score(truth, predicted, average="macro")
    assert found["f1"] == pytest.approx(macro, abs=1e-9)
    assert found["scored_classes"] == 3
    nothing, _ = measured(scores, torch.zeros_like(labels), metrics=EXTRA)
    assert [nothing[name] for name in ("map", "f1", "micro_f1", "auroc")] == [None] * 4
    assert nothing["subset_accuracy"] is not None


def test_a_diverged_model_has_nan_and_not_missing() -> None:
    scores, labels = made()
    scores[3] = math.nan
    found, _ = measured(scores, labels, metrics=EXTRA)
    assert math.isnan(found["map"] or 0)
    assert math.isnan(found["loss"] or 0)
    assert math.isnan(found["auroc"] or 0)


def test_average_precision_by_hand() -> None:
    shares = torch.tensor([[0.9], [0.8], [0.8], [0.1]])
    labels = torch.tensor([[1], [0], [1], [1]])
    # thresholds 0.9, 0.8, 0.1: precision 1, 2/3, 3/4 at gains of a third each
    expected = (1 + 2 / 3 + 3 / 4) / 3
    assert float(average_precisions(shares, labels)) == pytest.approx(expected)


def test_weights_and_smoothing_of_the_loss() -> None:
    scores, labels = made()
    weights = positive_weights(labels)
    there = labels.sum(0)
    assert weights.tolist() == pytest.approx(((40 - there) / there).tolist())
    task = MultiLabel(classes=NAMES)
    task.weight_classes(weights)
    (batch,) = batches(labels, 40)
    expected = F.binary_cross_entropy_with_logits(scores, labels.float(), pos_weight=weights)
    assert torch.allclose(task.loss(Fixed(scores), batch), expected)
    smooth = BinaryCrossEntropy(label_smoothing=0.1)
    wanted = labels.float() * 0.9 + 0.05
    assert torch.allclose(
        smooth(scores, labels), F.binary_cross_entropy_with_logits(scores, wanted)
    )
    assert positive_weights(torch.tensor([[1, 0], [1, 0]])).tolist() == [1, 1]


def test_focal_loss_is_torchvisions() -> None:
    from torchvision.ops import sigmoid_focal_loss

    scores, labels = made()
    peer = sigmoid_focal_loss(scores, labels.float(), alpha=-1, gamma=2, reduction="mean")
    assert torch.allclose(multi_label_loss("focal")(scores, labels), peer, atol=1e-6)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "focal"])
def test_parts_of_a_batch_add_up(loss: Any) -> None:
    scores, labels = made(20, missing=0.3)
    task = MultiLabel(classes=NAMES, loss=loss)
    (batch,) = batches(labels, 20)
    whole, parts = Fixed(scores), Fixed(scores)
    task.loss(whole, batch).backward()
    for part in task.loss_parts(batch, 6):
        part(parts).backward()
    assert torch.allclose(whole.scores.grad, parts.scores.grad, atol=1e-7)  # type: ignore[arg-type]


def test_the_best_constants() -> None:
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0]])
    found = best_constants(labels, ("a", "b", "c"))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25) + math.log(0.5)) / 3
    assert found.metrics["loss"] == pytest.approx(entropy)
    assert found.metrics["map"] == pytest.approx((0.75 + 0.5) / 2)  # c is nowhere
    assert found.metrics["f1"] == pytest.approx((2 * 0.75 / 1.75 + 2 * 0.5 / 1.5) / 2)
    assert found.metrics["subset_accuracy"] == 0.5
    assert found.predictions["subset_accuracy"] == "a"
    assert found.predictions["f1"] == "a and b"
    assert found.metrics["micro_f1"] == pytest.approx(2 * 5 / (5 + 8))
    assert "ap_c" not in found.metrics


def test_no_constant_beats_the_baseline() -> None:
    _, labels = made(30, missing=0.1)
    best = best_constants(labels, NAMES).metrics
    for code in range(16):
        row = torch.tensor([code >> k & 1 for k in range(4)], dtype=torch.bool)
        found, _ = measured(torch.where(row, 9.0, -9.0).expand(30, 4).clone(), labels)
        for name in ("map", "f1", "micro_f1", "samples_f1", "subset_accuracy"):
            assert (found[name] or 0) <= best[name] + 1e-9


def test_predictions_names_and_pictures() -> None:
    scores, labels = made(4)
    task = MultiLabel(classes=NAMES, threshold=0.7)
    (batch,) = batches(labels, 4)
    chosen = scores.sigmoid() > 0.7
    assert torch.equal(task.predict(Fixed(scores), batch.images), chosen.long())
    first = [name for name, own in zip(NAMES, chosen[0], strict=True) if own]
    assert task.names_of(scores[0].sigmoid()) == first
    images = np.zeros((4, 8, 8, 3), np.uint8)
    made_of = task.pictures(Fixed(scores), Samples(("a", "b", "c", "d"), images, batch))
    assert made_of["predictions"].ndim == 3


def test_means_of_scores_are_means_of_probabilities() -> None:
    one, other = made()[0], made(seed=1)[0]
    task = MultiLabel(classes=NAMES)
    found = task.mean_scores([one, other]).sigmoid()
    assert torch.allclose(found.float(), (one.sigmoid() + other.sigmoid()) / 2, atol=1e-6)


def test_a_loss_of_ones_own() -> None:
    scores, labels = made(missing=0.2)
    settings = CustomLoss.model_validate({"target": "torch.nn:BCEWithLogitsLoss"})
    loss = ForeignMultiLabelLoss(settings)
    known = labels >= 0
    whole = F.binary_cross_entropy_with_logits(
        scores, labels.clamp(min=0).float(), reduction="none"
    )
    assert float(loss(scores, labels)) == pytest.approx(
        float((whole * known).sum() / known.numel()), abs=1e-6
    )
    found, images = measured(scores, labels, loss=settings)
    assert "loss" in images.means
    assert found["loss"] == pytest.approx(np.nanmean(images.column("loss")), abs=1e-6)


def test_metrics_of_other_packages() -> None:
    scores, labels = made(missing=0.2)
    settings = [
        CustomMetric.model_validate({"target": f"torchmetrics.classification:{name}", "mode": mode})
        for name, mode in (("MultilabelF1Score", "max"), ("MultilabelHammingDistance", "min"))
    ]
    found, _ = measured(scores, labels, metrics=tuple(settings))
    peer = tm.multilabel_f1_score(scores.sigmoid(), labels, 4, ignore_index=-1)
    assert found["multilabel_f1_score"] == pytest.approx(float(peer), abs=1e-6)
    distance = tm.multilabel_hamming_distance(scores.sigmoid(), labels, 4, ignore_index=-1)
    assert found["multilabel_hamming_distance"] == pytest.approx(float(distance), abs=1e-6)


SPEC: dict[str, Any] = {
    "task": "multi_label",
    "data": {
        "name": "class_folder",
        "root": "x",
        "classes": ["a", "b"],
        "table": {"file": "t.csv", "image": "image", "label": ["a", "b"]},
    },
    "model": {"name": "resnet", "depth": 18},
}


def test_what_a_spec_says() -> None:
    found = TrialSettings.model_validate(SPEC)
    assert found.train.loss == "binary_cross_entropy"
    assert (found.select.metric, found.select.mode) == ("val/map", "max")
    names = ["loss", "map", "f1", "micro_f1", "samples_f1", "subset_accuracy", "ap_a", "ap_b"]
    assert list(found.metrics) == names


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"task": "classification"}, "use task: multi_label"),
        ({"data": {"name": "shapes", "kinds": 2}}, "use task: classification"),
        ({"train": {"loss": "cross_entropy"}}, "is not a loss of multi_label"),
        ({"model": {"name": "unet"}}, "is not a model for multi_label"),
        ({"task": {"name": "multi_label", "metrics": ["f1"]}}, "recorded anyhow"),
        ({"task": {"name": "multi_label", "metrics": ["hd95"]}}, "auroc, calibration_error"),
    ],
)
def test_what_does_not_go_together(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TrialSettings.model_validate(SPEC | changes)


def test_an_unknown_loss() -> None:
    with pytest.raises(ValueError, match="no loss 'dice'"):
        multi_label_loss("dice")
    with pytest.raises(SpecError, match="no loss here weights classes"):
        MultiLabel(
            classes=NAMES, loss=CustomLoss.model_validate({"target": "torch.nn:BCEWithLogitsLoss"})
        ).weight_classes(torch.ones(4))
