"""One trial in a process of its own."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from bench.errors import BenchError, StoreError, UnwritableError
from bench.history_row import HistoryRow
from bench.interruption import ignore_signals
from bench.masking import masked
from bench.plan.trial import Trial
from bench.run import liveness
from bench.run.events import Alive, Ended, EpochDone, Started, Ticked, Working
from bench.safe_files import open_log
from bench.states import Failure, Status
from bench.train.recorder import Recorder

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


@dataclass(frozen=True)
class Job:
    """All that a worker needs. Sent to it, so everything in it can be pickled.

    Attributes:
        trial: what to train.
        recorder: where its results go.
        log: file that takes what the worker prints.
        test: whether the best epoch is scored on the test split.
    """

    trial: Trial
    recorder: Recorder
    log: Path
    test: bool = True


@dataclass(frozen=True)
class WorkerResources:
    """A worker's part of the machine.

    Attributes:
        threads: CPU threads of each of its processes.
        gpus: the GPUs it may see, as many as a trial has devices; None: as inherited.
        trials_per_device: how many workers its device has at a time, itself included.
    """

    threads: int
    gpus: str | None = None
    trials_per_device: int = 1


class ParentConnection:
    """The worker's end of the connection to the parent; `bench.train.loop.Signals`."""

    def __init__(self, trial: str, connection: Connection) -> None:
        self._trial = trial
        self._connection = connection
        self._sending = threading.Lock()
        self._stop = threading.Event()
        threading.Thread(target=self._listen, daemon=True, name="listen").start()

    def stopping(self) -> bool:
        """Whether the parent asked to stop."""
        return self._stop.is_set()

    def started(self) -> None:
        """Say that the trial begins."""
        self._send(Started(self._trial))

    def tick(self, epoch: int, step: int, steps: int) -> None:
        """Say how far the epoch is."""
        self._send(Ticked(self._trial, epoch, step, steps))

    def working(self, what: str, step: int, steps: int) -> None:
        """Say how far work is that is no step of training."""
        self._send(Working(self._trial, what, step, steps))

    def epoch(self, row: HistoryRow) -> None:
        """Say that an epoch is recorded."""
        self._send(EpochDone(self._trial, dict(row)))

    def alive(self) -> None:
        """Say that work goes on. From any thread."""
        self._send(Alive(self._trial))

    def ended(
        self, status: Status, failure: Failure | None, message: str | None, *, recorded: bool
    ) -> None:
        """Say how the trial ended, and whether that is on record."""
        self._send(Ended(self._trial, status, failure, message, recorded))

    def _send(self, event: Started | Ticked | Working | EpochDone | Alive | Ended) -> None:
        try:
            with self._sending:
                self._connection.send(event)
        except OSError:
            _exit_now()  # the parent is gone

    def _listen(self) -> None:
        try:
            self._connection.recv()  # anything the parent says means stop
        except (EOFError, OSError):
            # The parent is gone, and the next one may start this trial at any moment. What is on
            # disk is whole at every instant.
            _exit_now()
        self._stop.set()


def work(job: Job, resources: WorkerResources, connection: Connection) -> None:
    """Train `job`'s trial; the entry point of a worker process."""
    ignore_signals()
    line = ParentConnection(job.trial.id, connection)
    try:
        redirect_output(job.log)
    except StoreError as error:  # a link: what it leads to is nobody's log
        line.ended(Status.FAILED, Failure.CRASH, str(error), recorded=False)
        _exit_now()
    if resources.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = resources.gpus
    faulthandler.enable()  # a segmentation fault says where, in the log
    line.started()
    liveness.watch(line.alive)

    def end(failure: Failure, message: str) -> NoReturn:
        _end(job, line, Status.FAILED, failure, message)

    _end(job, line, *_train(job, resources, line, end))


def _end(
    job: Job, line: ParentConnection, status: Status, failure: Failure | None, message: str | None
) -> NoReturn:
    """Record how the trial ended, say so, and end the process."""
    recorded = status is Status.DONE
    # of a killed process the parent decides whether the trial starts again
    if not recorded and failure is not Failure.KILLED:
        with contextlib.suppress(StoreError):  # a full disk, say: the parent tries again
            job.recorder.stop(status, failure, message)
            recorded = True
    line.ended(status, failure, message, recorded=recorded)
    _exit_now()


def _train(
    job: Job,
    resources: WorkerResources,
    line: ParentConnection,
    end: Callable[[Failure, str], None],
) -> tuple[Status, Failure | None, str | None]:
    import torch

    from bench.train.devices import DeviceLostError
    from bench.train.failures import describe_failure
    from bench.train.loop import Diverged
    from bench.train.progress_watch import Interrupted
    from bench.train.session import train_trial

    torch.set_num_threads(resources.threads)
    try:
        train_trial(
            job.trial,
            job.recorder,
            line,
            trials_per_device=resources.trials_per_device,
            test=job.test,
            end=end,
        )
    except Interrupted:
        return Status.INTERRUPTED, None, None
    except UnwritableError as error:
        return Status.INTERRUPTED, None, str(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:  # the log's disk is full
            return Status.INTERRUPTED, None, f"{job.log}: cannot be written ({error.strerror})"
        if not isinstance(error, BenchError | Diverged | DeviceLostError):
            print(masked(traceback.format_exc()), file=sys.stderr)
        return Status.FAILED, *describe_failure(error, job.trial.settings.train.devices)
    return Status.DONE, None, None


def redirect_output(log: Path) -> None:
    """Send what the process prints, C libraries included, to the trial's log."""
    try:
        target = open_log(log)
    except OSError:  # the folder has vanished: the trial's first record says so
        target = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be no text


def _exit_now() -> NoReturn:
    """End at once: tearing torch down takes longer than a small trial's start."""
    with contextlib.suppress(OSError):  # a full disk
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
