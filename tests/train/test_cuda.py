"""What holds on a GPU only: nothing waits for it within a step, and it computes what a CPU does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.train.session import train_trial
from bench.train.train_state import TrainState
from bench.train.trial_parts import TrialParts, build
from tests.builders.training import MemoryRecorder, Silent, make_trial, results

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

AUGMENT = [{name: {"p": 0.5}} for name in ("hflip", "rotate", "crop", "elastic", "noise", "blur")]


def parts(device: str, **train: Any) -> TrialParts:
    settings = {"precision": "fp32", "epochs": 2, **train}
    return build(make_trial(augment=AUGMENT, train=settings, machine={"device": device}))


@pytest.mark.parametrize("train", [{}, {"precision": "bf16", "ema": 0.9}, {"bad_steps": 3}])
def test_a_step_waits_for_nothing(train: dict[str, Any]) -> None:
    made = parts("cuda", **train)
    settings, batches = made.trial.settings.train, made.batches("train", 5)
    train_state = TrainState(made.model, made.task, settings, made.device, images=len(batches))
    train_state.train()
    for epoch in (1, 2):  # in the first one, cuDNN tries and the allocator asks
        mode: Any = "error" if epoch == 2 else "default"
        plan = batches.plan(epoch)
        torch.cuda.set_sync_debug_mode(mode)
        try:
            for batch in batches.training(plan, epoch):
                train_state.step(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_batches_are_a_cpus() -> None:
    here, there = ([*p.batches("train", 5).training(p.batches("train", 5).plan(1), 1)]
                   for p in (parts("cpu"), parts("cuda")))  # fmt: skip
    for mine, other in zip(here, there, strict=True):
        assert mine.target is not None
        assert other.target is not None
        assert (mine.images - other.images.cpu()).abs().max() < 0.05
        assert (mine.target != other.target.cpu()).float().mean() < 0.01  # on the edges


@pytest.mark.slow
def test_compiled_with_graphs_trains_like_plain(tmp_path: Path) -> None:
    found = {}
    for mode in ("none", "reduce-overhead"):
        recorder = MemoryRecorder(tmp_path / mode)
        settings = {"compile": mode, "precision": "fp32", "epochs": 2}
        trial = make_trial(train=settings, machine={"device": "cuda"})
        train_trial(trial, recorder, Silent())
        found[mode] = [row["train/loss"] for row in recorder.rows]
    assert found["reduce-overhead"] == pytest.approx(found["none"], rel=1e-2)


@pytest.mark.parametrize("train", [{}, {"precision": "fp16", "ema": 0.9, "clip_grad_norm": 1.0}])
def test_replayed_steps_are_launched_ones(tmp_path: Path, train: dict[str, Any]) -> None:
    found = {}
    for choice in ("off", "on"):
        recorder = MemoryRecorder(tmp_path / choice)
        machine = {"device": "cuda", "cuda_graphs": choice}
        settings = {"deterministic": True, "batch_size": 2, **train}
        train_trial(make_trial(train=settings, machine=machine), recorder, Silent())
        found[choice] = results(recorder.rows)
    assert found["on"] == found["off"]
