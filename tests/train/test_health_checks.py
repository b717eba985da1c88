"""Each finding made to appear by a small real training, and none in a healthy one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.health import HealthIssue
from bench.history_row import HistoryRow
from bench.spec.schema import SelectSettings, TrialSettings
from bench.spec.train_settings import TrainSettings
from bench.train import checkpoint, loop
from bench.train.evaluation import Evaluated
from bench.train.health_checks import HealthMonitor, frozen_loss
from bench.train.loop import Interrupted
from bench.train.placement import Placement
from tests.builders.health import SHAPES, findings, net, recorded
from tests.builders.training import SETTINGS

DICE = SelectSettings(metric="val/dice", mode="max")

TINY = {"data": SHAPES | {"train": 16}, "train": {"epochs": 10, "batch_size": 4}}


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"name": "unet", "width": 0.1}} | TINY,
        {"model": {"name": "resnet34_unet", "width": 0.1}} | TINY,
        {"augment": [{"elastic": {"p": 0.5}}, "hflip"], "train": {"optimizer": "sgd", "lr": 0.1}},
        {"model": net(momentum=0.6), "train": {"epochs": 1}},
        {"model": net(frozen=True), "train": {"ema": 0.8, "weight_decay": 0.01}},
        {"train": {"schedule": "one_cycle", "bad_steps": 1}},
    ],
)
def test_healthy(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = recorded(tmp_path, **changes).facts
    assert {k: v for k, v in found.items() if k.startswith("health")} == {"health": "healthy"}


def test_batch_norm_of_smaller_batches_is_reported(tmp_path: Path) -> None:
    model = {"name": "resnet18_unet", "width": 0.05}
    found = findings(tmp_path, model=model, train={"micro_batch": 3, "epochs": 1})
    text = "BatchNorm takes its statistics from 3 images, of batches of 8"
    assert found[HealthIssue.SMALL_BATCHES].text == text


def test_a_loss_that_is_not_finite_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loop.evaluate_images
    calls = iter(range(99))

    def overflowing(*arguments: Any, **options: Any) -> Evaluated:
        found = whole(*arguments, **options)
        loss = {"loss": math.inf} if next(calls) == 1 else {}
        return found._replace(metrics=found.metrics | loss)

    monkeypatch.setattr(loop, "evaluate_images", overflowing)
    found = findings(tmp_path)
    assert found[HealthIssue.NOT_FINITE].text == "in 1 of 4 epochs, first in 2"


UNET = {"model": {"name": "resnet18_unet", "width": 0.1}}
ENCODER = {"model": {"name": "encoder_unet", "encoder": "efficientnet_b0", "width": 0.1}}
RESNET = {"name": "resnet", "depth": 18, "width": 0.1}
NOISE = {
    "data": SHAPES | {"normalize": "symmetric"},
    "task": {"name": "diffusion", "samples": 1, "ddim_steps": 1, "ddpm_steps": 1},
    "select": {"metric": "val/loss", "mode": "min"},
}
KINDS = {
    "data": SHAPES | {"kinds": 3},
    "task": {"name": "classification"},
    "select": {"metric": "val/top1"},
}


@pytest.mark.parametrize(
    "changes",
    [
        UNET | {"train": {"freeze": "encoder"}},
        UNET | {"train": {"freeze": "encoder", "freeze_statistics": False}},
        UNET | {"train": {"freeze": {"up_to": "layer2"}, "unfreeze_epoch": 2, "epochs": 2}},
        # the last batch is of one image, whose stochastic depth leaves blocks out
        ENCODER | {"data": SHAPES | {"train": 21}, "train": {"epochs": 1, "batch_size": 4}},
        NOISE | {"model": {"name": "ddpm_unet", "width": 0.125}, "train": {"epochs": 1}},
        KINDS | {"model": RESNET | {"norm": "none"}},
        KINDS | {"model": RESNET | {"zero_init": True}, "train": {"optimizer": "sgd"}},
    ],
)
def test_no_part_is_accused(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Too short to have learnt anything, and yet all parts are as they are meant to be."""
    changes["train"] = {"epochs": 1} | changes.get("train", {})
    short = {HealthIssue.BELOW_BASELINE, HealthIssue.STATISTICS_LAG}
    assert findings(tmp_path, **changes).keys() <= short


def test_worse_than_trivial(tmp_path: Path) -> None:
    found = findings(tmp_path, train={"lr": 1e-9, "epochs": 1}, model=net(momentum=0.6), seed=1)
    assert list(found) == [HealthIssue.BELOW_BASELINE]
    assert "the trivial prediction's 0.4" in found[HealthIssue.BELOW_BASELINE].text


def test_as_good_as_trivial_is_not_better() -> None:
    health = HealthMonitor(nn.Conv2d(1, 1, 1), torch.optim.Adam([torch.zeros(1)]), TrainSettings())

    def kinds(best: float | None, baseline: float | None, mode: str) -> list[HealthIssue]:
        select = SelectSettings.model_validate({"metric": "val/x", "mode": mode})
        return [f.kind for f in health.findings([], select, best=best, baseline=baseline)]

    assert kinds(0.5, 0.5, "max") == kinds(0.5, 0.5, "min") == [HealthIssue.BELOW_BASELINE]
    assert kinds(0.6, 0.5, "min") == kinds(0.4, 0.5, "max") == [HealthIssue.BELOW_BASELINE]
    assert kinds(0.4, 0.5, "min") == kinds(0.6, 0.5, "max") == []
    assert kinds(None, 0.5, "max") == kinds(0.4, None, "max") == []
    # better by rounding only: less than 1e-5 of it
    assert (
        kinds(0.500004, 0.5, "max") == kinds(0.499996, 0.5, "min") == [HealthIssue.BELOW_BASELINE]
    )
    assert kinds(0.500006, 0.5, "max") == kinds(0.499994, 0.5, "min") == []
    assert kinds(1e-9, 0.0, "max") == []  # beside 0 nothing is close


def test_the_leak_is_found_and_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(tmp_path, mistakes=["eval_mode_leak"])
    assert list(found) == [HealthIssue.STATISTICS_STOPPED, HealthIssue.MISTAKE]
    assert all(finding.expected for finding in found.values())
    text = "BatchNorm's running statistics of norm stood still in 3 of 4 epochs, first in epoch 2"
    assert found[HealthIssue.STATISTICS_STOPPED].text == text
    assert f"health: {text} (expected): validation normalises by" in capsys.readouterr().out


@pytest.mark.parametrize("mistake", ["unpaired_masks", "grad_in_validation"])
def test_mistakes_on_purpose_are_named(tmp_path: Path, mistake: str) -> None:
    found = findings(tmp_path, mistakes=[mistake], augment=["hflip"])
    assert list(found) == [HealthIssue.MISTAKE]
    assert found[HealthIssue.MISTAKE].expected
    assert found[HealthIssue.MISTAKE].text.startswith(mistake)


def test_parameters_without_gradient(tmp_path: Path) -> None:
    """1×1 from 8 to 4 channels with biases: 36; BatchNorm of 4 channels: 8."""
    found = findings(tmp_path, model=net(unused=True))
    assert {kind: finding.text for kind, finding in found.items()} == {
        HealthIssue.NO_GRADIENT: "no gradient ever reached spare (44 parameters)"
    }


@pytest.mark.parametrize(
    ("weight_decay", "epochs", "found"), [(0.0, 1, 1), (0.1, 2, 0), (0.1, 3, 1)]
)
def test_where_the_optimizer_tells_nothing_epochs_do(
    tmp_path: Path, weight_decay: float, epochs: int, found: int
) -> None:
    train = {"weight_decay": weight_decay, "epochs": epochs}
    model = net(unused=True, momentum=0.6)
    assert (HealthIssue.NO_GRADIENT in findings(tmp_path, model=model, train=train)) == found


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_layer_left_out_of_last_steps_is_trained(tmp_path: Path, optimizer: str) -> None:
    """36 images in batches of 8: the last one is of 4, and passes `middle` over."""
    data, train = SHAPES | {"train": 36}, {"optimizer": optimizer}
    assert findings(tmp_path, data=data, train=train, model=net(skipped=True)) == {}


@pytest.mark.parametrize(
    ("optimizer", "epochs", "steps", "found"),
    [
        ("adam", 1, 4, False), ("adam", 1, 5, True), ("adam", 2, 2, False), ("adam", 5, 1, True),
        ("sgd", 2, 9, False), ("sgd", 3, 1, False), ("sgd", 3, 2, True), ("sgd", 1, 99, False),
    ],
)  # fmt: skip
def test_when_it_is_sure_that_no_gradient_comes(
    optimizer: str, epochs: int, steps: int, found: bool
) -> None:
    """Five steps where the optimizer remembers gradients; without, three epochs as well."""
    layer = nn.Linear(2, 2, bias=False)
    settings = TrainSettings.model_validate({"optimizer": optimizer, "momentum": 0.0})
    health = HealthMonitor(layer, torch.optim.Adam(layer.parameters()), settings)
    for _ in range(epochs):
        health.observe_epoch(steps)
    kinds = [f.kind for f in health.findings([], DICE, best=None, baseline=None)]
    assert kinds == [HealthIssue.NO_GRADIENT] * found


def test_a_bias_that_is_cancelled_is_no_fault() -> None:
    layer = nn.Linear(2, 2)
    health = HealthMonitor(layer, torch.optim.AdamW(layer.parameters()), TrainSettings())
    layer.weight.grad, layer.bias.grad = torch.full((2, 2), math.nan), torch.zeros(2)
    health.observe_epoch(9)
    assert health.findings([], DICE, best=None, baseline=None) == []
    layer.weight.grad, layer.bias.grad = torch.zeros(2, 2), torch.ones(2)
    other = HealthMonitor(layer, torch.optim.AdamW(layer.parameters()), TrainSettings())
    other.observe_epoch(9)
    (found,) = other.findings([], DICE, best=None, baseline=None)
    assert found.text == "no gradient ever reached weight (4 parameters)"


def test_a_dead_network(tmp_path: Path) -> None:
    found = findings(tmp_path, model=net(dead=True))
    assert {HealthIssue.NO_GRADIENT, HealthIssue.LOSS_FROZEN} <= found.keys()
    assert found[HealthIssue.NO_GRADIENT].text.startswith(
        "no gradient ever reached the whole model ("
    )
    assert (
        found[HealthIssue.LOSS_FROZEN].text
        == "the training loss is 0.693147 in each epoch from 1 to 4"
    )


def rows(losses: list[float], rates: list[float] | None = None) -> list[HistoryRow]:
    pairs = zip(losses, rates or [1e-3] * len(losses), strict=True)
    return [{"epoch": i, "train/loss": loss, "lr": lr} for i, (loss, lr) in enumerate(pairs, 1)]


@pytest.mark.parametrize(
    ("history", "epochs"),
    [
        (rows([0.9, 0.5, 0.5, 0.5 + 1e-7]), "from 2 to 4"),
        (rows([0.5, 0.5]), None),  # too few to say
        (rows([0.5, 0.5, 0.5, 0.4]), None),  # it moved in the end
        (rows([0.50001, 0.50002, 0.50003]), None),
        (rows([0.5, 0.0, 0.0, 0.0]), None),  # all is learnt
        (rows([0.0, 0.0, 0.0]), "from 1 to 3"),  # there was nothing to learn
        (rows([0.5, 0.4, 0.4, 0.4], [1e-3, 1e-3, 1e-6, 1e-7]), None),  # the schedule has ended
        ([], None),
    ],
)
def test_frozen_loss(history: list[HistoryRow], epochs: str | None) -> None:
    found = frozen_loss(history)
    assert found is None if epochs is None else epochs in (found or "")


def test_findings_of_a_resumed_trial_are_the_same(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "model": net(unused=True, momentum=0.01),
        "mistakes": ["eval_mode_leak"],
        "train": {"ema": 0.99},
    }
    whole = findings(tmp_path / "whole", **changes)
    assert whole.keys() == {
        HealthIssue.BELOW_BASELINE,
        HealthIssue.STATISTICS_STOPPED,
        HealthIssue.AVERAGE_LAG,
        HealthIssue.NO_GRADIENT,
        HealthIssue.MISTAKE,
    }
    with pytest.raises(Interrupted):
        recorded(tmp_path / "cut", stop_after=12, **changes)
    assert findings(tmp_path / "cut", **changes) == whole


def test_a_state_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        recorded(tmp_path, stop_after=12)
    state = checkpoint.load(tmp_path / "last.pt")
    checkpoint.save(tmp_path / "last.pt", {k: v for k, v in state.items() if k != "health"})
    assert findings(tmp_path) == {}


def test_training_is_the_same_to_the_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(tmp_path / "looked")
    monkeypatch.setattr(HealthMonitor, "observe_epoch", lambda self, steps: None)
    recorded(tmp_path / "not")
    states = [checkpoint.load(tmp_path / name / "last.pt") for name in ("looked", "not")]
    for name, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][name]), name


@pytest.mark.parametrize("metric", ["test/dice", "test_dice", "dice", "train/loss"])
def test_no_epoch_can_be_selected_on_the_test_split(metric: str) -> None:
    with pytest.raises(ValueError, match="unknown metric"):
        TrialSettings.model_validate(SETTINGS | {"select": {"metric": metric}})


def test_the_test_split_is_first_read_when_training_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Early stopping, schedule and selection cannot use what is not read."""
    asked: list[str] = []
    take = Placement.__getitem__

    def noted(self: Placement, split: str) -> Any:
        asked.append("best.pt" if (tmp_path / "best.pt").exists() else "")
        asked.append(split)
        return take(self, split)

    monkeypatch.setattr(Placement, "__getitem__", noted)
    recorded(tmp_path, train={"early_stopping": {"patience": 2}})
    first = asked.index("test")
    assert asked[first - 1] == "best.pt"
    assert set(asked[:first]) == {"", "train", "val", "best.pt"}
