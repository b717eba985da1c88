"""Small trials and a recorder in memory, for tests of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.history_row import HistoryRow
from bench.image_scores import TrialScores
from bench.plan.trial import Trial
from bench.spec.schema import TrialSettings

SETTINGS: dict[str, Any] = {
    "task": {"name": "segmentation"},
    "data": {"name": "shapes", "image_size": 32, "train": 12, "val": 4, "test": 4},
    "model": {"name": "unet", "width": 0.05},
    "train": {"epochs": 3, "batch_size": 5},
    "select": {"metric": "val/dice", "mode": "max"},
    "machine": {"device": "cpu", "threads": 1},
}


def make_trial(seed: int = 0, **changes: Any) -> Trial:
    """A trial of a few milliseconds; `train={"epochs": 1}` changes parts of its settings."""
    tree = dict(SETTINGS)
    for key, value in changes.items():
        old = tree.get(key)
        tree[key] = (
            {**old, **value}
            if isinstance(old, dict) and not {"name", "target"} & set(value)
            else value
        )
    return Trial("made", seed, {}, TrialSettings.model_validate(tree))


class MemoryRecorder:
    """Keeps what training hands over; checkpoints go into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[HistoryRow] = []
        self.pictures: dict[str, np.ndarray] = {}
        self.facts: dict[str, Any] = {}
        self.environment: dict[str, Any] = {}
        self.scores: TrialScores | None = None
        self.stopped: tuple[str, str | None, str | None] | None = None

    @property
    def best(self) -> Path:
        return self.folder / "best.pt"

    @property
    def last(self) -> Path:
        return self.folder / "last.pt"

    @property
    def previous(self) -> Path:
        return self.folder / "previous.pt"

    @property
    def finished(self) -> Path:
        return self.folder / "finished.pt"

    def check(self) -> None:
        pass

    def relocated(self, folder: Path) -> MemoryRecorder:
        return MemoryRecorder(folder)

    def begin(self, environment: Mapping[str, Any]) -> None:
        self.environment = dict(environment)

    def resume(self, history: Sequence[HistoryRow]) -> None:
        self.rows = list(history)

    def record_epoch(self, row: HistoryRow) -> None:
        self.rows.append(row)

    def picture(self, name: str, image: np.ndarray) -> None:
        self.pictures[name] = image

    def finish(self, facts: Mapping[str, Any], scores: TrialScores | None = None) -> None:
        self.facts, self.scores = dict(facts), scores

    def stop(self, status: str, failure: str | None, message: str | None) -> None:
        self.stopped = (status, failure, message)


class Silent:
    """Signals of nobody; stops after so many steps when asked to."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.left = stop_after

    def stopping(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left < 0

    def tick(self, epoch: int, step: int, steps: int) -> None:
        pass

    def working(self, what: str, step: int, steps: int) -> None:
        pass

    def epoch(self, row: HistoryRow) -> None:
        pass


def results(rows: Sequence[HistoryRow]) -> list[dict[str, Any]]:
    """The rows without what a clock or a memory gauge says."""
    clocks = {
        "epoch_seconds",
        "val_seconds",
        "between_seconds",
        "images_per_second",
        "peak_memory_mb",
    }
    return [{key: row[key] for key in row if key not in clocks} for row in rows]
