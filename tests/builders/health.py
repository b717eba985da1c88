"""Small trainings whose health is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.health import HealthFinding, HealthIssue, read
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent, make_trial

Found = dict[HealthIssue, HealthFinding]
SHAPES = {"name": "shapes", "image_size": 32, "train": 40, "val": 8, "test": 2}


def recorded(folder: Path, *, stop_after: int | None = None, **changes: Any) -> MemoryRecorder:
    """A trial of five steps an epoch, of `Net` where no model is given."""
    changes = {"data": SHAPES, "model": net()} | changes
    changes["train"] = {"epochs": 4, "batch_size": 8, "lr": 1e-2} | changes.get("train", {})
    recorder = MemoryRecorder(folder)
    train_trial(make_trial(**changes), recorder, Silent(stop_after))
    return recorder


def net(**settings: Any) -> dict[str, Any]:
    return {"target": "tests.train.unwell:Net", **settings}


def findings(folder: Path, **changes: Any) -> Found:
    found = read(recorded(folder, **changes).facts)
    assert found is not None
    return {finding.kind: finding for finding in found}
