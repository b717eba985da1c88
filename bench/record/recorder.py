"""Writes one trial's files as training goes: what `bench.train` is given as its recorder."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench import folders
from bench.atomic_files import replacing
from bench.errors import DamagedError, StoreError
from bench.history_row import HistoryRow
from bench.record.columns import (
    ENVIRONMENT_DIGEST,
    HISTORY,
    HISTORY_DIGEST,
    METRICS,
    SUMMARY_DIGEST,
    Failure,
    Status,
)
from bench.record.confirm import environment_digest, history_digest, summary_digest
from bench.record.files import remove_leftovers, write_json
from bench.record.leases import Lease
from bench.record.summary import summarise
from bench.record.trial_files import TrialFiles, TrialStatus, now
from bench.safe_files import refuse_link_out

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from bench.image_scores import TrialScores

_OF_MACHINE = ("device", "threads", "torch", "git_commit")


@dataclass
class TrialRecorder:
    """Implements `bench.train.recorder.Recorder` on a trial's folder. Picklable.

    Attributes:
        files: the trial's files.
        select: the column that chooses the best epoch, `val/dice`.
        metrics: direction of every validation metric, without `val/`; of `select`'s too.
        facts: columns of runs.csv that are known before the trial: what its model costs.
        lease: where several processes share the trials: nothing is written when it is lost.
        keep_last: whether a finished trial keeps `last.pt` and `previous.pt`.
    """

    files: TrialFiles
    select: str
    metrics: Mapping[str, Literal["min", "max"]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    lease: Lease | None = None
    keep_last: bool = False
    _history: list[HistoryRow] = field(default_factory=list, repr=False)

    @property
    def best(self) -> Path:
        """Where the best epoch's weights are kept."""
        return self.files.best

    @property
    def last(self) -> Path:
        """Where the state to continue from is kept."""
        return self.files.last

    @property
    def previous(self) -> Path:
        """Where an earlier state is kept, should the last one not be readable."""
        return self.files.previous

    @property
    def finished(self) -> Path:
        """Where the state without weights of a finished trial is kept."""
        return self.files.finished

    def check(self) -> None:
        """Raises LostLeaseError where another process has taken the trial over.

        Raises:
            UnwritableError: its folder has vanished, or cannot be written any more.
        """
        if self.lease is not None:
            self.lease.check()
            self.check_folder()

    def check_folder(self) -> None:
        """Raises UnwritableError where the trial's folder has vanished or is read-only."""
        folders.check(self.files.folder)

    def relocated(self, folder: Path) -> TrialRecorder:
        """One that writes the same into another folder, whose name is the trial's, too."""
        return replace(self, files=TrialFiles(folder), lease=None, _history=[])

    def begin(self, environment: Mapping[str, Any]) -> None:
        """The trial starts, or goes on if there is a state to go on from."""
        self.check()
        if self.lease is not None:
            folders.keep(self.files.folder)
        remove_leftovers(self.files.folder)
        before = self._status()
        going_on = any(path.exists() for path in self.files.states)
        if not going_on:
            self.files.clear()
        write_json(self.files.environment_path, environment)
        self.files.write_status(
            TrialStatus(
                Status.RUNNING,
                pid=os.getpid(),
                host=socket.gethostname(),
                started=(before.started if going_on else None) or now(),
                retries=before.retries,
            )
        )

    def resume(self, history: Sequence[HistoryRow]) -> None:
        """The history up to the checkpoint that training goes on from; what came after is void."""
        self.check()
        self._history = list(history)
        self._write_history()

    def record_epoch(self, row: HistoryRow) -> None:
        """Add one epoch. The whole file is replaced, so that at no instant a row is half there."""
        self.check()
        self._history.append(row)
        self._write_history()
        self.files.write_status(self._status())

    def picture(self, name: str, image: npt.NDArray[np.uint8]) -> None:
        """Keep a sample picture, (H, W, 3), as PNG."""
        from PIL import Image  # a worker has it; a command that runs nothing need not

        self.check()
        refuse_link_out(self.files.samples, self.files.folder)
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._") or "picture"
        with replacing(self.files.samples / f"{plain}.png") as temporary:
            Image.fromarray(image).save(temporary, format="PNG")

    def finish(self, facts: Mapping[str, Any], scores: TrialScores | None = None) -> None:
        """Keep scores and summary, then say that the trial is done; survives power cuts.

        Only then what training would have gone on from is deleted: killed in between, the trial is
        done, and `bench clean` deletes the rest.
        """
        self.check()
        digests: Mapping[str, str] = {}
        if scores is not None:
            from bench.record.image_scores import write_scores  # numpy: a worker has it

            digests = write_scores(self.files, scores)
        self._summarise(self._history, {**facts, **digests})
        self.files.write_status(replace(self._status(), status=Status.DONE), durable=True)
        if not self.keep_last and self.finished.exists():
            for path in (self.previous, self.last):
                with suppress(OSError):  # the trial is done all the same
                    path.unlink(missing_ok=True)

    def stop(self, status: str, failure: str | None, message: str | None) -> None:
        """The trial ended otherwise; also for the parent to say of a worker that died.

        Nothing is written about a trial that another process has taken over.
        """
        if self.lease is not None and not self.lease.held():
            return
        if status in (Status.FAILED, Status.PRUNED):
            environment = self.files.environment()
            known = {name: environment[name] for name in _OF_MACHINE if name in environment}
            self._summarise(self.files.history(), known)
        self.files.write_status(
            replace(
                self._status(),
                status=Status(status),
                failure=None if failure is None else Failure(failure),
                message=message,
            )
        )

    def retry(self, message: str) -> None:
        """The worker was killed, as the message says, and the trial will go on by itself."""
        before = self._status()
        self.files.write_status(
            replace(before, status=Status.INTERRUPTED, message=message, retries=before.retries + 1)
        )

    def _summarise(self, history: Sequence[HistoryRow], facts: Mapping[str, Any]) -> None:
        summary: dict[str, Any] = {}
        if history:
            summary = summarise(history, self.select, self.metrics)
            summary[HISTORY_DIGEST] = history_digest(self.files.id, self.files.history())
        record = summary | dict(self.facts) | dict(facts)
        with suppress(DamagedError):
            environment = self.files.environment()
            record[ENVIRONMENT_DIGEST] = environment_digest(self.files.id, environment)
        record[SUMMARY_DIGEST] = summary_digest(self.files.id, record)
        write_json(self.files.summary_path, record, durable=True)

    def _status(self) -> TrialStatus:
        with suppress(StoreError):  # a damaged status is replaced by the next one
            return self.files.status()
        return TrialStatus(Status.PLANNED)

    def _write_history(self) -> None:
        self.files.write_history(self._history, history_columns(self._history))


def history_columns(history: Sequence[HistoryRow]) -> list[str]:
    """HISTORY with the metrics of the first row in their order there, `val/loss` first."""
    metrics = [name for name in (history[0] if history else ()) if name not in HISTORY]
    metrics.sort(key=lambda name: name != "val/loss")
    return [name for column in HISTORY for name in (metrics if column == METRICS else [column])]
