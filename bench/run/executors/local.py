"""Trials on this machine, each in a process forked from a server that has torch imported."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import psutil

from bench.measure.oom_kills import oom_kills
from bench.run.events import Alive, Ended, Event
from bench.run.limits import Limits
from bench.run.processes import start_process
from bench.run.worker import Job, WorkerResources, work
from bench.states import Failure, Status

GRACE_SECONDS = 5.0
LONGEST_PAUSE = 10.0
"""Seconds between two looks at the workers that count as time; more: bench itself was stopped."""

# What a process does to itself: code that is wrong, here or in a library.
_FAULTS = frozenset(
    {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP}
)
UNKNOWN = 255
"""What multiprocessing says of a process whose fork server is dead. No worker ends with it."""
_ZOMBIE = psutil.STATUS_ZOMBIE
NO_MEMORY = (
    "the system ran out of memory and killed the worker process: run fewer trials at a time "
    "(-j), or smaller batches"
)


@dataclass
class _Slot:
    """One worker. `started` and `heard` (of it) are times of `_Clock`."""

    resources: WorkerResources
    process: _Worker
    connection: Connection
    trial: str
    started: float
    heard: float
    ended: bool = False
    exceeded: str | None = None
    """Which limit it was ended for."""


class _Worker:
    """A process that may outlive the fork server, which alone knows how it ends."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self._known: psutil.Process | None = None
        with suppress(psutil.Error):
            self._known = psutil.Process(process.pid)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        if self._process.exitcode is None:
            return True
        with suppress(psutil.Error):
            known = self._known
            return known is not None and known.is_running() and known.status() != _ZOMBIE
        return False

    @property
    def exitcode(self) -> int | None:
        """As of a process; `UNKNOWN` where the server is dead."""
        return self._process.exitcode

    def join(self, seconds: float) -> None:
        """Wait for its end."""
        until = time.monotonic() + seconds
        self._process.join(seconds)
        while self.is_alive and time.monotonic() < until:
            time.sleep(0.02)

    def kill(self) -> None:
        """End it by force."""
        self._process.kill()
        if self._process.exitcode is not None and self._known is not None:
            with suppress(psutil.Error):
                self._known.kill()


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
        resources: Sequence[WorkerResources],
        limits: Limits | None = None,
        count_oom_kills: Callable[[], int | None] = oom_kills,
    ) -> None:
        self._free = list(resources)
        self._slots: list[_Slot] = []
        self._limits = limits or Limits()
        self._clock = _Clock()
        self._count_oom_kills = count_oom_kills
        self._oom_kills = count_oom_kills()

    @property
    def free(self) -> int:
        """Shares of the machine that nothing runs on."""
        return len(self._free)

    @property
    def busy(self) -> int:
        """Workers that are running."""
        return len(self._slots)

    def start(self, job: Job) -> None:
        """Start a worker on the next free share."""
        ours, theirs = Pipe()
        process = start_process(work, (job, self._free[0], theirs), job.trial.id)
        resources = self._free.pop(0)
        theirs.close()
        self._clock.tick()
        now = self._clock.now
        worker = _Worker(process)
        self._slots.append(_Slot(resources, worker, ours, job.trial.id, now, now))

    def events(self, timeout: float) -> Sequence[Event]:
        """What the workers told, and an `Ended` for each that died without a word."""
        ready = wait([slot.connection for slot in self._slots], timeout)
        self._clock.tick()
        found: list[Event] = []
        for slot in list(self._slots):
            if slot.connection in ready:
                found += self._receive(slot)
            elif not slot.process.is_alive and not slot.connection.poll():
                found += self._collect_ended(slot)
            if not slot.ended:
                self._check(slot)
        return found

    def _receive(self, slot: _Slot) -> list[Event]:
        """What one worker told, or how it ended."""
        slot.heard = self._clock.now
        try:
            event: Event | Alive = slot.connection.recv()
        except (EOFError, OSError):
            return self._collect_ended(slot)
        if isinstance(event, Alive):
            return []
        slot.ended |= isinstance(event, Ended)
        return [event]

    def _collect_ended(self, slot: _Slot) -> list[Event]:
        """Give back what an ended worker had."""
        found: list[Event] = [] if slot.ended else [self._describe_death(slot)]
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
        if slot.process.is_alive:
            slot.process.kill()
            slot.process.join(GRACE_SECONDS)
        slot.connection.close()
        self._slots.remove(slot)
        self._free.insert(0, slot.resources)

    def _describe_death(self, slot: _Slot) -> Ended:
        """What to say of a worker that ended without saying so."""
        slot.process.join(GRACE_SECONDS)
        code = slot.process.exitcode
        if slot.exceeded is not None:
            failure, message = Failure.TIMEOUT, slot.exceeded
        elif code == -signal.SIGKILL and self._oom_killed():
            failure, message = Failure.OUT_OF_MEMORY, NO_MEMORY
        else:
            failure, message = _describe_exit_code(code)
        return Ended(slot.trial, Status.FAILED, failure, message, recorded=False)

    def _oom_killed(self) -> bool:
        """Whether the system has killed one more process for want of memory."""
        before, count = self._oom_kills, self._count_oom_kills()
        if before is None or count is None or count <= before:
            return False
        self._oom_kills = before + 1  # others that it killed are told of one by one
        return True


def _describe_exit_code(code: int | None) -> tuple[Failure, str]:
    """What an exit code says; a negative one is a signal's."""
    if code == UNKNOWN:
        return Failure.KILLED, "the worker process and the one that had started it were killed"
    if code is None or code >= 0:
        message = f"the worker process ended with exit code {code} (its log.txt may say why)"
        return Failure.CRASH, message
    names = {known.value: known.name for known in signal.Signals}
    message = f"the worker process was ended by {names.get(-code, f'signal {-code}')}"
    if -code in _FAULTS:
        return Failure.CRASH, f"{message} (its log.txt says where)"
    return Failure.KILLED, message
