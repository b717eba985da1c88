"""Compiled training: the same results but for the last bits, the same state, resumable.

The models are as small as can be, since each takes a second or two to compile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import FailOnRecompileLimitHit

from bench.errors import DeviceError, SpecError
from bench.train import checkpoint
from bench.train.compiling import CompileClock, check_compiler, compile_model
from bench.train.loop import Interrupted
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

CPU = torch.device("cpu")


class Small(nn.Module):
    """An encoder and a head; with steps of time where they are given."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(in_channels, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, out_channels, 1)

    def forward(self, images: Tensor, time: Tensor | None = None) -> Tensor:
        features = self.encoder(images).relu()
        if time is not None:
            features = features + torch.sin(time).view(-1, 1, 1, 1)
        found: Tensor = self.head(features)
        return found

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        return {"only": [self.encoder]}


SMALL = {"target": f"{__name__}:Small"}
NUMBERS = ("train/loss", "val/loss", "val/dice")


def trained(folder: Path, stop_after: int | None = None, **train: Any) -> MemoryRecorder:
    """12 images: two full batches and one of 2, which is not compiled."""
    recorder = MemoryRecorder(folder)
    trial = make_trial(model=SMALL, train={"compile": "default", **train})
    train_trial(trial, recorder, Silent(stop_after))
    return recorder


@pytest.mark.slow
def test_compiled_trains_like_plain_and_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    plain = trained(tmp_path / "plain", compile="none")
    for row, expected in zip(whole.rows, plain.rows, strict=True):
        assert [row[n] for n in NUMBERS] == pytest.approx([expected[n] for n in NUMBERS], rel=1e-3)
    assert plain.facts["compile_seconds"] is None
    assert 0 < whole.facts["compile_seconds"] < float(whole.rows[0]["epoch_seconds"] or 0)

    states = [checkpoint.load(tmp_path / name / "best.pt")["model"] for name in ("whole", "plain")]
    assert states[0].keys() == states[1].keys()

    with pytest.raises(Interrupted):
        trained(tmp_path / "cut", stop_after=4)
    resumed = trained(tmp_path / "cut")
    assert results(resumed.rows) == results(whole.rows)


def test_thawing_compiles_anew(tmp_path: Path) -> None:
    """The encoder stays for an epoch, and moves in the next."""
    states = {}
    for epochs in (1, 2):
        unfreeze = {"unfreeze_epoch": 2} if epochs == 2 else {}
        folder = tmp_path / str(epochs)
        trained(folder, epochs=epochs, freeze="encoder", ema=0.9, **unfreeze)
        states[epochs] = checkpoint.load(folder / "last.pt")["model"]
    start = trained(tmp_path / "start", epochs=1, freeze="encoder", lr=1e-12, compile="none")
    first = checkpoint.load(start.last)["model"]["encoder.0.weight"]
    assert torch.equal(states[1]["encoder.0.weight"], first)
    assert not torch.equal(states[2]["encoder.0.weight"], first)
    assert set(states[2]) == set(Small(3, 2).state_dict())


def test_with_time_steps(tmp_path: Path) -> None:
    found = {}
    for mode in ("default", "none"):
        recorder = MemoryRecorder(tmp_path / mode)
        trial = make_trial(
            task={"name": "diffusion", "steps": 50, "ddim_steps": 2, "ddpm_steps": 2},
            data={"normalize": "symmetric"},
            model=SMALL,
            train={"compile": mode, "epochs": 2},
            select={"metric": "val/loss", "mode": "min"},
        )
        train_trial(trial, recorder, Silent())
        found[mode] = [row["val/loss"] for row in recorder.rows]
    assert found["default"] == pytest.approx(found["none"], rel=1e-3)


def test_fewer_images_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"train\.compile: only full batches are compiled"):
        trained(tmp_path, batch_size=13)


def test_a_missing_compiler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none_found() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_found)
    with pytest.raises(DeviceError, match=r"default needs a C\+\+ compiler.*train\.compile: none"):
        check_compiler("default", CPU)
    check_compiler("none", CPU)


def test_what_cannot_be_compiled_raises() -> None:
    """Nine shapes are more than torch compiles for one function."""
    model = compile_model(nn.ReLU(), "default")

    def call(sizes: range) -> None:
        for size in sizes:
            model(torch.ones(size))

    call(range(2, 10))
    with pytest.raises(FailOnRecompileLimitHit):
        call(range(10, 11))


def test_the_clock_stops_with_its_block() -> None:
    with CompileClock() as clock:
        pass
    compile_model(nn.ReLU(), "default")(torch.ones(3))
    assert clock.seconds == 0
