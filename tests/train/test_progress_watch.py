"""Long work beside the steps: it says how far it is, and stops when asked after the last epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.train import progress_watch
from bench.train.progress_watch import Interrupted, ProgressWatch
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial, results


class Listening(Silent):
    """Notes what is worked at; asks to stop when it first hears of `until`."""

    def __init__(self, until: str | None = None) -> None:
        super().__init__()
        self.until, self.heard, self.asked = until, dict[str, list[tuple[int, int]]](), False

    def stopping(self) -> bool:
        return self.asked

    def working(self, what: str, step: int, steps: int) -> None:
        self.heard.setdefault(what, []).append((step, steps))
        self.asked |= what == self.until


@pytest.fixture(autouse=True)
def _tell_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_watch, "TICK_SECONDS", -1.0)


def test_everything_after_the_steps_is_reported(tmp_path: Path) -> None:
    signals = Listening()
    trial = make_trial(data={"val": 12, "test": 7}, train={"epochs": 1, "val_batch_size": 5})
    train_trial(trial, MemoryRecorder(tmp_path), signals)
    assert signals.heard["validation"] == [(0, 3), (1, 3), (2, 3)]
    assert signals.heard["test split"] == [(0, 2), (1, 2)]
    assert signals.heard["baseline of the test split"] == [(0, 2), (1, 2)]
    assert signals.heard["final evaluation, forward pass"]


@pytest.mark.parametrize(
    "what", ["final evaluation, forward pass", "test split", "baseline of the val split"]
)
def test_after_the_last_epoch_it_stops_and_goes_on_to_the_same_end(
    what: str, tmp_path: Path
) -> None:
    trial = make_trial(data={"val": 12, "test": 7}, train={"val_batch_size": 5})
    whole, cut = MemoryRecorder(tmp_path / "whole"), MemoryRecorder(tmp_path / "cut")
    train_trial(trial, whole, Silent())
    with pytest.raises(Interrupted):
        train_trial(trial, cut, Listening(what))
    assert len(cut.rows) == 3
    assert cut.facts == {}
    train_trial(trial, cut, Silent())
    assert results(cut.rows) == results(whole.rows)
    assert cut.facts["test_dice"] == whole.facts["test_dice"]


def test_validation_is_always_finished() -> None:
    signals = Listening("validation")
    watch = ProgressWatch(signals, stops=False)
    assert list(watch.iterate("abc", "validation", 3)) == ["a", "b", "c"]
    assert signals.asked


def test_without_an_observer_nothing_is_reported_and_hooks_go_away() -> None:
    model = nn.Linear(1, 1)
    with ProgressWatch().forward_passes(model, "x"):
        model(torch.zeros(1, 1))
    assert not model._forward_pre_hooks
    assert list(ProgressWatch().iterate(range(3), "x", 3)) == [0, 1, 2]


def test_time_between_epochs_is_recorded(tmp_path: Path) -> None:
    recorder = MemoryRecorder(tmp_path)
    train_trial(make_trial(), recorder, Silent())
    first, *others = [row["between_seconds"] for row in recorder.rows]
    assert first is None
    assert all(isinstance(value, float) and 0 < value < 60 for value in others)
