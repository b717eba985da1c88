"""The path through CUDA, on a fake device: nothing waits, nothing is mixed."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from bench.plan.trial import Trial
from bench.train import measure_footprint as measuring
from bench.train.evaluation import evaluate
from bench.train.train_state import TrainState
from bench.train.trial_parts import TrialParts, build
from tests.builders.training import make_trial
from tests.gpu.fake_cuda import Device, MixedDevicesError, fake_cuda

AUGMENT = [{name: {"p": 0.5}} for name in ("hflip", "rotate", "crop", "elastic", "noise", "blur",
                                           "cutout", "contrast", "gamma")]  # fmt: skip
OWN = "tests.builders.own_parts"
MONAI = {"target": "monai.losses:TverskyLoss", "to_onehot_y": True, "softmax": True}
DIFFUSION: dict[str, Any] = {
    "task": {"name": "diffusion", "ddpm_steps": 2, "ddim_steps": 2, "samples": 2},
    "model": {"name": "ddpm_unet", "width": 0.05},
    "data": {"image_size": 16, "normalize": "symmetric"},
    "select": {"metric": "val/loss", "mode": "min"},
}
CLASSIFICATION: dict[str, Any] = {
    "task": {"name": "classification"},
    "model": {"name": "resnet", "depth": 18, "width": 0.05},
    "data": {"kinds": 3},
    "select": {"metric": "val/top1", "mode": "max"},
}


def model(name: str, **more: Any) -> dict[str, Any]:
    return {"model": {"name": name, **more}}


SMALL = {"width": 0.05}
CASES: dict[str, dict[str, Any]] = {
    "unet": {},
    "transposed": model("unet", upsample="transposed", **SMALL),
    "resnet34_unet": model("resnet34_unet", **SMALL),
    "resnet18_unet": model("resnet18_unet", **SMALL),
    "encoder_unet": model("encoder_unet", encoder="mobilenet_v3_small"),
    "diffusion": DIFFUSION,
    "classification": CLASSIFICATION,
    "augmented": {"augment": AUGMENT},
    "appended": {"augment": {"mode": "append", "transforms": AUGMENT}},
    "streamed": {"augment": AUGMENT, "machine": {"device": "cuda", "placement": "stream"}},
    "pinned": {"augment": AUGMENT, "machine": {"device": "cuda", "placement": "pinned"}},
    "fp32": {"train": {"precision": "fp32"}},
    "fp16": {"train": {"precision": "fp16"}},
    "averaged": {"train": {"ema": 0.9}},
    "clipped": {"train": {"clip_grad_norm": 1.0}},
    "parts": {"train": {"micro_batch": 2}},
    "bad steps passed over": {"train": {"bad_steps": 3}},
    "channels first": {"train": {"channels_last": False}},
    "sgd": {"train": {"optimizer": "sgd", "schedule": "one_cycle"}},
    "dice": {"train": {"loss": "cross_entropy+dice"}},
    "monai": {"train": {"loss": MONAI}},
    "own loss": {"train": {"loss": ["focal", {"target": f"{OWN}:ScaledCrossEntropy"}]}},
    "own optimizer": {"train": {"optimizer": {"target": f"{OWN}:Lion"}}},
    "class weights": {"train": {"loss": "focal", "class_weights": [1, 3], "sampler": "balanced"}},
    "steps and their mean": {"train": {"steps": 9, "swa": {"start": 0}}},
}


def on_cuda(**changes: Any) -> Trial:
    return make_trial(**{"machine": {"device": "cuda"}, **changes})


def trained(trial: Trial, device: Device) -> tuple[list[str], list[str]]:
    """What waited within an epoch's steps, and within the validation after it."""
    parts, train = build(trial), trial.settings.train
    parts.weight_classes()
    batches, val = parts.batches("train", train.batch_size), parts.batches("val")
    made = TrainState(parts.model, parts.task, train, parts.device, images=len(batches))
    assert all(device.has(weight) for weight in made.model.parameters())
    for epoch in (1, 2):  # tables are sent to the device when first used
        made.train()
        plan, losses = batches.plan(epoch), []
        device.waits.clear()
        for batch in batches.training(plan, epoch):
            assert device.has(batch.images)
            losses.append(made.step(batch))
    steps = list(device.waits)
    assert all(bool(loss.isfinite()) for loss in losses)
    device.waits.clear()
    evaluate(made.eval_model, parts.task, val, made.precision)
    return steps, list(device.waits)


@pytest.mark.parametrize("name", CASES)
def test_steps_do_not_wait_and_validation_does_at_its_end(name: str) -> None:
    with fake_cuda() as device:
        steps, validation = trained(on_cuda(**CASES[name]), device)
    assert steps == []
    assert validation, "its figures are read back"
    assert all(" compute" in wait for wait in validation), validation


def test_free_memory_is_read_before_the_trial_takes_any(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Trial] = []

    def note(trial: Trial) -> TrialParts:
        built.append(trial)
        return build(trial)

    monkeypatch.setattr(measuring, "build", note)
    monkeypatch.setattr(measuring, "_free", lambda _: 50.0 if built else 100.0)
    with fake_cuda():
        found = measuring.measure_footprint(on_cuda())
    assert (found.kind, found.free_mb, found.peak_mb) == ("allocated", 100.0, 1000.0)


def test_determinism_gives_cublas_a_fixed_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    build(make_trial())
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    build(make_trial(train={"deterministic": True}))
    try:
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(mode=False)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    build(make_trial(train={"deterministic": True}))
    torch.use_deterministic_algorithms(mode=False)
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_what_waits_is_seen() -> None:
    with fake_cuda() as device:
        x = torch.arange(3.0).to("cuda")
        assert device.waits.pop().startswith("to cuda")
        torch.arange(3.0).pin_memory().to("cuda", non_blocking=True)
        assert not device.waits
        for wait in (
            lambda: x.sum().item(), lambda: bool(x[0] > 1), lambda: x.tolist(), lambda: x.cpu(),
            lambda: x[x > 1], lambda: x.nonzero(), lambda: torch.tensor([1.0], device="cuda"),
            lambda: x[torch.tensor([0, 1])], torch.cuda.synchronize,
            lambda: x.copy_(torch.ones(3)),
        ):  # fmt: skip
            wait()
            assert len(device.waits) == 1, wait
            device.waits.clear()


def test_mixed_devices_raise() -> None:
    with fake_cuda() as device:
        x = torch.ones(3, device="cuda")
        assert x.is_cuda
        assert x.device == torch.device("cuda", 0)
        assert (x * 2 + torch.tensor(1.0)).is_cuda  # one number goes everywhere
        assert not x.cpu().is_cuda
        assert torch.zeros_like(x).is_cuda
        with pytest.raises(MixedDevicesError):
            x + torch.ones(3)
        layer = torch.nn.Linear(3, 1).to("cuda")
        with pytest.raises(MixedDevicesError):
            layer(torch.ones(2, 3))
        layer(torch.ones(2, 3, device="cuda")).sum().backward()
        assert layer.weight.grad is not None
        assert device.has(layer.weight.grad)
