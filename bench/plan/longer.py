"""Trials that differ in `train.epochs` only: when the longer one is the shorter one, gone on with.

Random streams follow from the seed and the number of the epoch, so the first epochs are the same to
the bit unless a setting shares something out over all epochs.
"""

from __future__ import annotations

from typing import Any

from bench.plan.trial import Trial, digest
from bench.spec.train_parts import CustomSchedule, Plateau, Step, part_text
from bench.spec.train_settings import TrainSettings

_OF_TORCH = "torch.optim.lr_scheduler:"
"""Its schedulers are told the optimizer and their arguments, never the number of epochs."""


def key_without_epochs(trial: Trial) -> str:
    """Equal of two trials that differ in `train.epochs` and in nothing else that counts."""
    identity: dict[str, Any] = dict(trial.identity)
    train = {key: value for key, value in identity["train"].items() if key != "epochs"}
    return digest(identity | {"train": train})


def why_not_longer(train: TrainSettings) -> str | None:
    """Which setting makes the first epochs of a longer training others; None: they are the same."""
    schedule = train.schedule
    if isinstance(schedule, CustomSchedule):
        if not schedule.target.startswith(_OF_TORCH):
            return f"train.schedule: {schedule.target} may depend on train.epochs"
    elif schedule != "constant" and not isinstance(schedule, Step | Plateau):
        return f"the learning rates of train.schedule: {part_text(schedule)} depend on train.epochs"
    if train.swa is not None:
        return "train.swa.start is a part of train.epochs"
    if train.steps is not None:
        return "train.steps are shared out over train.epochs"
    return None
