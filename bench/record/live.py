"""MLflow kept up to date while trials run, without ever holding them up."""

from __future__ import annotations

import threading
from collections.abc import Callable

from bench.record.mlflow import Mirror, MirrorError
from bench.record.store import TrialFiles

_LONGEST_WAIT = 60.0


class LiveMirror:
    """A thread of the parent's that pushes changed trials; nothing waits for it until `close`.

    If MLflow fails, `warn` is told once, and pushing is tried again, ever more rarely.

    Args:
        mirror: what pushes; from now on for this thread only.
        warn: takes one line; called from the thread.
        interval: seconds between pushes.
    """

    def __init__(
        self, mirror: Mirror, warn: Callable[[str], None], *, interval: float = 2.0
    ) -> None:
        self._mirror, self._warn, self._interval = mirror, warn, interval
        self._wait = interval
        self._warned = self._used = False
        self._closing = threading.Event()
        self._guard = threading.Lock()  # of the two below
        self._changed: dict[TrialFiles, None] = {}  # in the order of their changes
        self._pushing: TrialFiles | None = None
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def changed(self, files: TrialFiles) -> None:
        """A trial's files have changed. Returns at once."""
        self._used = True
        with self._guard:
            self._changed[files] = None

    def close(self, timeout: float = 30.0) -> list[str]:
        """Push what is left, for at most `timeout` seconds; ids of the trials still not pushed.

        Where no trial has changed there is nothing to wait for, however slow MLflow starts.
        """
        self._closing.set()
        if not self._used:
            return []
        self._thread.join(timeout)
        with self._guard:
            pushing = [] if self._pushing is None else [self._pushing]
            return sorted({files.id for files in [*pushing, *self._changed]})

    def _run(self) -> None:
        self._attempt(self._mirror.prepare)
        while not self._closing.wait(self._wait):
            self._flush()
        if self._flush():
            self._attempt(self._mirror.close_parents)

    def _flush(self) -> bool:
        """Push every changed trial. When MLflow fails, the rest waits; False then."""
        with self._guard:
            todo = list(self._changed)
        return all(self._push(files) for files in todo)

    def _push(self, files: TrialFiles) -> bool:
        with self._guard:
            del self._changed[files]
            self._pushing = files
        failure = self._attempt(lambda: self._mirror.sync_trial(files))
        with self._guard:
            self._pushing = None
            if failure is not None:
                self._changed[files] = None
        return not isinstance(failure, MirrorError)  # else it is this trial's own trouble

    def _attempt(self, action: Callable[[], object]) -> Exception | None:
        """Do it; what goes wrong is told once and never reaches training."""
        try:
            action()
        except Exception as error:
            if not self._warned:
                self._warned = True
                self._warn(f"{error}. Training goes on; `python -m bench sync` catches up.")
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            return error
        self._wait = self._interval
        return None
