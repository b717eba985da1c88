"""What trials of the first release were made with that has another meaning now.

A trial's id is a hash of its settings. Where the same settings now give other weights or scores,
the id must be another one, so that no table takes old and new trials for repeats of each other.
Each such setting is marked where it stands: what an axis sets is the axis's business alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.data.settings import DataSettings
from bench.settings import Settings
from bench.spec.train_settings import TrainSettings
from bench.tasks.settings import TaskSettings

MARK = "revision 2"
_OF_CLASSES = ("classes", "kinds")


def with_revisions(
    identity: dict[str, Any],
    task: TaskSettings,
    data: DataSettings,
    model: Settings,
    train: TrainSettings,
    classes: Sequence[str],
) -> dict[str, Any]:
    """`identity` with every setting of another meaning marked; the others are what it is of."""
    found = {key: dict(item) if isinstance(item, dict) else item for key, item in identity.items()}
    for section, key in _revised(task, data, model, train, classes):
        if key in found[section]:
            found[section][key] = [found[section][key], MARK]
    return found


def _revised(
    task: TaskSettings,
    data: DataSettings,
    model: Settings,
    train: TrainSettings,
    classes: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Section and key of each."""
    if getattr(model, "name", None) == "ddpm_unet" and getattr(model, "attention", False):
        yield "model", "name"  # its attention starts otherwise
    if task.target_form != "mask":
        return
    if len(classes) > 2:
        yield from (("data", key) for key in _OF_CLASSES)  # absent classes have no score
    if getattr(data, "border", None) == "ignore":
        yield "data", "border"  # val/loss is a mean over pixels, not over batches
    if getattr(data, "ignore", None) is not None:
        yield "data", "ignore"
    if isinstance(train.loss, str) and "dice" in train.loss:
        yield "train", "loss"  # val/loss is of the whole split
