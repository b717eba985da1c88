"""Epochs put on record while the next one trains: nothing else changes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import UnwritableError
from bench.history_row import HistoryRow
from bench.train import checkpoint
from bench.train.epoch_writer import EpochWriter, host_copy
from bench.train.progress_watch import Interrupted
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial

TIMES = ("seconds", "per_second", "peak_memory")
TRAIN = {"epochs": 3, "optimizer": "adam", "ema": 0.9}


@pytest.fixture
def in_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.train.loop.writes_in_background", lambda device: True)


def numbers(rows: list[HistoryRow]) -> list[dict[str, object]]:
    return [
        {key: value for key, value in row.items() if not any(time in key for time in TIMES)}
        for row in rows
    ]


def train(folder: Path, signals: Silent | None = None, *, test: bool = True) -> MemoryRecorder:
    folder.mkdir(exist_ok=True)
    recorder = MemoryRecorder(folder)
    train_trial(make_trial(train=TRAIN), recorder, signals or Silent(), test=test)
    return recorder


def test_same_records_and_weights_as_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = train(tmp_path / "at_once")
    monkeypatch.setattr("bench.train.loop.writes_in_background", lambda device: True)
    beside = train(tmp_path / "beside")
    assert numbers(beside.rows) == numbers(at_once.rows)
    assert beside.facts["test_dice"] == at_once.facts["test_dice"]
    assert beside.best.read_bytes() == at_once.best.read_bytes()
    assert beside.last.stat().st_size == at_once.last.stat().st_size


@pytest.mark.usefixtures("in_background")
def test_interrupted_trial_goes_on_from_the_epoch_that_was_being_written(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "cut", Silent(stop_after=4))  # three steps an epoch
    assert checkpoint.load(tmp_path / "cut" / "last.pt")["progress"]["history"][-1]["epoch"] == 1
    assert numbers(train(tmp_path / "cut").rows) == numbers(whole.rows)


@pytest.mark.usefixtures("in_background")
def test_disk_that_fills_up_meanwhile_ends_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> float:
        raise UnwritableError("last.pt: cannot be written (No space left on device)")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(UnwritableError, match="No space left"):
        train(tmp_path)


def test_next_epoch_begins_before_the_write_has_ended() -> None:
    release, written = threading.Event(), []

    def slow(epoch: int) -> None:
        assert release.wait(10)
        written.append(epoch)

    with EpochWriter(background=True) as writer:
        writer.submit(lambda: slow(1))
        assert written == []
        release.set()
        writer.submit(lambda: slow(2))
        assert written[0] == 1  # in order, one at a time
    assert written == [1, 2]


def test_error_of_the_last_write_is_raised_at_the_end() -> None:
    def broken() -> None:
        raise UnwritableError("full")

    writer = EpochWriter(background=True)
    with pytest.raises(UnwritableError), writer:
        writer.submit(broken)


def test_copy_is_not_changed_by_training() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4, bias=False))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    history = [{"epoch": 1}]
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": {"history": history, "best": 0.5},
        "scores": np.arange(3.0),
    }
    kept = host_copy(state)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer.step()
    history.append({"epoch": 2})
    state["scores"][0] = 9
    assert all(torch.equal(kept["model"][name], before[name]) for name in before)
    assert all(one["step"] == 1 for one in kept["optimizer"]["state"].values())
    assert kept["progress"]["history"] == [{"epoch": 1}]
    assert kept["scores"].tolist() == [0, 1, 2]


def test_copy_keeps_shared_memory_views_and_versions() -> None:
    weight = torch.arange(12.0).view(3, 4)
    named = OrderedDict(whole=weight, again=weight, column=weight[:, 1], empty=torch.empty(0, 2))
    named._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]  # as a module has it
    kept = host_copy({"model": named})["model"]
    assert kept._metadata == {"": {"version": 2}}
    assert kept["whole"].data_ptr() == kept["again"].data_ptr() != weight.data_ptr()
    assert kept["column"].tolist() == [1, 5, 9]
    assert kept["column"].stride() == (4,)
    assert kept["empty"].shape == (0, 2)
