"""Workers that are listened to while the parent waits for something else."""

from __future__ import annotations

import time
from collections.abc import Sequence

from bench.run.events import Event
from bench.run.executors.base import Executor
from bench.run.worker import Job

_PAUSE = 0.05


class BufferingExecutor:
    """An executor that keeps what workers tell during `wait` until it is asked for.

    A worker whose line is full stands still, and one that nobody listens to is taken for hung.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._buffered: list[Event] = []

    @property
    def free(self) -> int:
        """As the executor's."""
        return self._executor.free

    @property
    def busy(self) -> int:
        """As the executor's; never 0 while events are kept."""
        return self._executor.busy or len(self._buffered)

    def start(self, job: Job) -> None:
        """Start a job."""
        self._executor.start(job)

    def events(self, timeout: float) -> Sequence[Event]:
        """What was kept, else what happens now."""
        buffered, self._buffered = self._buffered, []
        return buffered or self._executor.events(timeout)

    def wait(self, seconds: float) -> None:
        """Spend so many seconds listening."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            found = self._executor.events(left)
            self._buffered += found
            if not found:
                time.sleep(min(_PAUSE, max(0.0, end - time.monotonic())))

    def ask_to_stop(self, trial: str | None = None) -> None:
        """Ask every worker, or the one of a trial, to stop at its next step."""
        self._executor.ask_to_stop(trial)

    def close(self) -> None:
        """End what is still running, by force."""
        self._executor.close()
