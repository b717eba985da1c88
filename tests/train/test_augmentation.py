"""Pipelines of others and mixing in whole trials: the same bits, sound losses, words when slow."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench.errors import SpecError
from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.train import checkpoint
from bench.train.check_parts import check_parts
from bench.train.loop import Interrupted
from bench.train.session import train_trial
from bench.train.trial_parts import build
from tests.builders.classifier import classifier
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

OWN = "tests.augment.pipelines"
MIXED = ["hflip", {"one_of": [{"mixup": {"p": 0.5}}, {"cutmix": {"p": 0.4}}]}]
FLIP = {"target": "albumentations:HorizontalFlip"}
SEGMENTATION: dict[str, Any] = {
    "albumentations": {"target": f"{OWN}:of_albumentations"},
    "torchvision": {"target": f"{OWN}:of_torchvision"},
    "own function": {"pipeline": {"target": f"{OWN}:own_globals"}, "transforms": ["elastic"]},
    "appended": {"pipeline": FLIP, "mode": "append"},
    "cutmix": [{"cutmix": {"p": 0.5}}, {"jpeg": {}}],
}
CLASSIFICATION: dict[str, Any] = {
    "mixing": MIXED,
    "randaugment": [{"rand_augment": {}}, "mixup"],
    "trivialaugment": [{"trivial_augment": {"p": 0.5}}],
    "pipeline": {"target": f"{OWN}:of_labels"},
}
TRIALS = {name: make_trial(augment=augment) for name, augment in SEGMENTATION.items()} | {
    name: classifier(augment=augment, train={"epochs": 3, "batch_size": 5})
    for name, augment in CLASSIFICATION.items()
}


@pytest.mark.parametrize("name", TRIALS)
def test_resumed_trials_are_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    trial = TRIALS[name]
    whole, cut = (MemoryRecorder(tmp_path / part) for part in ("whole", "cut"))
    for recorder in (whole, cut):
        recorder.folder.mkdir()
    train_trial(trial, whole, Silent())
    with pytest.raises(Interrupted):
        train_trial(trial, cut, Silent(stop_after=4))
    train_trial(trial, cut, Silent())
    assert results(cut.rows) == results(whole.rows)
    a, b = (checkpoint.load(recorder.best)["model"] for recorder in (whole, cut))
    assert all(torch.equal(value, b[key]) for key, value in a.items())


@pytest.mark.parametrize("name", ["albumentations", "own function", "appended"])
def test_batches_do_not_depend_on_where_samples_rest(name: str) -> None:
    augment = SEGMENTATION[name]
    found = []
    for placement in ("device", "stream"):
        machine = {"placement": placement}
        batches = build(make_trial(augment=augment, machine=machine)).batches("train", 5)
        found.append(list(batches.training(batches.plan(1), 1)))
    assert len(found[0]) == (5 if name == "appended" else 3)
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_pipeline_reaches_the_network_and_validation_does_not() -> None:
    plain, flipped = (build(make_trial(augment=augment)) for augment in ([], FLIP | {"p": 1.0}))
    (ours,), (theirs,) = (
        list(parts.batches("train", 12).training(parts.batches("train", 12).plan(1), 1))
        for parts in (plain, flipped)
    )
    assert torch.equal(theirs.images, ours.images.flip(-1))
    assert torch.equal(theirs.target, ours.target.flip(-1))
    for one, other in zip(plain.batches("val").in_order(), flipped.batches("val").in_order(),
                          strict=True):  # fmt: skip
        assert torch.equal(one.images, other.images)


def mixed_batch(trial: Trial) -> tuple[Any, Batch]:
    parts = build(trial)
    batches = parts.batches("train", 6)
    (batch, *_) = batches.training(batches.plan(1), 1)
    return parts, batch


def test_the_loss_of_mixed_samples_is_the_cross_entropy_of_their_shares() -> None:
    parts, batch = mixed_batch(TRIALS["mixing"])
    assert batch.target is not None
    assert batch.target.shape == (6, 2)
    scores = parts.model.eval()(batch.images)
    expected = -(batch.target * scores.log_softmax(1)).sum(1).mean()
    assert torch.allclose(parts.task.loss(parts.model, batch), expected)


@pytest.mark.parametrize("weights", [None, [1.0, 3.0]])
def test_parts_of_a_mixed_batch_add_up_to_it(weights: list[float] | None) -> None:
    parts, batch = mixed_batch(TRIALS["mixing"])
    parts.model.eval()
    if weights is not None:
        parts.task.weight_classes(torch.tensor(weights))
    shares = [part(parts.model) for part in parts.task.loss_parts(batch, 4)]
    assert torch.allclose(sum(shares), parts.task.loss(parts.model, batch))


def with_loss(target: str, **more: Any) -> Trial:
    train = {"epochs": 1, "batch_size": 6, "loss": {"target": target, **more}}
    return classifier(augment=MIXED, train=train)


def test_a_loss_of_ones_own_gets_shares_where_it_can_use_them() -> None:
    trial = with_loss("torch.nn:CrossEntropyLoss", label_smoothing=0.1)
    check_parts(trial)
    parts, batch = mixed_batch(trial)
    parts.model.eval()
    expected = F.cross_entropy(parts.model(batch.images), batch.target, label_smoothing=0.1)
    assert torch.allclose(parts.task.loss(parts.model, batch), expected)


def test_a_loss_of_labels_only_is_refused_before_training() -> None:
    with pytest.raises(SpecError, match=r"'torch\.nn:MultiMarginLoss' fails .* leave out mixup"):
        check_parts(with_loss("torch.nn:MultiMarginLoss"))


def idle(image: np.ndarray, mask: np.ndarray) -> Any:
    time.sleep(0.02)
    return image, mask


@pytest.mark.parametrize(("target", "slow"), [("idle", True), ("quick", False)])
def test_a_slow_pipeline_is_warned_about_once(
    target: str, slow: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trial = make_trial(augment={"target": f"{__name__}:{target}"})
    train_trial(trial, MemoryRecorder(tmp_path), Silent())
    found = [line for line in capfd.readouterr().out.splitlines() if "of the training time" in line]
    assert len(found) == slow
    if slow:
        share = float(found[0].split(" takes ")[1].split("%")[0])
        assert 25 <= share <= 100
        own, whole = found[0].split("time, ")[1].split(" ms")[0].split(" of ")
        assert math.isclose(float(own) / float(whole), share / 100, abs_tol=0.02)
        assert float(own) >= 20


def quick(image: np.ndarray, mask: np.ndarray) -> Any:
    return image, mask
