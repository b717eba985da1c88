"""MLflow kept up to date while trials run, without ever holding them up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from bench.record.mlflow import ArtifactError, Mirror, MirrorError
from bench.record.store import TrialFiles

_LONGEST_WAIT = 60.0


class LiveMirror:
    """A thread of the parent's that pushes changed trials; nothing waits for it until `close`.

    Figures and states come first; files (checkpoints, pictures) follow, one trial at a time, while
    nothing else is to be pushed. If MLflow fails, `warn` is called once, as it is where only its
    artifact store does, and pushing is tried again, ever more rarely.

    Args:
        mirror: what pushes; from now on for this thread only.
        warn: takes one line; called from the thread.
        interval: seconds between pushes.
    """

    def __init__(
        self, mirror: Mirror, warn: Callable[[str], None], *, interval: float = 2.0
    ) -> None:
        self._mirror, self._warn, self._interval = mirror, warn, interval
        self._wait = self._pause = interval
        self._warned: set[type[Exception]] = set()
        self._used = False
        self._resume = 0.0  # when files are tried again
        self._closing = threading.Event()
        self._guard = threading.Lock()  # of the three below
        self._changed: dict[TrialFiles, None] = {}  # in the order of their changes
        self._fileless: dict[TrialFiles, None] = {}  # pushed, but for their files
        self._pushing: TrialFiles | None = None
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._thread.start()

    def changed(self, files: TrialFiles) -> None:
        """A trial's files have changed. Returns at once."""
        self._used = True
        with self._guard:
            self._changed[files] = None

    def close(self, timeout: float = 30.0) -> list[str]:
        """Push what is left, for at most `timeout` seconds; ids of the trials not there as a whole.

        Where no trial has changed there is nothing to wait for, however slow MLflow starts.
        """
        self._closing.set()
        if not self._used:
            return []
        self._thread.join(timeout)
        with self._guard:
            pushing = [] if self._pushing is None else [self._pushing]
            return sorted({files.id for files in [*pushing, *self._changed, *self._fileless]})

    def _run(self) -> None:
        self._attempt(self._mirror.prepare)
        while not self._closing.wait(self._wait):
            if self._flush():
                self._flush_files()
        pushed = self._flush()
        if not pushed:  # once more: a server that closes a connection has not gone
            time.sleep(min(self._interval, 1.0))
            pushed = self._flush()
        if pushed:
            self._attempt(self._mirror.close_parents)
            self._resume = 0.0
            self._flush_files()
            if not self._fileless:
                self._attempt(self._mirror.keep_specs)

    def _flush(self) -> bool:
        """Push every changed trial. When MLflow fails, the rest waits; False then."""
        with self._guard:
            todo = list(self._changed)
        return all(self._push(files) for files in todo)

    def _push(self, files: TrialFiles) -> bool:
        with self._guard:
            del self._changed[files]
            self._pushing = files
        failure = self._attempt(lambda: self._mirror.push(files))
        with self._guard:
            self._pushing = None
            if failure is not None:
                self._changed[files] = None
            else:
                self._fileless[files] = None
        return not isinstance(failure, MirrorError)  # else it is this trial's own trouble

    def _flush_files(self) -> None:
        """Push the files of trials that have ended, until there are figures to push again."""
        with self._guard:
            todo = list(self._fileless) if time.monotonic() >= self._resume else []
            failed_before = set(self._changed)
        failed = False
        for files in todo:
            with self._guard:
                if set(self._changed) - failed_before:
                    return
            # after one file that fails: figures of other trials wait behind its time-out
            failure = self._attempt(partial(self._mirror.push_artifacts, files, 1))
            failed |= failure is not None
            if failure is None:
                with self._guard:
                    del self._fileless[files]
            elif getattr(failure, "unreachable", True):
                break  # else it is this trial's own trouble
        self._pause = min(2 * self._pause, _LONGEST_WAIT) if failed else self._interval
        self._resume = time.monotonic() + self._pause if failed else 0.0

    def _attempt(self, action: Callable[[], object]) -> Exception | None:
        """Do it; what goes wrong is reported once and never reaches training."""
        try:
            action()
        except ArtifactError as error:  # of which only the files have to wait
            self._say(error, "MLflow has the figures, but not all files")
            return error
        except Exception as error:
            self._say(error, "Training goes on without MLflow for now")
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
            return error
        self._wait = self._interval
        return None

    def _say(self, error: Exception, meaning: str) -> None:
        if type(error) not in self._warned:
            self._warned.add(type(error))
            self._warn(f"{meaning} (`python -m bench sync` catches up): {error}.")
