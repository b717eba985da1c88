"""Accuracies by hand, and a training that learns."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bench.inference.evaluate import evaluate
from bench.inference.predict import predict_files
from bench.plan.expand import trial_config
from bench.plan.trial import Trial
from bench.record.files import write_text
from bench.record.store import Store
from bench.tasks.base import Batch, Samples
from bench.tasks.classification import Classification, ranks
from bench.tasks.palette import MISSED
from bench.tasks.pictures import RIGHT, Caption, captioned, confusion_matrix
from bench.tasks.settings import ClassificationSettings
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial

SEVEN = tuple("abcdefg")
SCORES = torch.tensor(
    [
        [9.0, 1, 1, 1, 1, 1, 1],  # a first
        [7.0, 6, 5, 4, 3, 2, 1],  # a, b, c, …
        [7.0, 6, 5, 4, 3, 2, 1],
    ]
)


def batch(*labels: int) -> Batch:
    target = torch.tensor(labels)
    return Batch(torch.zeros(len(labels), 3, 4, 4), target, torch.arange(len(labels)))


class Fixed(nn.Module):
    """Gives the same scores for any input."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scores[: len(images)]


class ByColour(nn.Module):
    """Sees nothing but a picture's mean colours, in four quarters."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * in_channels, out_channels)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(images)
        return scores


def metrics(task: Classification, scores: torch.Tensor, *labels: int) -> dict[str, float]:
    meter = task.meter()
    for i, label in enumerate(labels):  # a batch each: images count, not batches
        meter.update(Fixed(scores[i : i + 1]), batch(label))
    return meter.compute()


# Metrics


def test_ranks_count_what_comes_before() -> None:
    assert ranks(SCORES, torch.tensor([0, 2, 6])).tolist() == [0, 2, 6]
    equal = torch.zeros(2, 3)
    assert ranks(equal, torch.tensor([0, 2])).tolist() == [0, 2]
    assert equal.argmax(1).tolist() == [0, 0]  # the same choice among equals


def test_scores_that_are_no_numbers_are_never_right() -> None:
    broken = torch.tensor([[math.nan, math.nan], [math.nan, 0.0], [0.0, math.nan]])
    assert (ranks(broken, torch.tensor([0, 1, 0])) >= 1).all()


def test_accuracies_by_hand() -> None:
    # ranks 0, 4, 5: one of three is first, two are among five
    found = metrics(Classification(classes=SEVEN), SCORES, 0, 4, 5)
    assert list(found) == ["loss", "top1", "top5"]
    assert found["top1"] == pytest.approx(1 / 3)
    assert found["top5"] == pytest.approx(2 / 3)
    row = sum(math.exp(s) for s in range(1, 8))
    losses = [math.log(1 + 6 * math.exp(-8)), math.log(row) - 3, math.log(row) - 2]
    assert found["loss"] == pytest.approx(sum(losses) / 3, rel=1e-5)


@pytest.mark.parametrize(("classes", "names"), [(2, 2), (5, 2), (6, 3)])
def test_metrics_are_those_the_settings_promise(classes: int, names: int) -> None:
    labels, settings = SEVEN[:classes], ClassificationSettings()
    found = metrics(Classification(classes=labels), torch.zeros(1, classes), 1)
    assert list(found) == list(settings.metric_modes(labels))
    assert len(found) == names
    assert settings.default_metric() in found
    assert (settings.out_channels(labels), settings.output_shape(labels, (64, 64))) == (
        classes,
        (1, classes),
    )


def test_smoothing_is_trained_with_and_not_validated_with() -> None:
    scores, smooth = torch.tensor([[2.0, 0.0]]), 0.2
    log = [-math.log(1 + math.exp(-2)), -math.log(1 + math.exp(2))]
    task = Classification(classes=("a", "b"), label_smoothing=smooth)
    # the label has 0.8 + 0.2/2, the other class 0.2/2
    assert task.loss(Fixed(scores), batch(0)).item() == pytest.approx(-0.9 * log[0] - 0.1 * log[1])
    assert metrics(task, scores, 0)["loss"] == pytest.approx(-log[0])


def test_baseline_is_the_most_frequent_classes() -> None:
    labels = [6] * 4 + [0] * 3 + [1, 2, 3, 4, 5]
    found = Classification(classes=SEVEN).baseline([batch(*labels[:5]), batch(*labels[5:])])
    shares = [4 / 12, 3 / 12, *[1 / 12] * 5]
    entropy = -sum(share * math.log(share) for share in shares)
    assert found.metrics == {
        "top1": pytest.approx(4 / 12),
        "top5": pytest.approx(10 / 12),
        "loss": pytest.approx(entropy),
    }
    assert found.predictions["top1"] == SEVEN[6]
    two = Classification(classes=("a", "b")).baseline([batch(0, 1, 1)])
    assert two.metrics["top1"] == pytest.approx(2 / 3)
    assert two.predictions["top1"] == "b"


def test_predictions() -> None:
    task = Classification(classes=SEVEN)
    images = torch.zeros(3, 3, 4, 4)
    assert task.predict(Fixed(SCORES.flip(1)), images).tolist() == [6, 6, 6]
    chances = task.probabilities(Fixed(SCORES), images)
    assert chances.sum(1).tolist() == pytest.approx([1, 1, 1])
    assert chances[0, 0].item() == pytest.approx(1 / (1 + 6 * math.exp(-8)))


def test_another_loss_is_refused() -> None:
    with pytest.raises(ValueError, match="no loss 'dice'"):
        Classification(classes=SEVEN, loss="dice")


# Pictures


def test_confusion_counts_rows_as_truth() -> None:
    task = Classification(classes=("a", "b", "c"))
    scores = torch.eye(3)[[0, 1, 1, 0]]
    counts = task.confusion(Fixed(scores), [batch(0, 1, 0, 2), batch(0, 1, 1, 2)])
    assert counts.tolist() == [[2, 1, 0], [0, 3, 0], [2, 0, 0]]
    final_evaluation = task.final_evaluation(Fixed(scores), [], [batch(0, 1, 0, 2)])
    assert final_evaluation.facts == {}
    assert list(final_evaluation.pictures) == ["confusion"]


def test_confusion_picture_shades_shares_of_rows() -> None:
    counts = np.zeros((37, 37), np.int64)
    counts[0, 0], counts[0, 5], counts[5, 5] = 3, 1, 7
    names = [f"class{i}" for i in range(37)]
    picture = confusion_matrix(counts, names)
    assert np.array_equal(picture, confusion_matrix(counts, names))
    full = (picture == RIGHT).all(axis=2)  # the row of the second class
    assert 40 * 40 < full.sum() < 56 * 56
    shaded = (255 + 0.75 * (RIGHT.astype(float) - 255) + 0.5).astype(int)
    assert (picture == shaded).all(axis=2).sum() > 40 * 40
    # only the two classes that occur are there
    assert picture.shape[1] < 300


def test_confusion_picture_of_very_many_classes_stays_small() -> None:
    counts = np.eye(300, dtype=np.int64) * 5
    counts[7, 8] = 2
    picture = confusion_matrix(counts, [f"n{i}" for i in range(300)])
    assert max(picture.shape) < 2000


def test_captions_tell_right_from_wrong() -> None:
    images = np.full((2, 64, 64, 3), 200, np.uint8)
    long = "a_name_that_is_far_too_long_for_the_width_of_its_picture"
    picture = captioned(images, [Caption("cat", "cat", True), Caption("cat", long, False)])
    assert picture.shape[1] == 2 * 192 + 2
    assert (picture[:192, :192] == 200).all()
    below = picture[192:]
    assert (below[:, :192] == RIGHT).all(axis=2).any()
    assert (below[:, 194:] == MISSED).all(axis=2).any()
    assert not (below[:, 194:] == RIGHT).all(axis=2).any()


def test_pictures_are_the_same_every_time_and_survive_any_name() -> None:
    task = Classification(classes=("ä", "猫"))
    samples = Samples(("x", "y"), np.zeros((2, 8, 8, 3), np.uint8), batch(0, 1))
    first, again = (task.pictures(Fixed(torch.eye(2)), samples) for _ in range(2))
    assert list(first) == ["predictions"]
    assert np.array_equal(first["predictions"], again["predictions"])
    confusion_matrix(np.eye(2, dtype=np.int64), task.classes)


# From a trial's settings to its files


DATA = {"name": "shapes", "image_size": 16, "kinds": 6, "train": 60, "val": 12, "test": 12,
        "difficulty": 0.0}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trial, MemoryRecorder]:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        trial = make_trial(
            task={"name": "classification"},
            data=DATA,
            model={"target": f"{__name__}:ByColour"},
            train={"epochs": 30, "batch_size": 12, "lr": 0.05, "label_smoothing": 0.1},
            select={"metric": "val/top1", "mode": "max"},
        )
        trial_folder = folder / "results" / "made" / trial.id
        trial_folder.mkdir(parents=True)
        recorder = MemoryRecorder(trial_folder)
        train_trial(trial, recorder, Silent())
    return folder, trial, recorder


def test_a_training_learns_and_keeps_its_pictures(
    trained: tuple[Path, Trial, MemoryRecorder],
) -> None:
    _, _, recorder = trained
    assert recorder.facts["test_top1"] > recorder.facts["baseline_top1"] == pytest.approx(1 / 6)
    assert recorder.facts["baseline_val_top5"] == pytest.approx(5 / 6)
    assert set(recorder.pictures) == {"predictions", "confusion"}
    losses = [row["train/loss"] for row in recorder.rows]
    assert losses[-1] < 0.9 * losses[0]
    assert list(recorder.rows[0])[2:5] == ["val/loss", "val/top1", "val/top5"]


def test_evaluate_and_predict(
    trained: tuple[Path, Trial, MemoryRecorder],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, trial, recorder = trained
    write_text(recorder.folder / "config.yaml", json.dumps(trial_config(trial)))
    store = Store(folder / "results")
    assert (
        evaluate(store, trial.id, "test", "cpu", trust_code=True)["top1"]
        == recorder.facts["test_top1"]
    )
    for seen, said in ((recorder.facts["data_fingerprint"], False), ("another", True)):
        write_text(recorder.folder / "summary.json", json.dumps({"data_fingerprint": seen}))
        evaluate(store, trial.id, "test", "cpu", trust_code=True)
        assert ("was trained on other data" in capsys.readouterr().err) == said
    for name in ("one", "two"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / f"{name}.png")
    images = [tmp_path / "one.png", tmp_path / "two.png"]
    found = predict_files(store, trial.id, images, tmp_path / "out", "cpu", trust_code=True)
    (written,) = found.written
    with written.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "label", "probability"]
    assert [row["file"] for row in rows] == [str(path) for path in images]
    assert rows[0]["label"] == rows[1]["label"] in trial.settings.classes
    assert 1 / 6 < float(rows[0]["probability"]) <= 1
