"""What is frozen stays to the bit, costs nothing in the optimizer, and thaws on time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.models.weights import encoder_names
from bench.train import checkpoint
from bench.train.freeze import Freezing
from bench.train.loop import Interrupted, Training
from bench.train.session import train_trial
from bench.train.trial_parts import TrialParts, build
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

MODEL = {"name": "resnet18_unet", "width": 0.05}
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def parts_of(**train: Any) -> TrialParts:
    return build(make_trial(model=MODEL, train={"epochs": 2, "batch_size": 6} | train))


def training_of(parts: TrialParts, folder: Path, stop_after: int | None = None) -> Training:
    return Training(
        parts.trial, parts.model, parts.task,
        parts.batches("train", 6), parts.batches("val"), samples=parts.samples("val"),
            fingerprint="f",
        device=parts.device, recorder=MemoryRecorder(folder), signals=Silent(stop_after),
    )  # fmt: skip


def trained(folder: Path, stop_after: int | None = None, **train: Any) -> MemoryRecorder:
    recorder = MemoryRecorder(folder)
    trial = make_trial(model=MODEL, train={"epochs": 4, "batch_size": 6} | train)
    train_trial(trial, recorder, Silent(stop_after))
    return recorder


def before_and_after(folder: Path, **changes: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The state dicts of a trial's model at its start and at its end."""
    before = build(make_trial(model=MODEL, **changes)).model.state_dict()
    train_trial(make_trial(model=MODEL, **changes), MemoryRecorder(folder), Silent())
    return before, checkpoint.load(folder / "last.pt")["model"]


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def in_stage(name: str, *stages: str) -> bool:
    """Whether a tensor is in one of ResNet's stages."""
    _, first, *_ = name.split(".")
    return ("stem" if first in ("conv1", "bn1") else first) in stages


def is_statistic(name: str) -> bool:
    return name.endswith(STATISTICS)


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("held", [True, False])
def test_a_frozen_encoder_stays_to_the_bit(tmp_path: Path, held: bool, ema: float | None) -> None:
    train = {"freeze": "encoder", "freeze_statistics": held, "weight_decay": 0.1, "ema": ema}
    before, after = before_and_after(tmp_path, train=train)
    encoder = set(encoder_names(parts_of().model))
    assert len(encoder) == 120
    statistics = {name for name in encoder if is_statistic(name)}
    assert moved(before, after) & encoder == (set() if held else statistics)
    assert moved(before, after) - encoder == set(before) - encoder
    if ema:
        kept = checkpoint.load(tmp_path / "best.pt")["model"]
        assert moved(before, kept) & encoder == (set() if held else statistics)


def test_up_to_a_stage(tmp_path: Path) -> None:
    before, after = before_and_after(tmp_path, train={"freeze": {"up_to": "layer2"}})
    encoder = set(encoder_names(parts_of().model))
    frozen = {name for name in encoder if in_stage(name, "stem", "layer1", "layer2")}
    assert len(frozen) == 60
    assert moved(before, after) == set(before) - frozen


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_leak_holds_all_statistics_from_epoch_2(tmp_path: Path, epochs: int) -> None:
    """Frozen with moving statistics, under the published mistake: they move in epoch 1 only."""
    train = {"freeze": "encoder", "freeze_statistics": False, "epochs": epochs, "batch_size": 6}
    _, after = before_and_after(tmp_path, train=train, mistakes=["eval_mode_leak"])
    counts = {int(value) for name, value in after.items() if name.endswith(STATISTICS[2])}
    assert counts == {2}


def test_frozen_parameters_have_neither_gradient_nor_state(tmp_path: Path) -> None:
    parts = parts_of(freeze="encoder")
    training = training_of(parts, tmp_path)
    training.run()
    named = dict(parts.model.named_parameters())
    encoder = {named[name] for name in encoder_names(parts.model) if name in named}
    rest = set(named.values()) - encoder
    assert {p for p in named.values() if p.grad is not None} == rest
    assert set(training.optimizer.state) == rest
    assert training.freezing.trainable == sum(p.numel() for p in rest)


def recorded(parts: TrialParts) -> list[str]:
    """The stages whose outputs autograd has recorded something for, in a training step."""
    found: list[str] = []

    def note(stage: str, output: Tensor) -> None:
        if output.grad_fn is not None:
            found.append(stage)

    handles = [
        modules[-1].register_forward_hook(lambda _m, _i, output, stage=stage: note(stage, output))
        for stage, modules in parts.model.encoder_parts().items()  # type: ignore[operator]
    ]
    batch = next(iter(parts.batches("train", 6).in_order()))
    parts.task.loss(parts.model, batch)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("encoder", ["efficientnet_b0", "swin_t"])
@pytest.mark.parametrize("held", [True, False])
def test_a_frozen_encoder_is_a_fixed_function(encoder: str, held: bool) -> None:
    """Stochastic depth and dropout are off in it, but not in an encoder that is trained."""
    model = {"name": "encoder_unet", "encoder": encoder, "width": 0.25}
    images = torch.rand(2, 3, 32, 32)
    for freeze in ("none", "encoder"):
        train = {"freeze": freeze, "freeze_statistics": held}
        parts = build(make_trial(model=model, train=train))
        freezing = Freezing(parts.model, parts.trial.settings.train)
        parts.model.train()
        freezing.freeze_to_eval()
        once, again = ([*parts.model.encoder(images).values()][-1] for _ in range(2))  # type: ignore[operator]
        assert torch.equal(once, again) == (freeze == "encoder")
        norms = [m for m in parts.model.encoder.modules() if isinstance(m, nn.BatchNorm2d)]  # type: ignore[union-attr]
        assert all(norm.training == (freeze == "none" or not held) for norm in norms)


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize(
    ("freeze", "expected"),
    [
        ("none", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ({"up_to": "layer2"}, ["layer3", "layer4"]),
        ("encoder", []),
    ],
)
def test_no_backward_pass_before_the_first_trained_layer(
    freeze: Any, expected: list[str], held: bool
) -> None:
    parts = parts_of(freeze=freeze, freeze_statistics=held)
    freezing = Freezing(parts.model, parts.trial.settings.train)
    parts.model.train()
    freezing.freeze_to_eval()
    assert recorded(parts) == expected


def test_the_encoders_own_learning_rate_on_the_same_schedule(tmp_path: Path) -> None:
    parts = parts_of(encoder_lr=1e-4, lr=1e-2, schedule="cosine", optimizer="sgd", momentum=0.0)
    training = training_of(parts, tmp_path)
    before = {name: p.detach().clone() for name, p in parts.model.named_parameters()}
    main, encoder = training.optimizer.param_groups
    assert len(main["params"]) + len(encoder["params"]) == len(before)
    assert len(encoder["params"]) == 60
    training.run()
    assert main["lr"] == pytest.approx(100 * encoder["lr"])
    assert encoder["lr"] == pytest.approx(
        1e-4 * 0.5 * (1 + torch.cos(torch.tensor(0.875 * torch.pi)))
    )
    assert training.progress.history[-1]["lr"] == main["lr"]
    convolutions = {name for name in before if ".conv" in name}
    assert convolutions <= moved(before, dict(parts.model.named_parameters()))


def test_unfreezing_adds_a_group_and_trains_it(tmp_path: Path) -> None:
    parts = parts_of(freeze="encoder", unfreeze_epoch=3, epochs=4, encoder_lr=1e-4)
    encoder = encoder_names(parts.model)
    start = {name: value.clone() for name, value in parts.model.state_dict().items()}
    training = training_of(parts, tmp_path, stop_after=4)  # stops in the first step of epoch 3
    with pytest.raises(Interrupted):
        training.run()
    kept = checkpoint.load(tmp_path / "last.pt")
    assert len(kept["progress"]["history"]) == 2
    assert not moved(start, kept["model"]) & set(encoder)
    assert len(kept["optimizer"]["param_groups"]) == 1
    added = training.optimizer.param_groups[1]
    assert (added["peak"], len(added["params"])) == (1e-4, 60)
    training_of(parts_of(freeze="encoder", unfreeze_epoch=3, epochs=4), tmp_path).run()
    # statistics move again as well
    assert moved(start, checkpoint.load(tmp_path / "last.pt")["model"]) >= set(encoder)


# 2 steps an epoch: cut in epoch 1, at the end of epoch 2, in epoch 3, which unfreezes, and after it
@pytest.mark.parametrize("steps", [1, 4, 5, 6, 7])
@pytest.mark.parametrize(
    "options",
    [
        {"encoder_lr": 3e-4, "schedule": "one_cycle"},
        {"freeze_statistics": False, "optimizer": "sgd", "ema": 0.9},
        {"freeze": {"up_to": "layer3"}, "encoder_lr": 1e-4},
    ],
)
def test_resuming_across_the_unfreezing_is_exact(
    tmp_path: Path, steps: int, options: dict[str, Any]
) -> None:
    train = {"freeze": "encoder", "unfreeze_epoch": 3} | options
    whole = trained(tmp_path / "whole", **train)
    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", stop_after=steps, **train)
    resumed = trained(tmp_path / "cut", **train)
    assert results(resumed.rows) == results(whole.rows)
    assert resumed.facts["trainable_params"] == whole.facts["trainable_params"]
    states = [checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "cut")]
    assert not moved(states[0]["model"], states[1]["model"])
    optimizers = [state["optimizer"] for state in states]
    assert optimizers[0]["param_groups"] == optimizers[1]["param_groups"]
    for index, state in optimizers[0]["state"].items():
        for key, value in state.items():
            assert torch.equal(
                torch.as_tensor(value), torch.as_tensor(optimizers[1]["state"][index][key])
            )


def test_the_record_counts_what_is_trained(tmp_path: Path) -> None:
    model = parts_of().model
    total = sum(p.numel() for p in model.parameters())
    encoder = sum(
        dict(model.named_parameters())[n].numel()
        for n in encoder_names(model)
        if not is_statistic(n)
    )
    found = trained(tmp_path / "frozen", freeze="encoder", epochs=1).facts
    assert found["trainable_params"] == total - encoder < total
    assert trained(tmp_path / "not", epochs=1).facts["trainable_params"] == total


def test_a_model_without_parts_of_an_encoder_is_reported_before_training(tmp_path: Path) -> None:
    trial = make_trial(
        model={"target": "bench.models.unet:UNet", "width": 0.05}, train={"freeze": "encoder"}
    )
    recorder = MemoryRecorder(tmp_path)
    with pytest.raises(BenchError, match=r"train\.freeze: UNet has no method encoder_parts\(\)"):
        train_trial(trial, recorder, Silent())
    assert recorder.rows == []


class Own(nn.Module):
    """A model of somebody's, all of it an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 2, 1)

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        return {"body": [self.body]}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (
            {"freeze": {"up_to": "bodi"}},
            r"train\.freeze\.up_to: no stage 'bodi' \(did you mean 'body'",
        ),
        ({"freeze": "encoder"}, r"train\.freeze: leaves nothing to train"),
    ],
)
def test_own_models_are_checked_too(train: dict[str, Any], message: str) -> None:
    target = {"target": "tests.train.test_freeze:Own"}
    settings = make_trial(model=target, train=train).settings.train
    with pytest.raises(BenchError, match=message):
        Freezing(Own(), settings)
