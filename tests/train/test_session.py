"""Whole trials, small: exactness, resuming, protocol and its published mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bench.augment.settings import AugmentSettings
from bench.errors import DataError, DeviceError
from bench.train import checkpoint
from bench.train.loop import Diverged, Interrupted, Training
from bench.train.precision import Precision
from bench.train.session import pictures, train_trial
from bench.train.trial_parts import TrialParts, build, cuda_or_cpu, predict
from tests.builders.classifier import classifier
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

AUGMENT = AugmentSettings.model_validate(["hflip", {"elastic": {"p": 0.5}}])


def trained(folder: Path, stop_after: int | None = None, **changes: Any) -> MemoryRecorder:
    recorder = MemoryRecorder(folder)
    train_trial(make_trial(**changes), recorder, Silent(stop_after))
    return recorder


def test_a_trial_records_everything(tmp_path: Path) -> None:
    found = trained(tmp_path)
    assert [row["epoch"] for row in found.rows] == [1, 2, 3]
    assert list(found.rows[0]) == [
        "epoch", "train/loss", "val/loss", "val/dice", "val/iou", "val/scored_images", "lr",
        "epoch_seconds", "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb",
    ]  # fmt: skip
    assert found.facts["val_scored_images"] == found.facts["test_scored_images"] == 4
    assert found.facts["constant_dice"] == found.facts["constant_val_dice"] == "foreground"
    assert 0 <= found.facts["test_dice"] <= 1
    assert 0 < found.facts["baseline_dice"] < 1
    assert found.facts["threads"] == 1
    assert found.facts["precision"] == "fp32"
    assert len(found.pictures) == 4
    assert found.environment["torch"] == torch.__version__


def test_a_metric_that_the_split_does_not_define_is_missing(tmp_path: Path) -> None:
    data = {"name": "shapes", "kinds": 8, "train": 8, "val": 2, "test": 2, "image_size": 32}
    found = trained(tmp_path, data=data, train={"epochs": 2})
    truth = build(make_trial(data=data)).data.splits["val"].masks
    assert truth is not None
    absent = [f"kind{i}" for i in range(1, 9) if i not in truth]
    assert absent, "two images of one animal each"
    for row in found.rows:
        assert [row[f"val/dice_{name}"] for name in absent] == [None] * len(absent)
        assert row["val/dice"] is not None
        assert row["val/scored_images"] == 2


def test_a_trial_whose_selected_metric_is_never_defined_ends_at_once(tmp_path: Path) -> None:
    data = {"name": "shapes", "kinds": 8, "train": 8, "val": 1, "test": 1, "image_size": 32}
    (label,) = set(np.unique(build(make_trial(data=data)).data.splits["val"].masks)) - {0}
    absent = label % 8 + 1
    with pytest.raises(DataError, match=f"val/dice_kind{absent}, .* is not defined"):
        trained(tmp_path, data=data, select={"metric": f"val/dice_kind{absent}"})


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_same_seed_same_bits(tmp_path: Path, mode: str) -> None:
    augment = {"transforms": AUGMENT.transforms, "mode": mode}
    first = trained(tmp_path / "1", augment=augment)
    second = trained(tmp_path / "2", augment=augment)
    assert results(first.rows) == results(second.rows)
    other = trained(tmp_path / "3", augment=augment, seed=1)
    assert results(first.rows) != results(other.rows)


@pytest.mark.parametrize("steps", [1, 3, 4, 7])
def test_resumed_equals_uninterrupted_to_the_bit(tmp_path: Path, steps: int) -> None:
    changes: dict[str, Any] = {
        "augment": AUGMENT,
        "train": {"schedule": "cosine", "warmup_epochs": 1.0, "optimizer": "adamw"},
    }
    whole = trained(tmp_path / "whole", **changes)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", stop_after=steps, **changes)
    resumed = trained(tmp_path / "cut", **changes)
    assert results(resumed.rows) == results(whole.rows)
    best = [checkpoint.load(tmp_path / name / "best.pt") for name in ("whole", "cut")]
    assert best[0]["epoch"] == best[1]["epoch"]
    for name, weight in best[0]["model"].items():
        assert torch.equal(weight, best[1]["model"][name]), name


def test_arms_with_one_seed_are_paired() -> None:
    """Same initial weights and the same order, whatever the augmentation and the optimizer."""
    plain = build(make_trial())
    other = build(make_trial(augment=AUGMENT, train={"optimizer": "sgd"}))
    for a, b in zip(plain.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
    orders = [parts.batches("train").plan(2).order for parts in (plain, other)]
    assert torch.equal(*orders)
    assert not torch.equal(orders[0], plain.batches("train").plan(3).order)


def test_strided_pointwise_convolutions_avoid_the_fault_of_onednn() -> None:
    """The stem has 3 channels: the second stage's shortcut alone has fewer than 8."""
    model = build(classifier()).model  # `resnet` of 18 layers, width 0.05
    routed = [name for name, part in model.named_modules() if "_conv_forward" in vars(part)]
    assert routed == [f"layer{stage}.0.downsample.0" for stage in (2, 3, 4)]


def test_append_keeps_every_original_with_its_copies() -> None:
    trial = make_trial(augment={"transforms": AUGMENT.transforms, "mode": "append"})
    plan = build(trial).batches("train").plan(1)
    originals = plan.order[~plan.chosen.any(1)]
    copies = plan.order[plan.chosen.any(1)]
    assert sorted(originals.tolist()) == list(range(12))
    assert 0 < len(copies) < 12
    assert len(set(copies.tolist())) == len(copies)


def test_replace_has_every_sample_once() -> None:
    plan = build(make_trial(augment=AUGMENT)).batches("train").plan(1)
    assert sorted(plan.order.tolist()) == list(range(12))


def test_what_the_network_gets() -> None:
    parts = build(make_trial(data={"normalize": "unit"}))
    (batch,) = parts.batches("train", 12).in_order()
    stored = torch.from_numpy(parts.data.splits["train"].images.copy()).permute(0, 3, 1, 2)
    torch.testing.assert_close(batch.images, stored / 255)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    contiguous = build(make_trial(train={"channels_last": False}))
    (batch,) = contiguous.batches("train", 12).in_order()
    assert batch.images.is_contiguous()


class Spy(nn.Module):
    """Notes the mode and whether autograd is on at each call."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[tuple[bool, bool]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.training, torch.is_grad_enabled()))
        found: torch.Tensor = self.model(images)
        return found


def spied(folder: Path, **changes: Any) -> tuple[Spy, MemoryRecorder]:
    trial = make_trial(train={"epochs": 2, "batch_size": 6}, **changes)
    parts = build(trial)
    spy, recorder = Spy(parts.model), MemoryRecorder(folder)
    training = Training(
        trial, spy, parts.task, parts.batches("train"), parts.batches("val"),
        samples=parts.samples("val"), fingerprint="f", device=parts.device,
        recorder=recorder, signals=Silent(),
    )  # fmt: skip
    training.run()
    return spy, recorder


TRAIN, CHECK = (True, True), (False, False)


@pytest.mark.parametrize(
    ("mistakes", "expected"),
    [
        ([], [TRAIN, TRAIN, CHECK] * 2),
        (["eval_mode_leak"], [TRAIN, TRAIN, CHECK, (False, True), (False, True), CHECK]),
        (["grad_in_validation"], [TRAIN, TRAIN, (False, True)] * 2),
    ],
)
def test_modes(tmp_path: Path, mistakes: list[str], expected: list[tuple[bool, bool]]) -> None:
    spy, _ = spied(tmp_path, mistakes=mistakes)
    assert spy.seen == expected


def test_the_leak_stops_the_running_statistics(tmp_path: Path) -> None:
    def counted(**changes: Any) -> list[int]:
        trained(tmp_path / str(changes), train={"epochs": 3, "batch_size": 6}, **changes)
        state = checkpoint.load(tmp_path / str(changes) / "last.pt")["model"]
        return [int(value) for key, value in state.items() if key.endswith("num_batches_tracked")]

    assert set(counted()) == {6}
    assert set(counted(mistakes=["eval_mode_leak"])) == {2}


def test_early_stopping_counts_epochs_without_improvement(tmp_path: Path) -> None:
    found = trained(
        tmp_path,
        train={"epochs": 20, "batch_size": 12, "lr": 1e-12, "early_stopping": {"patience": 2,
               "min_delta": 0.5}},
    )  # fmt: skip
    # nothing ever improves by 0.5 over the first epoch
    assert len(found.rows) == 3


def test_slow_progress_counts_as_progress(tmp_path: Path) -> None:
    """Three gains of 0.4 against a least gain of 0.5: the second of them is one in sum."""
    parts, trial = build(make_trial()), make_trial(
        train={"epochs": 9, "early_stopping": {"patience": 2, "min_delta": 0.5}}
    )  # fmt: skip
    training = Training(
        trial, parts.model, parts.task, parts.batches("train"), parts.batches("val"),
        samples=parts.samples("val"), fingerprint="f", device=parts.device,
        recorder=MemoryRecorder(tmp_path), signals=Silent(),
    )  # fmt: skip
    waited = []
    for value in (0.0, 0.4, 0.8, 1.2):
        training.progress.history.append({"val/dice": value})
        training.note_best({"val/dice": value})
        waited.append(training.progress.waited)
    assert waited == [0, 1, 0, 1]
    assert (training.progress.best, training.progress.best_epoch) == (1.2, 4)


def test_going_on_with_other_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=4)
    state = checkpoint.load(tmp_path / "last.pt")
    checkpoint.save(tmp_path / "last.pt", state | {"fingerprint": "another"})
    with pytest.raises(DataError, match="not what the first epochs"):
        trained(tmp_path)


def test_going_on_keeps_the_number_of_threads(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=4)
    found = trained(tmp_path, machine={"threads": 2})
    assert found.facts["threads"] == 1


def test_divergence_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="training loss of epoch"):
        trained(tmp_path, train={"lr": 1e20, "optimizer": "sgd"}, data={"normalize": "none"})


def test_clipping_limits_the_step(tmp_path: Path) -> None:
    lr, limit = 1.0, 1e-3
    parts = build(make_trial())
    before = [p.detach().clone() for p in parts.model.parameters()]
    optimizer = torch.optim.SGD(parts.model.parameters(), lr=lr)
    (batch,) = parts.batches("train", 12).in_order()
    precision = Precision("fp32", parts.device)
    precision.backward(parts.task.loss(parts.model, batch))
    precision.step(optimizer, parts.model, limit)
    moved = [(p - b).square().sum() for p, b in zip(parts.model.parameters(), before, strict=True)]
    assert torch.stack(moved).sum().sqrt().item() == pytest.approx(limit, rel=1e-3)


def test_best_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    found = trained(tmp_path)
    best = max(found.rows, key=lambda row: row["val/dice"] or 0)
    parts = build(make_trial())
    parts.load(tmp_path / "best.pt")
    assert parts.score("val").metrics["dice"] == best["val/dice"]
    assert parts.score("test").metrics["dice"] == found.facts["test_dice"]


def scored(tmp_path: Path) -> TrialParts:
    trained(tmp_path)
    parts = build(make_trial())
    parts.load(tmp_path / "best.pt")
    return parts


def test_predict_at_own_size_and_pictures(tmp_path: Path) -> None:
    parts = scored(tmp_path)
    images = parts.data.splits["test"].images
    assert predict(parts, images).shape == (4, 32, 32)
    assert predict(parts, images[:1], (50, 70)).shape == (1, 50, 70)
    shown = pictures(parts)
    assert list(shown) == list(parts.data.splits["val"].names)
    assert {picture.shape for picture in shown.values()} == {(32, 4 * 32 + 3 * 2, 3)}
    names = parts.data.splits["val"].names
    assert parts.samples("val", 2).names == (names[0], names[-1])


def test_deterministic_is_switched_on_and_off(tmp_path: Path) -> None:
    trained(tmp_path / "1", train={"epochs": 1, "deterministic": True})
    assert torch.are_deterministic_algorithms_enabled()
    trained(tmp_path / "2", train={"epochs": 1})
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(torch.cuda.is_available(), reason="tells what a machine without CUDA says")
def test_cuda_where_there_is_none() -> None:
    assert cuda_or_cpu("auto") == torch.device("cpu")
    with pytest.raises(DeviceError, match="no CUDA device"):
        cuda_or_cpu("cuda")


def test_moving_average_of_the_weights_by_hand(tmp_path: Path) -> None:
    """With decay d the average after two steps is d·w1 + (1-d)·w2, since it starts with w1."""
    decay, changes = 0.75, {"train": {"epochs": 1, "batch_size": 6, "ema": 0.75}}
    trained(tmp_path / "ema", **changes)
    kept = checkpoint.load(tmp_path / "ema" / "best.pt")["model"]
    last = checkpoint.load(tmp_path / "ema" / "last.pt")["model"]
    first = one_step(tmp_path)
    for name in ("head.weight", "head.bias"):
        expected = decay * first[name] + (1 - decay) * last[name]
        torch.testing.assert_close(kept[name], expected)
        assert not torch.equal(kept[name], last[name])


def one_step(tmp_path: Path) -> dict[str, torch.Tensor]:
    """The weights after the first of two steps."""
    parts = build(make_trial())
    trial = make_trial(train={"epochs": 1, "batch_size": 6})
    training = Training(
        trial, parts.model, parts.task, parts.batches("train", 6), parts.batches("val"),
        samples=parts.samples("val"), fingerprint="f", device=parts.device,
        recorder=MemoryRecorder(tmp_path), signals=Silent(0),
    )  # fmt: skip
    with pytest.raises(Interrupted):
        training.run()
    return training.model.state_dict()


def test_resuming_with_a_moving_average_is_exact(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"train": {"ema": 0.9}}
    whole = trained(tmp_path / "whole", **changes)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", stop_after=4, **changes)
    assert results(trained(tmp_path / "cut", **changes).rows) == results(whole.rows)


@pytest.mark.parametrize("wanted", ["foo", "cuda:0", "", "CPU"])
def test_unknown_devices_are_refused(wanted: str) -> None:
    with pytest.raises(DeviceError, match="is none of auto, cpu and cuda"):
        cuda_or_cpu(wanted)
