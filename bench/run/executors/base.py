"""What the runner asks of a place where trials run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bench.run.events import Event
from bench.run.worker import Job


class Executor(Protocol):
    """Runs jobs in processes of their own and passes on what they tell."""

    @property
    def free(self) -> int:
        """How many more jobs can be started now."""
        ...

    @property
    def busy(self) -> int:
        """How many jobs are running."""
        ...

    def start(self, job: Job) -> None:
        """Start a job; the caller has checked `free`. Raises WorkerStartError."""
        ...

    def events(self, timeout: float) -> Sequence[Event]:
        """What has happened, waiting up to `timeout` seconds for something to.

        Exactly one `Ended` comes for each job, also when its process was killed.
        """
        ...

    def ask_to_stop(self, trial: str | None = None) -> None:
        """Ask every worker, or the one of a trial, to stop at its next step, resumable."""
        ...

    def close(self) -> None:
        """End what is still running, by force, and give everything back."""
        ...
