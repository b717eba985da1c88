"""A finished trial of classification on record, without its training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.models.settings import MODELS
from bench.plan.expand import trial_config
from bench.plan.trial import Trial
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.states import Status
from tests.builders.training import make_trial

LEARNS_KINDS: dict[str, Any] = {
    "task": {"name": "classification"},
    "data": {"name": "shapes", "kinds": 2, "image_size": 32, "train": 12, "val": 4, "test": 4},
    "model": {"name": "resnet", "depth": 18, "width": 0.05},
    "train": {"epochs": 1, "batch_size": 6},
    "select": {"metric": "val/top1", "mode": "max"},
}


def classifier(label: str = "small", seed: int = 0, **changes: Any) -> Trial:
    """A trial of the experiment `kinds`."""
    trial = make_trial(seed, **LEARNS_KINDS | changes)
    return replace(trial, experiment="kinds", axes={"model": label})


def put(root: Path, trial: Trial, score: float = 0.5, weights: int = 0) -> TrialFiles:
    """The trial as if it had been trained; `weights` is the seed of what it has learnt."""
    files, settings = Store(root).trial(trial.experiment, trial.id), trial.settings
    files.write_config(trial_config(trial))
    files.write_status(TrialStatus(Status.DONE))
    torch.manual_seed(weights)
    outputs = settings.task.out_channels(settings.classes)
    model = MODELS.build(settings.model, in_channels=3, out_channels=outputs)
    torch.save({"model": model.state_dict(), "epoch": 1}, files.best)
    metric = settings.select.metric
    epochs = range(1, settings.train.epochs + 1)
    files.write_history([{"epoch": epoch, metric: score} for epoch in epochs], ["epoch", metric])
    files.summary_path.write_text(f'{{"best_{metric.replace("/", "_")}": {score}}}')
    return files


def put_plan(root: Path, *trials: Trial) -> None:
    """The plan of `kinds`, with these trials."""
    planned = [
        {"id": t.id, "seed": t.seed, "axes": dict(t.axes), "common": t.common, "arm": t.arm}
        for t in trials
    ]
    labels = list(dict.fromkeys(trial.axes["model"] for trial in trials))
    select = {"metric": "val/top1", "mode": "max"}
    record = {"task": "classification", "spec": None, "metrics": {"top1": "max"}}
    record |= {"trials": planned, "select": select, "common": trials[0].common}
    Store(root).write_plan("kinds", record | {"axes": {"model": labels}})
