"""Trials on this machine, each in a process forked from a server that has torch imported."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

import psutil

from bench.measure.oom_kills import oom_kills
from bench.run.events import Alive, Ended, Event
from bench.run.limits import Limits
from bench.run.worker import Job, Share, work
from bench.states import Failure, Status

GRACE_SECONDS = 5.0
LONGEST_PAUSE = 10.0
"""Seconds between two looks at the workers that count as time; more: bench itself was stopped."""

# What a process does to itself: code that is wrong, here or in a library.
_FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
)
NO_MEMORY = (
    "the system killed the worker process for want of memory: run fewer trials at a time (-j), or "
    "smaller batches"
)


def worker_context() -> BaseContext:
    """The way to start workers: a fork server where there is one, else fresh processes.

    The server imports what every trial needs and runs no operator: a fork after torch's threads
    have started can hang. CUDA stays untouched in it for the same reason.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    # threads that wait busily starve each other on a shared machine: up to 4 times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.run.preload"])
    return context


@dataclass
class _Slot:
    """One worker. `started` and `heard` (of it) are times of `_Clock`."""

    share: Share
    process: BaseProcess
    connection: Connection
    trial: str
    started: float
    heard: float
    ended: bool = False
    exceeded: str | None = None
    """Which limit it was ended for."""


class _Clock:
    """Seconds during which this process was awake: a suspended job's workers are not late."""

    def __init__(self) -> None:
        self.now, self._seen = 0.0, time.monotonic()

    def tick(self) -> None:
        """Go on by the time since the last call."""
        seen = time.monotonic()
        self.now += min(seen - self._seen, LONGEST_PAUSE)
        self._seen = seen


class LocalExecutor:
    """One process per trial, one trial per share of the machine.

    A worker that exceeds a limit is killed: what is on disk is whole at every instant.
    """

    def __init__(
        self,
        shares: Sequence[Share],
        limits: Limits | None = None,
        count_oom_kills: Callable[[], int | None] = oom_kills,
    ) -> None:
        self._context = worker_context()
        self._shares = list(shares)
        self._slots: list[_Slot] = []
        self._limits = limits or Limits()
        self._clock = _Clock()
        self._count_oom_kills = count_oom_kills
        self._oom_kills = count_oom_kills()

    @property
    def free(self) -> int:
        """Shares of the machine that nothing runs on."""
        return len(self._shares)

    @property
    def busy(self) -> int:
        """Workers that are running."""
        return len(self._slots)

    def start(self, job: Job) -> None:
        """Start a worker on the next free share."""
        share = self._shares.pop(0)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(  # type: ignore[attr-defined]  # typeshed's base context lacks it
            target=work, args=(job, share, theirs), name=job.trial.id
        )
        process.start()
        theirs.close()
        self._clock.tick()
        now = self._clock.now
        self._slots.append(_Slot(share, process, ours, job.trial.id, now, now))

    def events(self, timeout: float) -> Sequence[Event]:
        """What the workers told, and an `Ended` for each that died without a word."""
        ready = wait([slot.connection for slot in self._slots], timeout)
        self._clock.tick()
        found: list[Event] = []
        for slot in list(self._slots):
            if slot.connection in ready:
                found += self._hear(slot)
            elif _is_gone(slot.process) and not slot.connection.poll():
                found += self._bury(slot)
            if not slot.ended:
                self._check(slot)
        return found

    def _hear(self, slot: _Slot) -> list[Event]:
        """What one worker told, or how it ended."""
        slot.heard = self._clock.now
        try:
            event: Event | Alive = slot.connection.recv()
        except (EOFError, OSError):
            return self._bury(slot)
        if isinstance(event, Alive):
            return []
        slot.ended |= isinstance(event, Ended)
        return [event]

    def _bury(self, slot: _Slot) -> list[Event]:
        """Give back what an ended worker had."""
        found: list[Event] = [] if slot.ended else [self._died(slot)]
        slot.ended = True
        self._release(slot)
        return found

    def _check(self, slot: _Slot) -> None:
        """End a worker that exceeds a limit; that it is gone is noticed as of any other."""
        age, silence = self._clock.now - slot.started, self._clock.now - slot.heard
        if slot.exceeded is None and (why := self._limits.exceeded(age, silence)):
            slot.exceeded = why
            slot.process.kill()

    def ask_to_stop(self, trial: str | None = None) -> None:
        """Ask every worker, or the one of a trial, to stop at its next step."""
        for slot in self._slots:
            if trial not in (None, slot.trial):
                continue
            try:
                slot.connection.send("stop")
            except OSError:
                continue  # it is ending already; `events` will tell

    def close(self) -> None:
        """Kill what still runs."""
        for slot in list(self._slots):
            slot.process.kill()
            self._release(slot)

    def _release(self, slot: _Slot) -> None:
        slot.process.join(GRACE_SECONDS)
        if slot.process.is_alive():
            slot.process.kill()
            slot.process.join()
        slot.connection.close()
        self._slots.remove(slot)
        self._shares.insert(0, slot.share)

    def _died(self, slot: _Slot) -> Ended:
        """What to say of a worker that ended without saying so."""
        slot.process.join(GRACE_SECONDS)
        code = slot.process.exitcode
        if slot.exceeded is not None:
            failure, message = Failure.TIMEOUT, slot.exceeded
        elif code == -signal.SIGKILL and self._oom_killed():
            failure, message = Failure.OUT_OF_MEMORY, NO_MEMORY
        else:
            failure, message = _fate(code)
        return Ended(slot.trial, Status.FAILED, failure, message, recorded=False)

    def _oom_killed(self) -> bool:
        """Whether the system has killed one more process for want of memory."""
        before, count = self._oom_kills, self._count_oom_kills()
        if before is None or count is None or count <= before:
            return False
        self._oom_kills = before + 1  # others that it killed are told of one by one
        return True


def _fate(code: int | None) -> tuple[Failure, str]:
    """What an exit code says; a negative one is a signal's."""
    if code is None or code >= 0:
        message = f"the worker process ended with exit code {code} (its log.txt may say why)"
        return Failure.CRASH, message
    names = {known.value: known.name for known in signal.Signals}
    message = f"the worker process was ended by {names.get(-code, f'signal {-code}')}"
    if -code in _FAULTS:
        return Failure.CRASH, f"{message} (its log.txt says where)"
    return Failure.KILLED, message


def _is_gone(process: BaseProcess) -> bool:
    """Whether a process has ended, though one that it started may hold its line open."""
    return process.exitcode is not None and not psutil.pid_exists(process.pid or 0)
