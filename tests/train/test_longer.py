"""A longer trial that begins with the state of a shorter one, to the bits of one from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import StoreError
from bench.plan.longer import key_without_epochs, why_not_longer
from bench.plan.trial import Trial
from bench.train import checkpoint
from bench.train.longer import StatePaths, take_over_state
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

TRAIN: dict[str, dict[str, Any]] = {
    "constant": {},
    "step": {"schedule": {"name": "step", "every": 2, "factor": 0.5}},
    "plateau": {"schedule": {"name": "plateau", "patience": 0, "min_delta": 0.5, "factor": 0.5}},
    "torch": {"schedule": {"target": "torch.optim.lr_scheduler:ExponentialLR", "gamma": 0.9}},
    "several": {"optimizer": "sgd", "warmup_epochs": 1, "ema": 0.9, "bad_steps": 1},
    "early_stopping": {"early_stopping": {"patience": 2, "min_delta": 0.9}},
}


def trained(folder: Path, trial: Trial) -> MemoryRecorder:
    folder.mkdir(exist_ok=True)
    recorder = MemoryRecorder(folder)
    train_trial(trial, recorder, Silent())
    return recorder


def paths(recorder: MemoryRecorder) -> StatePaths:
    return StatePaths(recorder.last, recorder.best, recorder.folder / "samples")


def weights(recorder: MemoryRecorder) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = checkpoint.load(recorder.last)["model"]
    return found


@pytest.mark.parametrize("kind", TRAIN)
def test_the_bits_are_those_of_a_training_from_the_first_epoch(tmp_path: Path, kind: str) -> None:
    changes = {"augment": ["hflip", "elastic"]}
    short = make_trial(train={**TRAIN[kind], "epochs": 3}, **changes)
    long = make_trial(train={**TRAIN[kind], "epochs": 6}, **changes)
    once, before = trained(tmp_path / "once", long), trained(tmp_path / "short", short)
    after = MemoryRecorder(tmp_path / "after")
    fingerprint = str(before.facts["data_fingerprint"])
    assert take_over_state(long, paths(after), short, paths(before), fingerprint) == 3
    train_trial(long, after, Silent())
    assert results(after.rows) == results(once.rows)
    assert after.best.read_bytes() == once.best.read_bytes()
    assert after.facts.items() ^ once.facts.items() == set()
    own, theirs = weights(after), weights(once)
    assert own.keys() == theirs.keys()
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert len(once.rows) == (3 if kind == "early_stopping" else 6)


def test_a_state_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    short, other, long = (
        make_trial(train={"epochs": 1}), make_trial(1, train={"epochs": 1}),
        make_trial(train={"epochs": 2}),
    )  # fmt: skip
    before, own = trained(tmp_path / "short", short), MemoryRecorder(tmp_path / "own")
    fingerprint = str(before.facts["data_fingerprint"])
    with pytest.raises(StoreError, match="not the state of"):
        take_over_state(long, paths(own), other, paths(before), fingerprint)
    with pytest.raises(StoreError, match="the data is not what"):
        take_over_state(long, paths(own), short, paths(before), "other")
    before.best.write_bytes(before.best.read_bytes()[:-9])
    with pytest.raises(StoreError, match="not a readable checkpoint"):
        take_over_state(long, paths(own), short, paths(before), fingerprint)
    assert not own.last.exists()


@pytest.mark.parametrize(
    ("train", "why"),
    [
        ({}, None),
        ({"schedule": "cosine"}, "train.schedule: cosine"),
        ({"schedule": "one_cycle"}, "train.schedule: one_cycle"),
        ({"schedule": "polynomial"}, "train.schedule: polynomial"),
        ({"schedule": {"name": "step", "every": 3}}, None),
        ({"schedule": "plateau"}, None),
        ({"schedule": {"target": "mine:Falling"}}, "mine:Falling may depend"),
        ({"schedule": {"target": "torch.optim.lr_scheduler:StepLR", "step_size": 2}}, None),
        ({"swa": {}}, "train.swa.start"),
        ({"steps": 9}, "train.steps"),
        ({"ema": 0.9, "warmup_epochs": 1, "unfreeze_epoch": 2}, None),
    ],
)
def test_what_depends_on_the_number_of_epochs(train: dict[str, Any], why: str | None) -> None:
    found = why_not_longer(make_trial(train=train).settings.train)
    assert found is None if why is None else why in (found or "")


def test_only_epochs_may_differ() -> None:
    one = key_without_epochs(make_trial(train={"epochs": 3}))
    assert key_without_epochs(make_trial(train={"epochs": 30})) == one
    others = (make_trial(1), make_trial(train={"lr": 0.1}), make_trial(data={"train": 13}))
    assert one not in {key_without_epochs(other) for other in others}
