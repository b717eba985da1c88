"""Finished ablation studies with known effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from bench.history_row import HistoryRow
from bench.plan.design import CONFIGURATION
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.states import Failure, Status
from tests.builders.experiments import finish, planned

HEAD = """\
experiment: ablation
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
model: {name: unet, width: 0.1}
train: {epochs: 2, batch_size: 6, optimizer: adamw, lr: 1e-3}
seeds: 4
"""
COMPONENTS = """\
    flips: {augment: [{hflip: {p: 0.5}}]}
    weight decay: {train.weight_decay: 0.01}
    average: {train.ema: 0.9}
"""
EFFECTS = {"flips": 0.05, "weight decay": 0.0, "average": -0.02}
"""What each of `COMPONENTS` adds to the Dice."""

Dice = Callable[[Mapping[str, str]], float]


def additive(levels: Mapping[str, str]) -> float:
    """Dice of a configuration: 0.7, and what its components add."""
    present = [name for name, level in levels.items() if level in ("on", "to")]
    return 0.7 + sum(EFFECTS.get(name, 0) for name in present)


def built(
    folder: Path, text: str, dice: Dice = additive, only: Callable[[Trial], bool] = lambda _: True
) -> tuple[Store, Plan]:
    """Plan a spec below `HEAD` and finish its trials, with a little scatter between seeds."""
    plan = planned(folder, HEAD + text)
    store = Store(folder / "results")
    for trial in filter(only, plan.trials):
        finish_with(store, plan, trial, dice)
    store.write_plan(plan.experiment, plan.record() | {"notes": []})
    return store, plan


def finish_with(store: Store, plan: Plan, trial: Trial, dice: Dice = additive) -> None:
    """Finish a trial with what `dice` says of its configuration, 0.001 of scatter apart."""
    assert plan.design is not None
    levels = plan.design.configurations[trial.axes[CONFIGURATION]]
    noise = np.random.default_rng([int(trial.id[-8:], 16)]).normal(0, 0.001)
    value = dice(levels) + 0.01 * trial.seed + float(noise)
    rows: list[HistoryRow] = [
        {"epoch": epoch, "train/loss": 0.5, "val/loss": 0.5, "val/dice": value - 0.1 / epoch,
         "val/iou": value / (2 - value), "lr": 1e-3, "epoch_seconds": 2.0, "val_seconds": 0.5,
         "images_per_second": 6.0, "peak_memory_mb": 100.0}
        for epoch in (1, 2)
    ]  # fmt: skip
    finish(store, plan, trial, {"test_dice": value}, rows)


def fail(store: Store, plan: Plan, trial: Trial) -> None:
    """Record that a trial diverged."""
    files = store.trial(trial.experiment, trial.id)
    files.write_config(trial_config(trial))
    recorder = TrialRecorder(files, plan.select.metric, plan.metrics, {})
    recorder.begin({})
    recorder.stop(Status.FAILED, Failure.DIVERGED, "loss is not finite")
