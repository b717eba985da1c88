"""What the files say of a trial at one moment, to be compared with what MLflow has."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.record import mlflow_fields as fields
from bench.record.columns import Status
from bench.record.files import read_json
from bench.record.store import TrialFiles, TrialStatus
from bench.safe_files import open_plain

if TYPE_CHECKING:
    from mlflow.entities import Run

LACKING = "artifacts_lacking"
"""In mlflow.json: the names of the files that MLflow's artifact store has not got yet."""

History = list[dict[str, float | int | None]]


@dataclass(frozen=True)
class Record:
    """All that the files say of a trial, at one moment."""

    files: TrialFiles
    digest: str
    config_yaml: bytes
    status: TrialStatus
    config: Mapping[str, Any]
    history: History
    summary: Mapping[str, Any]

    @classmethod
    def read(cls, files: TrialFiles, before: Record | None = None) -> Record:
        """Read it now; parsing `config.yaml` is slow, and it is mostly what it was `before`.

        Raises:
            StoreError: something is missing or damaged.
        """
        # digest first: what changes while we read is seen as new the next time
        contents = _contents(files)
        digest = _digest(contents)
        unchanged = before is not None and before.config_yaml == contents[0]
        config = before.config if before and unchanged else files.config()
        status, history, summary = files.status(strict=True), files.history(), files.summary()
        return cls(files, digest, contents[0], status, config, history, summary)


@dataclass(frozen=True)
class Pushed:
    """What this process pushed of a trial, and nothing more is in its run."""

    run: Run
    record: Record

    def is_beginning_of(self, record: Record) -> bool:
        """Whether all that has happened since, there and here, is that epochs were added."""
        known, memory = self.record.history, memory_of(record.files)
        ours = (memory.get("run_id"), memory.get("state"))
        return (
            ours == (self.run.info.run_id, self.record.digest)  # nobody else has pushed
            and self.record.status.status is record.status.status is Status.RUNNING
            and self.record.status.started == record.status.started
            and 0 < len(known) < len(record.history)
            and record.history[: len(known)] == known
        )


def end_time(record: Record, run: Run) -> int:
    """When the trial ended, in ms; after its last epoch, though the clock was set back since."""
    start = fields.milliseconds(record.status.started) or run.info.start_time
    updated = fields.milliseconds(record.status.updated) or start
    found: int = max([start, updated, *fields.epoch_times(record.history, start)[-1:]])
    return found


def agrees(steps: Mapping[int, float], record: Record) -> bool:
    """Whether MLflow has a beginning of this history, and not that of an earlier start.

    A trial that goes on may for a while have fewer epochs than it had.
    """
    column = marker(record.history)
    here = {row["epoch"]: row[column] for row in record.history}
    going_on = record.status.status in (Status.RUNNING, Status.INTERRUPTED)
    if not going_on and any(step not in here for step in steps):
        return False
    return all(_same(here[step], value) for step, value in steps.items() if step in here)


def _same(here: float | None, there: float) -> bool:
    """Equal; a missing or infinite number is not compared (databases store them differently)."""
    return here is None or not math.isfinite(here) or math.isclose(here, there, rel_tol=1e-9)


def marker(history: History) -> str:
    """The column that tells which epochs MLflow has: the first of those with the most values."""
    columns = [name for name in (history[0] if history else ()) if fields.is_plain_metric(name)]
    return max(
        columns,
        key=lambda column: sum(row[column] is not None for row in history),
        default="train/loss",
    )


def memory_of(files: TrialFiles) -> dict[str, Any]:
    """mlflow.json, empty where there is none that can be read."""
    with contextlib.suppress(StoreError):  # only a memory: MLflow itself is asked
        return read_json(files.mlflow_path) or {}
    return {}


def stamp(files: TrialFiles) -> list[int]:
    """Changes whenever `status.json` is written: at the latest with a trial's end."""
    found = files.status_path.stat()
    return [found.st_mtime_ns, found.st_size]


def is_behind(files: TrialFiles) -> bool:
    """Whether MLflow lacks something of a trial that has ended, by what we remember: quick.

    Where it was pushed to another server than now, it is not behind.
    """
    with contextlib.suppress(StoreError, OSError):
        if files.status(strict=True).status in (Status.PLANNED, Status.RUNNING):
            return False
        memory = memory_of(files)
        if not memory.get("finished") or memory.get(LACKING):
            return True
        if memory.get("status") == stamp(files):
            return False
        return memory.get("state") != _digest(_contents(files))
    return False  # what cannot be read cannot be pushed


def _digest(contents: tuple[bytes, ...]) -> str:
    return hashlib.sha256(b"\0".join((*contents, b""))).hexdigest()[:16]


def _contents(files: TrialFiles) -> tuple[bytes, ...]:
    """What the trial's records say, `config.yaml` first; a missing one is empty."""
    paths = (files.config_path, files.status_path, files.history_path, files.summary_path)
    return tuple(map(_content, paths))


def _content(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read()
    except OSError:
        return b""
