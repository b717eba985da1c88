"""Made-up trials."""

from __future__ import annotations

import numpy as np

from bench.history_row import HistoryRow
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles

METRICS = {"loss": "min", "dice": "max"}


def row(epoch: int, *, loss: float | None = None) -> HistoryRow:
    """An epoch of a made-up trial: numbers with many digits."""
    return {
        "epoch": epoch,
        "train/loss": 1 / (3 * epoch) if loss is None else loss,
        "val/dice": 1 - 0.1 / epoch,
        "val/loss": 0.1 + 1 / (7 * epoch),
        "lr": 1e-3,
        "epoch_seconds": 2.0,
        "val_seconds": 0.5,
        "between_seconds": 0.25,
        "images_per_second": 100 / 3,
        "peak_memory_mb": 1234.5,
    }


def config(trial: str, *, experiment: str = "pets", seed: int = 0) -> dict[str, object]:
    return {
        "id": trial,
        "experiment": experiment,
        "seed": seed,
        "axes": {"model": "unet", "train.lr": "1e-3"},
        "common": "c0ffee00",
        "arm": "0badcafe",
        "settings": {
            "model": {"name": "unet", "width": 0.5},
            "train": {"lr": 0.001, "epochs": 3, "clip_grad_norm": None},
            "augment": {"transforms": [{"name": "elastic", "p": 0.2}]},
        },
    }


def plan(*trials: str, **changes: object) -> dict[str, object]:
    """plan.json of these trials, which share the settings of `config`."""
    made = [{"id": trial, "seed": 0, "axes": {"model": "unet", "train.lr": "1e-3"},
             "common": "c0ffee00", "arm": "0badcafe"} for trial in trials]  # fmt: skip
    return {
        "experiment": "pets",
        "task": "segmentation",
        "spec": "experiment: pets\n",
        "common": "c0ffee00",
        "axes": {"model": ["unet"], "train.lr": ["1e-3"]},
        "select": {"metric": "val/dice", "mode": "max"},
        "metrics": METRICS,
        "trials": made,
    } | changes


def recorder_of(files: TrialFiles) -> TrialRecorder:
    return TrialRecorder(files, "val/dice", METRICS)


def begin(store: Store, trial: str = "unet-s0", *, epochs: int = 2) -> TrialRecorder:
    """A trial that is running, `epochs` epochs far, with its checkpoints."""
    files = store.trial("pets", trial)
    files.write_config(config(trial))
    recorder = recorder_of(files)
    recorder.begin({"torch": "2.9"})
    for epoch in range(1, epochs + 1):
        files.best.write_bytes(b"best weights")
        files.last.write_bytes(b"state")
        recorder.record_epoch(row(epoch))
    return recorder


def finish(recorder: TrialRecorder) -> TrialFiles:
    recorder.picture("cat 1/2", np.zeros((4, 6, 3), np.uint8))
    recorder.finish({"test_dice": 0.75, "params": 1234, "device": "cpu", "deterministic": True})
    return recorder.files
