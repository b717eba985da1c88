"""Finished studies on disk, as `bench run` would have left them, without training.

`python -m tests.benchmarks.studies FOLDER TRIALS` writes one; which program's `bench` it is made by
is the first on the import path.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from bench.history_row import HistoryRow
from bench.plan.expand import make_plan, trial_config
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.files import write_json
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.spec.load import load_spec

SPEC = """
experiment: many
task: segmentation
data: {{name: shapes, train: 8, val: 4, test: 4, image_size: 32}}
model: {{name: unet, width: 0.0625}}
train: {{epochs: {epochs}, batch_size: 4}}
machine: {{device: cpu, threads: 1}}
grid:
  train.lr: {rates}
  model.width: {widths}
  augment: {{none: [], vflip: [{{vflip: {{p: 0.5}}}}]}}
seeds: {seeds}
"""
WIDTHS = 8
AUGMENTATIONS = 2


def write_spec(folder: Path, trials: int, *, seeds: int = 5, epochs: int = 100) -> Path:
    """A spec of so many trials; they must divide by its 16 widths and augmentations, and `seeds`.

    Raises:
        ValueError: they do not.
    """
    rates, rest = divmod(trials, WIDTHS * AUGMENTATIONS * seeds)
    if rest or not rates:
        raise ValueError(f"{trials} trials are no multiple of {WIDTHS * AUGMENTATIONS * seeds}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "many.yaml"
    path.write_text(
        SPEC.format(
            epochs=epochs,
            rates=[round(1e-4 * (k + 1), 6) for k in range(rates)],
            widths=[(k + 1) / 16 for k in range(WIDTHS)],
            seeds=seeds,
        )
    )
    return path


def write_study(store: Store, spec: Path) -> Plan:
    """Records of every trial of the spec, finished, with curves that differ and no checkpoints."""
    plan = make_plan(load_spec(spec))
    draws = np.random.default_rng(0)
    for trial in plan.trials:
        write_trial(store, plan, trial, draws)
    store.write_plan(plan.experiment, plan.record() | {"notes": []})
    return plan


def write_trial(store: Store, plan: Plan, trial: Trial, draws: np.random.Generator) -> None:
    """The record of one finished trial."""
    files = store.trial(trial.experiment, trial.id)
    files.write_config(trial_config(trial))
    recorder = TrialRecorder(files, plan.select.metric, plan.metrics, {"params": 1234})
    recorder.begin({"device": "cpu", "torch": "2.9", "git_commit": None})
    recorder._history = [_row(epoch, plan, draws) for epoch in range(1, _epochs(trial) + 1)]
    recorder._write_history()
    recorder.finish({"test_dice": 0.75, "data_fingerprint": "made up", "device": "cpu"})
    found = files.status_path.stat()  # MLflow has it, as `bench.record.mlflow_record.stamp` tells
    stamp = [found.st_mtime_ns, found.st_size]
    write_json(files.mlflow_path, {"finished": True, "status": stamp})


def _epochs(trial: Trial) -> int:
    return trial.settings.train.epochs


def _row(epoch: int, plan: Plan, draws: np.random.Generator) -> HistoryRow:
    fallen, noise = math.exp(-epoch / 30), draws.normal(0, 0.01, len(plan.metrics) + 1)
    return {
        "epoch": epoch,
        "train/loss": fallen + abs(float(noise[-1])),
        **{
            f"val/{name}": (fallen if mode == "min" else 0.9 * (1 - fallen)) + abs(float(draw))
            for (name, mode), draw in zip(plan.metrics.items(), noise, strict=False)
        },
        "lr": 1e-3,
        "epoch_seconds": 2.0 + float(noise[0]),
        "val_seconds": 0.5,
        "images_per_second": 100 / 3,
        "peak_memory_mb": 1234.5,
    }


if __name__ == "__main__":
    place = Path(sys.argv[1])
    write_study(Store(place / "results"), write_spec(place, int(sys.argv[2])))
