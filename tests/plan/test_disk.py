"""How much trials will write, against what they do write."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.plan.disk import DiskUse, disk_use
from bench.plan.trial import Trial
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial


@pytest.mark.parametrize(
    "train",
    [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "adamw", "ema": 0.9},
    ],
    ids=str,
)
def test_checkpoints_are_as_large_as_planned(tmp_path: Path, train: dict[str, Any]) -> None:
    trial = make_trial(train={"epochs": 1} | train, model={"width": 0.25})
    train_trial(trial, MemoryRecorder(tmp_path), Silent())
    found = disk_use([trial])[0][trial.id]
    assert (tmp_path / "best.pt").stat().st_size == pytest.approx(found.best, rel=0.02)
    assert (tmp_path / "last.pt").stat().st_size == pytest.approx(found.state, rel=0.02)


def test_frozen_parts_have_no_state_in_the_optimizer() -> None:
    model = {"name": "resnet18_unet"}
    free, frozen = (
        disk_use([trial])[0][trial.id]
        for trial in (
            make_trial(model=model),
            make_trial(model=model, train={"freeze": "encoder"}),
        )
    )
    assert frozen.best == free.best
    assert frozen.state < free.state


def test_a_full_unet_has_the_size_of_its_published_parameters() -> None:
    """13,395,394 of four bytes each; Adam keeps two numbers more for each."""
    trial = make_trial(model={"name": "unet"})
    found = disk_use([trial])[0][trial.id]
    assert found.best == pytest.approx(4 * 13_395_394, rel=0.002)
    assert found.state == pytest.approx(3 * found.best, rel=0.01)


def test_seeds_of_an_arm_are_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.plan import disk

    first, built = make_trial(), []
    build = disk._model_bytes
    monkeypatch.setattr(disk, "_model_bytes", lambda *args: built.append(1) or build(*args))
    trials = [replace(first, seed=seed) for seed in range(3)]
    found, unknown = disk_use([*trials, make_trial(train={"lr": 0.5})])
    assert len(found) == 4
    assert built == [1]
    assert unknown == {}


def test_a_model_that_cannot_be_built_without_values_is_said() -> None:
    trial: Trial = make_trial(model={"target": "tests.plan.test_disk:Reads"})
    found, unknown = disk_use([trial])
    assert found == {}
    assert list(unknown) == ["tests.plan.test_disk:Reads"]


def Reads(in_channels: int, out_channels: int) -> Any:  # noqa: N802 - a model's name
    """A model whose constructor looks at its weights."""
    from torch import nn

    model = nn.Conv2d(in_channels, out_channels, 1)
    assert float(model.weight.sum().item()) < 100
    return model


def test_a_model_that_loads_its_own_weights_is_measured_without_a_word() -> None:
    trial: Trial = make_trial(model={"target": "tests.plan.test_disk:Loads"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, unknown = disk_use([trial])
    assert unknown == {}
    assert found[trial.id].best > 8 * 4


def Loads(in_channels: int, out_channels: int) -> Any:  # noqa: N802 - a model's name
    """A model that starts with weights of its own."""
    import torch
    from torch import nn

    model = nn.Conv2d(in_channels, out_channels, 1)
    values = np.zeros((out_channels, in_channels, 1, 1), np.float32)
    weights = torch.from_numpy(values)  # as from a file: on the CPU, whatever the default is
    model.load_state_dict({"weight": weights}, strict=False)
    return model


def test_what_is_kept_and_what_is_there_at_most() -> None:
    use = DiskUse(best=100, state=300, records=7)
    assert use.kept() == 107
    assert use.kept(keep_last=True) == 707
    assert use.running == 1007
