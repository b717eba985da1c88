"""Steps by parts of a batch, steps that run out of memory, steps that are passed over."""

from __future__ import annotations

import math
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.augment.settings import AugmentSettings
from bench.tasks.base import Batch
from bench.train import checkpoint
from bench.train.loop import Diverged, Interrupted, Training
from bench.train.optim import make_optimizer
from bench.train.precision import Precision
from bench.train.session import train_trial
from bench.train.trial_parts import build
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

CPU = torch.device("cpu")
AUGMENT = AugmentSettings.model_validate(["hflip", {"elastic": {"p": 0.5}}])
LIMIT: list[int] = []
"""How many images fit into this machine's memory, where the tests say so."""
FAILED: list[weakref.ref[Tensor]] = []
"""What steps that ran out of memory had computed."""


class Limited(nn.Module):
    """A small network with BatchNorm and dropout, in a machine with little memory."""

    error: type[Exception] = torch.OutOfMemoryError
    message = "CUDA out of memory. Tried to allocate 8 GiB."

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Conv2d(8, out_channels, 1)

    def forward(self, images: Tensor, _time: Tensor | None = None) -> Tensor:
        middle = self.drop(self.norm(self.first(images)).relu())
        assert not any(tensor() is not None for tensor in FAILED)
        if self.training and LIMIT and len(images) > LIMIT[0]:
            FAILED.append(weakref.ref(middle))
            raise self.error(self.message)
        found: Tensor = self.head(middle)
        return found


class LimitedMain(Limited):
    error = RuntimeError
    message = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"


class Broken(Limited):
    error = RuntimeError
    message = "the model broke"


@pytest.fixture(autouse=True)
def _unlimited() -> None:
    LIMIT.clear()
    FAILED.clear()


def settings(kind: str = "Limited", **train: Any) -> dict[str, Any]:
    return {"model": {"target": f"tests.train.test_step:{kind}"}, "train": train}


def trained(folder: Path, stop_after: int | None = None, **changes: Any) -> MemoryRecorder:
    recorder = MemoryRecorder(folder)
    train_trial(make_trial(**changes), recorder, Silent(stop_after))
    return recorder


def same_best(*folders: Path) -> bool:
    first, second = (checkpoint.load(folder / "best.pt")["model"] for folder in folders)
    return all(torch.equal(first[name], second[name]) for name in first)


def made(folder: Path, **changes: Any) -> Training:
    trial = make_trial(**changes)
    parts = build(trial)
    return Training(
        trial, parts.model, parts.task, parts.batches("train", 5), parts.batches("val"),
        samples=parts.samples("val"), fingerprint="f", device=CPU,
        recorder=MemoryRecorder(folder), signals=Silent(),
    )  # fmt: skip


TASKS: dict[str, dict[str, Any]] = {
    "segmentation": {"data": {"border": "ignore"}},
    "focal": {"data": {"border": "ignore"}, "train": {"loss": "focal"}},
    "diffusion": {
        "task": {"name": "diffusion", "ddim_steps": 1, "ddpm_steps": 1, "samples": 1},
        "data": {"normalize": "symmetric"},
        "select": {"metric": "val/loss", "mode": "min"},
    },
    "classification": {
        "task": {"name": "classification"},
        "data": {"kinds": 3},
        "train": {"loss": "cross_entropy"},
        "select": {"metric": "val/top1", "mode": "max"},
    },
}


class Plain(nn.Module):
    """Nothing in it depends on the other images of a batch, and it draws nothing."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.head = nn.Conv2d(8, out_channels, 1)

    def forward(self, images: Tensor, _time: Tensor | None = None) -> Tensor:
        found: Tensor = self.head(self.body(images).relu())
        return found


class Pooled(Plain):
    def forward(self, images: Tensor, _time: Tensor | None = None) -> Tensor:
        return super().forward(images).mean((2, 3))


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("case", ["segmentation", "focal", "diffusion", "classification"])
def test_shares_add_up_to_the_gradient_of_the_batch(case: str, size: int) -> None:
    changes = {key: value for key, value in TASKS[case].items() if key != "model"}
    trial = make_trial(**{"model": {"target": "tests.train.test_step:Limited"}, **changes})
    parts = build(trial)
    kind = Pooled if case == "classification" else Plain
    model = kind({"diffusion": 3, "classification": 3}.get(case, 2))
    batch = parts.batches("train", 7).at_indices(torch.arange(7))
    if case in ("segmentation", "focal"):
        assert batch.target is not None
        batch.target[:2] = 255  # nothing of these images counts
    torch.manual_seed(0)
    whole = parts.task.loss(model, batch)
    whole.backward()  # type: ignore[no-untyped-call]
    expected = [weight.grad for weight in model.parameters()]
    model.zero_grad()
    torch.manual_seed(0)
    shares = [share(model) for share in parts.task.loss_parts(batch, size)]
    assert len(shares) == math.ceil(7 / size)
    total = torch.stack(shares).sum()
    total.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(total, whole)
    for weight, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)


def test_parts_are_of_like_sizes_and_whole_batches_in_order() -> None:
    batch = Batch(torch.arange(10.0).view(10, 1, 1, 1), None, torch.arange(10))
    parts = batch.parts(4)
    assert [part.indices.tolist() for part in parts] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert all(torch.equal(part.images.flatten(), part.indices.float()) for part in parts)


def test_a_loss_of_whole_batches_has_no_shares() -> None:
    parts = build(make_trial(train={"loss": "dice"}))
    with pytest.raises(ValueError, match="not the sum of those of its parts"):
        parts.task.loss_parts(parts.batches("train", 4).at_indices(torch.arange(4)), 2)


@pytest.mark.parametrize("kind", ["Limited", "LimitedMain"])
def test_memory_that_runs_out_leaves_no_trace(
    tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """5 images do not fit, nor do 3; all is as in a trial that had 2 at once from the start."""
    changes: dict[str, Any] = {"augment": AUGMENT}
    train = {"ema": 0.9, "optimizer": "adamw", "clip_grad_norm": 1.0}
    plain = trained(tmp_path / "2", **changes, **settings(kind, micro_batch=2, **train))
    LIMIT.append(2)
    found = trained(tmp_path / "auto", **changes, **settings(kind, micro_batch="auto", **train))
    assert results(found.rows) == results(plain.rows)
    assert same_best(tmp_path / "auto", tmp_path / "2")
    assert found.facts["micro_batch"] == plain.facts["micro_batch"] == 2
    assert found.facts["batchnorm_images"] == 2
    assert len(FAILED) == 2
    reported = capfd.readouterr().out
    assert "out of memory with 5 images at once" in reported
    assert "out of memory with 3 images at once" in reported
    assert (
        "BatchNorm takes its statistics from 2 images at a time, not from batches of 5" in reported
    )


def test_with_memory_enough_auto_changes_nothing(tmp_path: Path) -> None:
    whole = trained(tmp_path / "none", **settings())
    auto = trained(tmp_path / "auto", **settings(micro_batch="auto"))
    assert results(auto.rows) == results(whole.rows)
    assert same_best(tmp_path / "auto", tmp_path / "none")
    assert auto.facts["micro_batch"] is auto.facts["batchnorm_images"] is None


def test_diffusion_draws_once_for_a_batch(tmp_path: Path) -> None:
    changes = {**TASKS["diffusion"], **settings(ema=0.9, micro_batch="auto")}
    LIMIT.append(4)
    found = trained(tmp_path / "auto", **changes)
    plain = trained(tmp_path / "3", **TASKS["diffusion"], **settings(ema=0.9, micro_batch=3))
    assert str(results(found.rows)) == str(results(plain.rows))  # some figures are no numbers


def test_resuming_goes_on_with_the_size_that_was_found(tmp_path: Path) -> None:
    LIMIT.append(2)
    changes = settings(micro_batch="auto")
    whole = trained(tmp_path / "whole", **changes)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", stop_after=4, **changes)
    LIMIT.clear()  # more memory now; another size would be another trial
    resumed = trained(tmp_path / "cut", **changes)
    assert resumed.facts["micro_batch"] == 2
    assert results(resumed.rows) == results(whole.rows)


@pytest.mark.parametrize(
    ("kind", "micro_batch", "limit"),
    [("Limited", "none", 4), ("Limited", 3, 2), ("Limited", "auto", 0), ("Broken", "auto", 4)],
)
def test_what_is_not_tried_again(
    tmp_path: Path, kind: str, micro_batch: str | int, limit: int
) -> None:
    LIMIT.append(limit)
    with pytest.raises(Limited.error if kind == "Limited" else RuntimeError):
        trained(tmp_path, **settings(kind, micro_batch=micro_batch))


def test_batchnorm_that_is_held_does_not_mind(tmp_path: Path) -> None:
    model = {"name": "resnet18_unet", "width": 0.05}  # only its encoder has any
    for freeze, expected in (("none", 2), ("encoder", None), ({"up_to": "stem"}, 2)):
        training = made(tmp_path, model=model, train={"micro_batch": 2, "freeze": freeze})
        assert training.train_state.batchnorm_images == expected


class Flawed(Limited):
    """Its scores are no numbers in some of its training steps."""

    steps: tuple[int, ...] = ()

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.drop = nn.Dropout(0.0)
        self.seen = 0

    def forward(self, images: Tensor, _time: Tensor | None = None) -> Tensor:
        if self.training:
            self.seen += 1
            if self.seen in self.steps:
                images = images * math.inf
        return super().forward(images)


def flawed(monkeypatch: pytest.MonkeyPatch, *steps: int) -> None:
    monkeypatch.setattr(Flawed, "steps", steps)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_nonfinite_step_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, clip: float | None
) -> None:
    changes = settings("Flawed", optimizer=optimizer, clip_grad_norm=clip, bad_steps=2)
    training = made(tmp_path, **changes)
    training.model.train()
    batch = training.train_batches.at_indices(torch.arange(5))
    flawed(monkeypatch, 1, 3)
    start = [tensor.clone() for tensor in training.model.state_dict().values()]
    assert training.step(batch) == 0.0
    after = list(training.model.state_dict().values())
    assert all(torch.equal(a, b) for a, b in zip(start, after, strict=True))
    training.step(batch)
    kept = [tensor.clone() for tensor in after]
    training.step(batch)
    assert all(torch.equal(a, b) for a, b in zip(kept, after, strict=True))
    training.step(batch)
    assert training.step.nonfinite_steps is not None
    assert training.step.nonfinite_steps.steps == 2
    # two steps were taken: the same as where nothing ever went wrong, to the bit
    flawed(monkeypatch)
    plain = made(tmp_path, **settings("Flawed", optimizer=optimizer, clip_grad_norm=clip))
    plain.model.train()
    plain.step(batch), plain.step(batch)
    for a, b in zip(after, plain.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_nonfinite_steps_are_counted_and_left_out_of_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flawed(monkeypatch, 3, 4)
    found = trained(tmp_path / "2", **settings("Flawed", bad_steps=2))
    assert found.facts["skipped_steps"] == 2
    assert found.facts["health_skipped_steps"] == "2 steps were skipped"
    losses = [row["train/loss"] for row in found.rows]
    assert all(math.isfinite(loss or math.nan) for loss in losses)
    assert len({round(loss or 0, 1) for loss in losses}) <= 2  # not a mean with zeros
    flawed(monkeypatch)
    none = trained(tmp_path / "0", **settings("Flawed", bad_steps=2))
    plain = trained(tmp_path / "plain", **settings("Flawed"))
    assert none.facts["skipped_steps"] == 0
    assert plain.facts["skipped_steps"] is None
    assert results(none.rows) == results(plain.rows)


def test_one_nonfinite_step_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flawed(monkeypatch, 2, 4, 6)
    says = r"3 training steps had a loss or gradient .* step 3 of epoch 2; .*bad_steps allows 2"
    with pytest.raises(Diverged, match=says):
        trained(tmp_path / "2", **settings("Flawed", bad_steps=2))
    with pytest.raises(Diverged, match="the training loss of epoch 1 is nan"):
        trained(tmp_path / "0", **settings("Flawed"))


def test_the_count_survives_an_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flawed(monkeypatch, 2)
    with pytest.raises(Interrupted):
        trained(tmp_path, stop_after=4, **settings("Flawed", bad_steps=1))
    with pytest.raises(Diverged, match="2 training steps"):  # its second one ever
        trained(tmp_path, **settings("Flawed", bad_steps=1))


def test_ticks_find_nonfinite_steps_before_the_epoch_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.train.loop.TICK_SECONDS", 0.0)
    flawed(monkeypatch, 1, 2)
    with pytest.raises(Diverged, match=r"2 training steps .* step 2 of epoch 1"):
        trained(tmp_path, **settings("Flawed", bad_steps=1))


def half_precision(scale: float) -> Precision:
    """fp16's scaling on a CPU, without fp16."""
    precision = Precision("fp32", CPU)
    precision.scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    return precision


@pytest.mark.parametrize(("scale", "bad"), [(2.0**16, False), (1.0, True)])
def test_a_scale_too_high_is_no_nonfinite_step(scale: float, bad: bool) -> None:
    model = nn.Linear(1, 1)
    precision = half_precision(scale)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    before = model.weight.detach().clone()
    loss = model(torch.ones(1, 1)).sum()
    precision.backward(loss)
    assert model.weight.grad is not None
    model.weight.grad.fill_(math.inf)
    assert bool(precision.step_if_finite(loss.detach(), optimizer, model, None)) is bad
    assert torch.equal(model.weight, before)
    assert precision.scaler.get_scale() == scale / 2


def test_momentum_begins_with_nothing_where_the_first_step_is_not_taken() -> None:
    """torch itself leaves memory as it comes there."""
    trial = make_trial(train={"optimizer": "sgd"})
    model = nn.Linear(1, 1, bias=False)
    group = {"params": list(model.parameters()), "peak": 1.0}
    optimizer = make_optimizer([group], trial.settings.train)
    precision = half_precision(2.0**16)
    for gradient in (math.inf, 2.0**15):  # scaled; the second is 1
        model.weight.grad = torch.full((1, 1), gradient)
        precision.scaler.scale(torch.ones(()))
        precision.step(optimizer, model, None)
    assert optimizer.state[model.weight]["momentum_buffer"] == 1.0
