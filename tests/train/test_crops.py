"""Training on random parts of large images, evaluating by tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.augment.settings import AugmentSettings
from bench.measure.activations import LiveTensors
from bench.plan.cost import model_costs
from bench.tasks.tiles import TiledModel
from bench.train.evaluation import evaluate_images
from bench.train.session import train_trial
from bench.train.trial_parts import build, predict
from tests.builders.owners_folders import photo, regions, save
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

DATA = {"name": "shapes", "image_size": 64, "crop": [40, 32], "train": 8, "val": 3, "test": 3}


def trial(**changes: Any) -> Any:
    return make_trial(data=DATA, **changes)


def test_each_epoch_has_parts_of_its_own() -> None:
    parts = build(trial(machine={"placement": "device"}))
    batches = parts.batches("train", 4)
    seen = []
    for epoch in (1, 2):
        for batch in batches.training(batches.plan(epoch), epoch):
            assert batch.images.shape[2:] == (40, 32)
            assert batch.target.shape[1:] == (40, 32)
            seen.append(batch.target.numpy().tobytes())
    assert len(set(seen)) == len(seen)
    again = [b.target.numpy().tobytes() for b in batches.training(batches.plan(1), 1)]
    assert again == seen[: len(again)]


def test_a_part_is_the_image_s_own_and_its_mask_s() -> None:
    parts = build(trial())
    batches, stored = parts.batches("train", 8), parts.data.splits["train"]
    (batch,) = batches.training(batches.plan(1), 1)
    for index, mask in zip(batch.indices.tolist(), batch.target.numpy(), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(stored.masks[index], (40, 32))
        assert (windows == mask).all((2, 3)).any()


@pytest.mark.parametrize("augment", [[], ["hflip", {"elastic": {"p": 0.5}}]])
def test_parts_do_not_depend_on_where_samples_rest(augment: Any) -> None:
    found = {}
    for kind in ("device", "stream"):
        settings = AugmentSettings.model_validate(augment)
        made = build(trial(machine={"placement": kind}, augment=settings)).batches("train", 3)
        found[kind] = list(made.training(made.plan(1), 1))
    for first, second in zip(*found.values(), strict=True):
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.target, second.target)
        assert first.images.stride() == second.images.stride()


def test_a_training_on_parts_scores_whole_images(tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path)
    train_trial(trial(), recorder, Silent())
    assert recorder.facts["test_dice"] is not None
    picture = next(iter(recorder.pictures.values()))
    assert picture.shape[0] < 64
    other = MemoryRecorder(tmp_path / "again")
    train_trial(trial(), other, Silent())
    assert results(other.rows) == results(recorder.rows)


def test_evaluation_and_prediction_see_the_whole_image() -> None:
    parts = build(trial())
    assert isinstance(parts.whole_image_model, TiledModel)
    (batch, *_) = parts.batches("val").in_order()
    assert batch.images.shape == (1, 3, 64, 64)
    images = parts.data.splits["val"].images[:1]
    assert predict(parts, images).shape == (1, 64, 64)


def test_costs_are_of_what_the_network_sees() -> None:
    whole = make_trial(data={**DATA, "crop": None})
    cropped = trial()
    costs = model_costs([whole, cropped], lambda _: None)
    large, small = (costs[t.id].macs for t in (whole, cropped))
    assert small is not None
    assert large is not None
    assert small / large == pytest.approx(40 * 32 / 64**2, rel=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {**DATA, "crop": 65}}, "is more than `image_size:`"),
        (
            {
                "task": {"name": "classification"},
                "data": {**DATA, "kinds": 2},
                "model": {"name": "resnet", "depth": 18},
            },
            "sees whole images",
        ),
    ],
)
def test_what_cannot_be_cropped(changes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_trial(**changes)


LOSSES = ["cross_entropy", "dice", "cross_entropy+dice", "focal", ["cross_entropy", "dice"]]


@pytest.mark.parametrize("loss", [*LOSSES, {"target": "torch.nn:CrossEntropyLoss"}])
def test_scores_by_strips_are_those_of_the_whole_image(loss: Any) -> None:
    """Whatever the batches of tiles: those of 5 have tiles of two images."""
    placement = "stream" if loss == "dice" else "device"
    settings = {"batch_size": 4, "val_batch_size": 5, "loss": loss}
    parts = build(trial(train=settings, machine={"placement": placement}))
    found = parts.score("val")
    meter, model = parts.task.meter(), parts.whole_image_model.eval()
    with torch.inference_mode():
        for batch in parts.batches("val").in_order():
            meter.update(model, batch)
    expected, images = meter.compute(), meter.by_image()
    assert found.metrics == pytest.approx(expected, rel=1e-5)
    assert found.images is not None
    assert found.images.metrics == images.metrics
    assert np.allclose(found.images.values, images.values, rtol=1e-5)


def test_no_more_than_a_strip_is_in_memory(tmp_path: Path) -> None:
    """An image three times as high is evaluated in as many bytes."""
    for i in range(10):
        save(photo(i), tmp_path / f"images/{i}.png")
        save(regions(i, [0, 1]), tmp_path / f"masks/{i}.png")
    peaks = []
    for height in (256, 768):
        data = {"name": "folder", "root": str(tmp_path), "image_size": [height, 256], "crop": 64}
        parts = build(make_trial(data=data, train={"batch_size": 2}))
        batches = parts.batches("val")
        with LiveTensors() as live:
            evaluate_images(parts.model, parts.task, batches, parts.precision())
        peaks.append(live.peak)
    assert peaks[1] < 1.1 * peaks[0]
