"""Trials on this machine, each in a process forked from a server that has torch imported."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess

from bench.run.events import Ended, Event
from bench.run.worker import Job, Share, work
from bench.states import Failure, Status

GRACE_SECONDS = 5.0


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
    share: Share
    process: BaseProcess
    connection: Connection
    trial: str
    ended: bool = False


class LocalExecutor:
    """One process per trial, one trial per share of the machine."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self._context = worker_context()
        self._shares = list(shares)
        self._slots: list[_Slot] = []

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
        process = self._context.Process(  # type: ignore[attr-defined]
            target=work, args=(job, share, theirs), name=job.trial.id
        )
        process.start()
        theirs.close()
        self._slots.append(_Slot(share, process, ours, job.trial.id))

    def events(self, timeout: float) -> Sequence[Event]:
        """What the workers told, and an `Ended` for each that died without a word."""
        waiting = {slot.connection: slot for slot in self._slots}
        found: list[Event] = []
        for ready in wait(list(waiting), timeout):
            slot = waiting[ready]  # type: ignore[index]  # only connections are waited for
            try:
                event: Event = slot.connection.recv()
            except (EOFError, OSError):
                if not slot.ended:
                    found.append(_died(slot))
                self._release(slot)
            else:
                slot.ended |= isinstance(event, Ended)
                found.append(event)
        return found

    def ask_to_stop(self) -> None:
        """Ask every worker to stop at its next step."""
        for slot in self._slots:
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


def _died(slot: _Slot) -> Ended:
    """What to say of a worker that ended without saying so."""
    slot.process.join(GRACE_SECONDS)
    code = slot.process.exitcode
    if code is not None and code < 0:
        how = f"by signal {signal.Signals(-code).name}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    else:
        how, hint = f"with exit code {code}", ""
    message = f"the worker process was ended {how}{hint}"
    return Ended(slot.trial, Status.FAILED, Failure.KILLED, message, recorded=False)
