"""From samples to batches: the same bits wherever the samples rest."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.augment.settings import AugmentSettings
from bench.data.normalize import scale_and_offset
from bench.errors import DeviceError
from bench.train.batches import Normalize
from bench.train.loop import Interrupted
from bench.train.session import train_trial
from bench.train.trial_parts import build
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

AUGMENT = AugmentSettings.model_validate(["hflip", {"elastic": {"p": 0.5}}])


def same(first: Any, second: Any) -> bool:
    return all(
        torch.equal(a, b) and a.stride() == b.stride() for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"augment": AUGMENT},
        {"augment": {"transforms": AUGMENT.transforms, "mode": "append"}},
        {"augment": AUGMENT, "mistakes": ["unpaired_masks"]},
    ],
)
def test_batches_do_not_depend_on_where_samples_rest(changes: Any) -> None:
    there = build(make_trial(machine={"placement": "device"}, **changes)).batches("train", 5)
    read = build(make_trial(machine={"placement": "stream"}, **changes)).batches("train", 5)
    for epoch in (1, 2):
        plan = there.plan(epoch)
        pairs = zip(there.training(plan, epoch), read.training(plan, epoch), strict=True)
        steps = [same(*pair) for pair in pairs]
        assert steps == [True] * there.steps(plan)
    assert all(same(*pair) for pair in zip(there.in_order(), read.in_order(), strict=True))


def test_a_training_does_not_depend_on_where_samples_rest(tmp_path: Path) -> None:
    found = {}
    for kind in ("device", "stream"):
        recorder = MemoryRecorder(tmp_path / kind)
        trial = make_trial(machine={"placement": kind}, augment=AUGMENT)
        train_trial(trial, recorder, Silent())
        found[kind] = (results(recorder.rows), recorder.facts["test_dice"])
        assert recorder.environment["placement"] == kind
        assert recorder.environment["placement_why"].endswith("as machine.placement says")
    assert found["device"] == found["stream"]


def test_an_interrupted_training_leaves_no_threads(tmp_path: Path) -> None:
    trial = make_trial(machine={"placement": "stream"}, train={"batch_size": 1})
    with pytest.raises(Interrupted):
        train_trial(trial, MemoryRecorder(tmp_path), Silent(2))
    assert not [t for t in threading.enumerate() if t.name.startswith("ahead")]


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without CUDA says")
def test_pinning_without_cuda_is_refused_before_anything_is_spent(tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path)
    with pytest.raises(DeviceError, match=r"machine\.placement: pinned"):
        train_trial(make_trial(machine={"placement": "pinned"}), recorder, Silent())
    assert recorder.environment == {}


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("normalize", ["none", "unit", "symmetric", "imagenet"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_normalising(channels_last: bool, normalize: str, dtype: torch.dtype) -> None:
    trial = make_trial(train={"channels_last": channels_last}, data={"normalize": normalize})
    stored = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    given = stored.to(dtype, copy=True)
    found = Normalize(trial, torch.device("cpu"))(given)
    scale, offset = (torch.tensor(v).view(3, 1, 1) for v in scale_and_offset(normalize))
    torch.testing.assert_close(found, stored * scale + offset, rtol=1e-6, atol=1e-6)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert found.is_contiguous(memory_format=layout)
    assert dtype == torch.float32 or torch.equal(given, stored)


def test_a_few_samples_in_the_order_they_are_asked_for() -> None:
    batches = build(make_trial()).batches("train")
    (whole,) = build(make_trial()).batches("train", 12).in_order()
    batch = batches.at_indices(torch.tensor([7, 2]))
    assert batch.indices.tolist() == [7, 2]
    assert torch.equal(batch.images, whole.images[[7, 2]])
    assert torch.equal(batch.target, whole.target[[7, 2]])


def test_every_step_and_every_epoch_has_draws_of_its_own() -> None:
    rotate = {"transforms": [{"rotate": {"p": 1, "degrees": 90}}]}
    data = {"name": "shapes", "image_size": 16, "train": 2, "val": 1, "test": 1}
    parts = build(make_trial(data=data, augment=rotate, train={"batch_size": 1}))
    # the same two samples in every epoch: order decides which is which
    batches, seen = parts.batches("train", 1), {}
    for epoch in (1, 2, 3):
        for step, batch in enumerate(batches.training(batches.plan(epoch), epoch)):
            seen[epoch, step] = int(batch.indices[0]), batch.images.clone()
    for index in (0, 1):
        looks = [images for found, images in seen.values() if found == index]
        assert len(looks) == 3
        assert not any(torch.equal(looks[a], looks[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    plan = batches.plan(1)
    twice = plan._replace(order=torch.zeros(2, dtype=torch.int64))
    first, second = (batch.images.clone() for batch in batches.training(twice, 1))
    assert not torch.equal(first, second)
