"""Finished experiments as `run` leaves them, without training: real ids, plausible figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bench.history_row import HistoryRow
from bench.image_scores import TrialScores
from bench.plan.expand import make_plan, trial_config
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles
from bench.spec.load import load_spec

SPEC = """\
experiment: built
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 4, batch_size: 6}
grid:
  model: {unet: {name: unet, width: 0.05}, resnet: {name: resnet34_unet, width: 0.1}}
  augment: {none: [], elastic: [{elastic: {p: 0.2}}]}
hypotheses:
  - {id: h1, claim: "Elastic raises the Dice", metric: best_val_dice,
     a: {augment: elastic}, b: {augment: none}, expect: higher}
seeds: 3
"""


def planned(folder: Path, text: str = SPEC) -> Plan:
    """The plan of a spec, which is written to `folder/spec.yaml`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "spec.yaml"
    path.write_text(text)
    return make_plan(load_spec(path))


def row(trial: Trial, epoch: int) -> HistoryRow:
    """An epoch; every figure depends on the trial, and none is round."""
    rng = np.random.default_rng([int(trial.id[-8:], 16), epoch])
    dice = 0.9 - 0.5 / epoch + 0.02 * ("elastic" in trial.axes.values()) + rng.normal(0, 0.005)
    return {
        "epoch": epoch,
        "train/loss": float(0.7 / epoch + rng.normal(0, 0.01)),
        "val/loss": float(0.8 / epoch + rng.normal(0, 0.01)),
        "val/dice": float(dice),
        "val/iou": float(dice / (2 - dice)),
        "lr": 1e-3,
        "epoch_seconds": float(2 + rng.random()),
        "val_seconds": float(0.5 + rng.random()),
        "images_per_second": float(6 + rng.random()),
        "peak_memory_mb": 123.456,
    }


def finish(
    store: Store,
    plan: Plan,
    trial: Trial,
    facts: Mapping[str, Any] = MappingProxyType({}),
    rows: Sequence[HistoryRow] = (),
    scores: TrialScores | None = None,
) -> TrialFiles:
    """Record the trial as done, with these facts and epochs or plausible ones."""
    files = store.trial(trial.experiment, trial.id)
    files.write_config(trial_config(trial))
    recorder = TrialRecorder(files, plan.select.metric, plan.metrics, {"params": 1234, "macs": 99})
    recorder.begin({"torch": "2.9", "git_commit": "0123abcd"})
    epochs = range(1, trial.settings.train.epochs + 1)
    for each in rows or [row(trial, epoch) for epoch in epochs]:
        recorder.record_epoch(each)
    test = row(trial, 5)
    recorder.finish(
        {f"test_{name}": test.get(f"val/{name}", 0.5) for name in plan.metrics}
        | {"device": "cpu", "data_fingerprint": "9f2c11aa", "torch": "2.9", **facts},
        scores,
    )
    return files


def build(
    folder: Path, text: str = SPEC, only: Callable[[Trial], bool] = lambda _trial: True
) -> tuple[Store, Plan]:
    """Plan the spec, and record every trial of it that `only` takes as done."""
    plan = planned(folder, text)
    store = Store(folder / "results")
    for trial in filter(only, plan.trials):
        finish(store, plan, trial)
    store.write_plan(plan.experiment, plan.record() | {"notes": []})
    return store, plan
