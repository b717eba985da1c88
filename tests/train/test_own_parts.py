"""Optimizers, schedules, samplers and losses of one's own in training."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bench.errors import SpecError
from bench.plan.trial import Trial
from bench.spec.schema import SelectSettings
from bench.spec.train_parts import GradientNoiseSettings
from bench.spec.train_settings import TrainSettings
from bench.tasks.base import task_state
from bench.train import checkpoint
from bench.train.average import WeightAverage
from bench.train.batchnorm import update_batchnorm
from bench.train.check_parts import check_parts
from bench.train.gradient_noise import GradientNoise
from bench.train.loop import Interrupted
from bench.train.optim import learning_rate, make_optimizer
from bench.train.samplers import (
    balanced_class_weights,
    balanced_sample_weights,
    class_counts,
)
from bench.train.schedules import PlateauSchedule, make_schedule
from bench.train.session import train_trial
from bench.train.train_state import TrainState
from bench.train.trial_parts import build
from tests.builders.own_parts import Lion
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

OWN = "tests.builders.own_parts"
LION = {"target": f"{OWN}:Lion", "betas": [0.9, 0.95]}
SELECT = SelectSettings(metric="val/dice", mode="max")


def settings(**train: Any) -> TrainSettings:
    return TrainSettings.model_validate({"epochs": 10, "lr": 0.1, **train})


def group(peak: float = 0.1) -> list[dict[str, Any]]:
    return [{"params": [nn.Parameter(torch.zeros(2))], "peak": peak}]


def trained(trial: Trial, folder: Path, stop_after: int | None = None) -> MemoryRecorder:
    folder.mkdir(exist_ok=True)
    recorder = MemoryRecorder(folder)
    train_trial(trial, recorder, Silent(stop_after))
    return recorder


# --- optimizers


def test_an_own_optimizer_takes_the_steps_it_takes_elsewhere() -> None:
    chosen = settings(optimizer=LION, weight_decay=0.01)
    ours, theirs = nn.Linear(3, 1), nn.Linear(3, 1)
    theirs.load_state_dict(ours.state_dict())
    made = make_optimizer([{"params": list(ours.parameters()), "peak": 0.1}], chosen)
    own = Lion(theirs.parameters(), lr=0.1, betas=(0.9, 0.95), weight_decay=0.01)
    assert type(made).__name__ == "Lion"
    for _ in range(3):
        for layer, optimizer in ((ours, made), (theirs, own)):
            optimizer.zero_grad()
            layer(torch.ones(2, 3)).square().sum().backward()
            optimizer.step()
    assert torch.equal(ours.weight, theirs.weight)


def test_torchs_other_optimizers_by_target() -> None:
    made = make_optimizer(group(), settings(optimizer={"target": "torch.optim:NAdam"}))
    assert isinstance(made, torch.optim.NAdam)
    assert made.param_groups[0]["lr"] == 0.1
    assert made.param_groups[0]["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("train", "says"),
    [
        ({"optimizer": {"target": f"{OWN}:Forgetful"}}, "goes on otherwise after its `state_dict`"),
        ({"optimizer": {"target": "torch.optim:LBFGS"}}, "closure"),
        ({"optimizer": {"target": "torch.nn:Linear"}}, "cannot be built"),
        ({"optimizer": {**LION, "gamma": 1}}, "gamma"),
        ({"optimizer": LION, "bad_steps": 2}, "must be 0"),
        ({"schedule": {"target": "torch.nn:Flatten"}}, "function of the epochs"),
        (
            {
                "schedule": {
                    "target": "torch.optim.lr_scheduler:CosineAnnealingLR",
                    "T_max": 3,
                },
                "warmup_epochs": 1.0,
            },
            "cannot be combined with the scheduler",
        ),
        ({"loss": {"target": "torch.nn:BCEWithLogitsLoss"}}, "set targets: one_hot"),
    ],
)
def test_parts_that_do_not_work_are_refused_before_training(
    train: dict[str, Any], says: str
) -> None:
    with pytest.raises(SpecError) as caught:
        check_parts(make_trial(train=train))
    assert says in str(caught.value)
    assert str(caught.value.key).startswith("train.")


def test_the_learning_rate_is_trains() -> None:
    with pytest.raises(ValueError, match=r"is train\.lr"):
        settings(optimizer={**LION, "lr": 1e-4})


# --- schedules


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("polynomial", [0.1, 0.1 * 0.5**0.9, 0.1 * 0.01**0.9]),
        ({"name": "polynomial", "power": 2.0}, [0.1, 0.025, 0.1 * 1e-4]),
        ({"name": "step", "every": 3, "factor": 0.5}, [0.1, 0.05, 0.0125]),
        ({"name": "step", "at": [5, 6]}, [0.1, 0.01, 0.001]),
    ],
)
def test_formulas(schedule: Any, expected: list[float]) -> None:
    chosen = settings(schedule=schedule)
    found = [learning_rate(chosen, done, 0.1) for done in (0.0, 5.0, 9.9)]
    assert found == pytest.approx(expected)


def test_formulas_agree_with_torch() -> None:
    chosen = settings(schedule={"name": "polynomial", "power": 0.7})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10, power=0.7)
    for epoch in range(10):
        assert learning_rate(chosen, float(epoch), 0.1) == pytest.approx(
            optimizer.param_groups[0]["lr"]
        )
        optimizer.step()
        theirs.step()


def test_a_plateau_falls_as_torchs_does() -> None:
    values = [0.1, 0.3, 0.3, 0.31, 0.2, 0.2, 0.2, 0.2, 0.4, 0.1, 0.1, 0.1, None, 0.1]
    plateau = {"name": "plateau", "patience": 2, "factor": 0.5, "min_delta": 0.05}
    mine = torch.optim.SGD([{"params": [nn.Parameter(torch.zeros(1))], "peak": 0.1}], lr=0.1)
    chosen = settings(schedule=plateau, epochs=20)
    schedule = make_schedule(mine, chosen, SELECT)
    assert isinstance(schedule, PlateauSchedule)
    other = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        other, "max", factor=0.5, patience=2, threshold=0.05, threshold_mode="abs"
    )
    history: list[dict[str, Any]] = []
    for value in values:
        history.append({"val/dice": value})
        schedule.after_epoch(history)
        schedule.before_step(float(len(history)))
        theirs.step(-1.0 if value is None else value)
        assert mine.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"])
    assert mine.param_groups[0]["lr"] < 0.1


@pytest.mark.parametrize(
    ("target", "arguments", "expected"),
    [
        ("sawtooth", {}, [1.0, 0.5, 0.5]),
        ("sawtooth", {"teeth": 1.0}, [1.0, 0.75, 0.75]),
        ("make_sawtooth", {}, [1.0, 0.975, 0.875]),
    ],
)
def test_an_own_function_is_a_factor_of_the_learning_rate(
    target: str, arguments: dict[str, Any], expected: list[float]
) -> None:
    chosen = settings(schedule={"target": f"{OWN}:{target}", **arguments})
    optimizer = make_optimizer(group(), chosen)
    schedule = make_schedule(optimizer, chosen, SELECT)
    found = []
    for done in (0.0, 0.25, 1.25):
        schedule.before_step(done)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([0.1 * factor for factor in expected])


# --- samplers


def test_balanced_weights_are_scikit_learns() -> None:
    counts = F.one_hot(torch.tensor([0, 0, 0, 1, 2, 2]), 4)
    # 6 samples, 3 classes that are there: 6 / (3 · n)
    assert balanced_class_weights(counts).tolist() == pytest.approx([2 / 3, 2, 1, 0])
    weights = balanced_sample_weights(counts)
    assert weights.tolist() == pytest.approx([1 / 3] * 3 + [1] + [1 / 2] * 2)


def test_a_balanced_epoch_has_each_class_about_equally_often() -> None:
    trial = make_trial(
        task={"name": "classification"},
        data={"name": "shapes", "image_size": 16, "kinds": 2, "train": 200, "val": 4, "test": 4},
        model={"name": "resnet", "depth": 18, "width": 0.05},
        select={"metric": "val/top1", "mode": "max"},
        train={"sampler": "balanced"},
    )
    parts = build(trial)
    split = parts.data.splits["train"]
    labels = torch.from_numpy(split.labels.copy())
    batches = parts.batches("train", 5)
    drawn = torch.stack([labels[batches.plan(e).order] for e in range(1, 21)])
    share = (drawn == 0).double().mean().item()
    assert share == pytest.approx(0.5, abs=4 * (0.25 / drawn.numel()) ** 0.5)
    again = parts.batches("train", 5).plan(3).order
    assert torch.equal(again, batches.plan(3).order)
    assert not torch.equal(again, batches.plan(4).order)
    counts = class_counts(split, "label", parts.task.count_classes)
    assert counts.sum().item() == 200


def test_an_own_sampler_says_the_order() -> None:
    trial = make_trial(train={"sampler": {"target": f"{OWN}:EvenFirst"}})
    order = build(trial).batches("train", 5).plan(1).order
    assert order[:6].remainder(2).sum() == 0
    assert sorted(order.tolist()) == list(range(12))
    weighted = {"target": "torch.utils.data:WeightedRandomSampler", "num_samples": 30}
    drawn = build(make_trial(train={"sampler": weighted})).batches("train", 5).plan(1).order
    assert len(drawn) == 30


def test_copies_follow_their_originals_where_a_sampler_says_the_order() -> None:
    trial = make_trial(
        train={"sampler": {"target": f"{OWN}:EvenFirst"}},
        augment={"mode": "append", "transforms": [{"hflip": {"p": 0.5}}]},
    )
    plan = build(trial).batches("train", 5).plan(1)
    assert len(plan.order) == 12 + int(plan.chosen.any(1).sum())
    copies = plan.chosen.any(1).nonzero().flatten()
    assert len(copies)
    assert torch.equal(plan.order[copies], plan.order[copies - 1])


# --- steps


def test_steps_are_spread_over_epochs_and_pass_over_all_images() -> None:
    trial = make_trial(train={"steps": 17, "epochs": 3, "batch_size": 5})
    batches = build(trial).batches("train", 5)
    plans = [batches.plan(epoch) for epoch in (1, 2, 3)]
    assert [batches.steps(plan) for plan in plans] == [6, 5, 6]
    order = torch.cat([plan.order for plan in plans])
    assert len(order) == 17 * 5
    for start in range(0, 84, 12):
        assert sorted(order[start : start + 12].tolist()) == list(range(12))


# --- averaging


def test_swa_is_the_mean_of_the_epochs_weights() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average, seen = WeightAverage(model, None), []
    for value in (1.0, 4.0, 7.0):
        with torch.no_grad():
            model[0].weight.fill_(value)
            model[1].running_mean.fill_(2 * value)
        seen.append(value)
        average.update()
        assert average.module[0].weight.mean().item() == pytest.approx(sum(seen) / len(seen))
    assert average.module[1].running_mean.mean().item() == pytest.approx(8)


def test_swa_is_validated_from_its_start_on(tmp_path: Path) -> None:
    plain = trained(make_trial(train={"epochs": 4}), tmp_path / "plain")
    swa = trained(make_trial(train={"epochs": 4, "swa": {"start": 0.5}}), tmp_path / "swa")
    with_, without = results(swa.rows), results(plain.rows)
    assert with_[:2] == without[:2]
    for averaged, last in zip(with_[2:], without[2:], strict=True):
        assert averaged["train/loss"] == last["train/loss"]
        assert averaged["val/loss"] != last["val/loss"]


@pytest.mark.parametrize("frozen", [False, True])
def test_batchnorm_of_averaged_weights_is_what_torch_computes(frozen: bool) -> None:
    """`update_bn` over the same batches; what is held still keeps what it has."""
    parts = build(make_trial(augment=["hflip"]))
    batches, model = parts.batches("train", 5), parts.model.train()
    averaged, expected = copy.deepcopy(model), copy.deepcopy(model)
    if frozen:
        model.eval()
    plan = batches.plan(1)
    given = batches.training(plan, 1)
    update_batchnorm(averaged, model, parts.task, given, parts.precision())
    if not frozen:
        images = [batch.images for batch in batches.training(plan, 1)]
        torch.optim.swa_utils.update_bn(images, expected)
    for (name, ours), theirs in zip(
        averaged.state_dict().items(), expected.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert [m.training for m in averaged.modules()] == [m.training for m in model.modules()]


# --- gradient noise


def test_gradient_noise_has_the_variance_of_its_step_and_belongs_to_it() -> None:
    settings = GradientNoiseSettings(eta=0.3, gamma=0.55)
    weight = nn.Parameter(torch.zeros(200_000))
    optimizer = torch.optim.SGD([weight], lr=1.0)

    def noise(step: int, seed: int = 0) -> torch.Tensor:
        made = GradientNoise(settings, seed, torch.device("cpu"))
        made.step, weight.grad = step, torch.ones_like(weight)
        made.add(optimizer)
        return weight.grad - 1

    for step in (0, 7, 99):
        found, variance = noise(step), 0.3 / (1 + step) ** 0.55
        assert found.mean().item() == pytest.approx(0, abs=4 * math.sqrt(variance / 200_000))
        assert found.var().item() == pytest.approx(variance, rel=0.03)
        assert torch.equal(found, noise(step))
    assert not torch.equal(noise(1), noise(1, seed=1))


@pytest.mark.parametrize("bad_steps", [0, 2])
def test_gradient_noise_is_off_until_asked_for(bad_steps: int, tmp_path: Path) -> None:
    train = {"bad_steps": bad_steps, "clip_grad_norm": 1e-6, "optimizer": "sgd"}
    still, noisy = (
        trained(make_trial(train=train | more), tmp_path / name)
        for name, more in (("still", {}), ("noisy", {"gradient_noise": {"eta": 1.0}}))
    )
    assert "gradient_noise" not in make_trial(train=train).settings.train.identity()
    initial = dict(build(make_trial(train=train)).model.named_parameters())
    moved = []
    for recorder in (still, noisy):
        weights = checkpoint.load(recorder.folder / "last.pt")["model"]
        moved.append(max(float((weights[n] - w.detach()).abs().max()) for n, w in initial.items()))
    assert moved[0] < 1e-6 < 1e-3 < moved[1], "it is added after clipping"


# --- whole trials


STATEFUL: dict[str, dict[str, Any]] = {
    "optimizer": {"optimizer": LION},
    "loss": {"loss": {"target": f"{OWN}:ScaledCrossEntropy"}},
    "sum": {"loss": ["dice", {"target": f"{OWN}:soft_iou", "weight": 0.5}]},
    "scheduler": {
        "schedule": {"target": "torch.optim.lr_scheduler:CyclicLR", "per": "step",
                     "base_lr": 1e-4, "max_lr": 1e-2, "step_size_up": 2, "cycle_momentum": False}
    },
    "plateau": {"schedule": {"name": "plateau", "patience": 0, "min_delta": 1.0}},
    "sampler": {"sampler": {"target": f"{OWN}:EvenFirst"}},
    "balanced": {"sampler": "balanced", "class_weights": "balanced"},
    "steps": {"steps": 7},
    "swa": {"swa": {"start": 0.3}},
    "gradient noise": {"gradient_noise": {"eta": 0.3}},
}  # fmt: skip


@pytest.mark.parametrize("name", STATEFUL)
def test_resumed_trials_are_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    trial = make_trial(train=STATEFUL[name])
    whole = trained(trial, tmp_path / "whole")
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    recorder = MemoryRecorder(stopped)
    with pytest.raises(Interrupted):
        train_trial(trial, recorder, Silent(stop_after=4))
    train_trial(trial, recorder, Silent())
    assert results(recorder.rows) == results(whole.rows)
    a, b = (checkpoint.load(r.best) for r in (recorder, whole))
    assert a["epoch"] == b["epoch"]
    assert all(torch.equal(value, b["model"][key]) for key, value in a["model"].items())
    for key, value in a.get("task_state", {}).items():
        assert torch.equal(value, b["task_state"][key])
    keys = [key for key in whole.facts if key.startswith(("test_", "baseline"))]
    assert {key: recorder.facts[key] for key in keys} == {key: whole.facts[key] for key in keys}


def test_what_a_loss_learns_is_trained(tmp_path: Path) -> None:
    recorder = trained(make_trial(train=STATEFUL["loss"]), tmp_path)
    state = checkpoint.load(recorder.best)["task_state"]
    assert state["0.log_temperature"] != 0
    assert state["0.mean"] != 1


def test_existing_states_have_no_new_keys(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        trained(make_trial(), tmp_path, stop_after=4)
    state = checkpoint.load(tmp_path / "last.pt")
    assert "task_state" not in state
    assert "schedule" not in state


def test_the_gradient_of_a_losss_weights_is_clipped_and_they_are_trained() -> None:
    """One step of plain SGD moves all weights together by the norm that is left."""
    train = {
        "loss": {"target": "tests.builders.own_parts:ScaledCrossEntropy"},
        "optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "clip_grad_norm": 1e-3, "batch_size": 4,
    }  # fmt: skip
    parts = build(make_trial(train=train))
    state = TrainState(parts.model, parts.task, parts.trial.settings.train, parts.device, images=12)
    whole = [*parts.model.parameters(), *task_state(parts.task).parameters()]
    before = [weight.detach().clone() for weight in whole]
    state.train()
    state.step(parts.batches("train", 4).at_indices(torch.arange(4)))
    moved = [new.detach() - old for new, old in zip(whole, before, strict=True)]
    assert float(torch.cat([part.flatten() for part in moved]).norm()) == pytest.approx(1e-3, 1e-2)
    assert float(moved[-1].abs()) > 0


def on_plateau(optimizer: torch.optim.Optimizer, mode: str = "max") -> Any:
    return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, patience=0, factor=0.5)


def no_scheduler(optimizer: torch.optim.Optimizer) -> Any:
    return optimizer.param_groups


class OfAValue:
    """Not of torch, and its step needs a value."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def step(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Any) -> None:
        pass


@pytest.mark.parametrize(
    "schedule",
    [
        {"target": "torch.optim.lr_scheduler:ReduceLROnPlateau", "patience": 0, "factor": 0.5},
        {"target": f"{__name__}:on_plateau"},
    ],
)
def test_a_scheduler_that_needs_the_metric_falls_when_it_no_longer_rises(schedule: Any) -> None:
    chosen = settings(schedule=schedule)
    optimizer = make_optimizer([{"params": [nn.Parameter(torch.zeros(1))], "peak": 0.1}], chosen)
    made = make_schedule(optimizer, chosen, SELECT)
    rates = []
    for value in (0.1, 0.5, 0.4, 0.6):
        made.after_epoch([{"val/dice": value}])  # type: ignore[list-item]  # all that it looks at
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05])


def test_a_scheduler_of_ones_own_is_given_the_metric() -> None:
    chosen = settings(schedule={"target": f"{__name__}:OfAValue"})
    optimizer = make_optimizer([{"params": [nn.Parameter(torch.zeros(1))], "peak": 0.1}], chosen)
    make_schedule(optimizer, chosen, SELECT).after_epoch([{"val/dice": 0.7}])  # type: ignore[list-item]  # as above
    assert optimizer.param_groups[0]["lr"] == 0.7


@pytest.mark.parametrize(
    ("schedule", "says"),
    [
        ({"target": f"{__name__}:on_plateau", "mode": "min"}, "more is better: set mode: max"),
        ({"target": f"{__name__}:no_scheduler"}, "gives a list without step"),
        ({"target": f"{__name__}:OfAValue", "per": "step"}, "remove per: step"),
    ],
)
def test_schedulers_that_cannot_work(schedule: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        check_parts(make_trial(train={"epochs": 4, "schedule": schedule}))
