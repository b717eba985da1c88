"""What trials of the first release were made with that has another meaning now.

A trial's id is a hash of its settings. Where the same settings now give other weights or scores,
the id must be another one, so that no table takes old and new trials for repeats of each other.
Each such setting is marked where it stands: what an axis sets is the axis's business alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.spec.schema import TrialSettings

MARK = "revision 2"
_OF_CLASSES = ("classes", "kinds")


def with_revisions(identity: dict[str, Any], settings: TrialSettings) -> dict[str, Any]:
    """`identity` with every setting of another meaning marked; `settings` are what it is of."""
    found = {key: dict(item) if isinstance(item, dict) else item for key, item in identity.items()}
    for section, key in _revised(settings):
        if key in found[section]:
            found[section][key] = [found[section][key], MARK]
    return found


def _revised(settings: TrialSettings) -> Iterator[tuple[str, str]]:
    """Section and key of each."""
    task, data, model, train = settings.task, settings.data, settings.model, settings.train
    if getattr(model, "name", None) == "ddpm_unet" and model.attention:
        yield "model", "name"  # its attention starts otherwise
    if task.target != "mask":
        return
    if len(settings.classes) > 2:
        yield from (("data", key) for key in _OF_CLASSES)  # absent classes have no score
    if getattr(data, "border", None) == "ignore":
        yield "data", "border"  # val/loss is a mean over pixels, not over batches
    if getattr(data, "ignore", None) is not None:
        yield "data", "ignore"
    if "dice" in train.loss:
        yield "train", "loss"  # val/loss is of the whole split
