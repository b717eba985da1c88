"""One trial on several devices of a machine: the processes beside the first one.

The first process is the trial's worker: it alone validates, records and is listened to. The others
(`bench.train.follower`) take the same steps on their devices, and hold nothing that is not in the
first one, too: when the trial ends in whichever way, they are ended.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NoReturn, Self

import torch
from torch import Tensor, distributed, nn

from bench.errors import DeviceError
from bench.measure.oom_kills import oom_kills
from bench.plan.trial import Trial
from bench.states import Failure
from bench.train.sharding import ShardedModel

ANSWER_SECONDS = 10.0
"""What the main thread has to notice that a process is gone; waiting for a GPU it never would."""
KILL_SECONDS = 5.0
_FOREVER = timedelta(days=30)
"""Whoever waits for a process that hangs is ended by the limits of `bench run`."""


class DeviceLostError(Exception):
    """The process of another device of the trial has failed, or was ended."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


@dataclass(frozen=True)
class Place:
    """One process's place among those of a trial. Picklable.

    Attributes:
        rank: its number; 0 is the worker's.
        count: how many there are.
        folder: where they find each other.
    """

    rank: int
    count: int
    folder: Path

    def use_device(self, device: torch.device) -> None:
        """Let `cuda` be this process's own GPU.

        Raises:
            DeviceError: there are fewer than processes.
        """
        if device.type != "cuda":
            return
        if (found := torch.cuda.device_count()) < self.count:
            raise DeviceError(
                f"train.devices: {self.count} is more than the GPUs that this trial sees "
                f"({found}): use no more devices than there are GPUs (see `bench doctor`)"
            )
        torch.cuda.set_device(self.rank)

    @contextmanager
    def together(self, device: torch.device) -> Iterator[None]:
        """Form the group of processes; waits for all of them."""
        if Path("/sys/class/net/lo").exists():  # all are on this machine, whatever its name
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=distributed.FileStore(  # type: ignore[attr-defined]  # torch documents it
                str(self.folder / "store"), self.count
            ),
            rank=self.rank,
            world_size=self.count,
            timeout=_FOREVER,
        )
        try:
            yield
        except BaseException:
            if device.type != "cuda":  # NCCL may wait for those who are gone
                with suppress(RuntimeError):
                    distributed.destroy_process_group()
            raise
        distributed.destroy_process_group()

    def sharding(self, seed: int) -> Callable[[nn.Module], ShardedModel]:
        """What makes of a model one that all processes compute together; of a trial's seed."""
        return lambda model: ShardedModel(model, self.rank, self.count, seed)


Follow = Callable[[Trial, Place, int, Connection], None]
"""What the other processes run: with the number of threads, and the connection to the first."""


def _end_at_once(_: Failure, message: str) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    os._exit(1)


class OtherDevices:
    """The trial's other processes, as the first one sees them. A context manager.

    An error of the first process that follows from the end of another is a DeviceLostError that
    says why that one ended.

    Args:
        trial: what is trained.
        follow: what the others run.
        end: called with how the trial has failed where this process cannot be told any more, since
            it waits for a device that waits for a process that is gone. Does not return.
    """

    def __init__(
        self, trial: Trial, follow: Follow, end: Callable[[Failure, str], None] | None = None
    ) -> None:
        self._trial, self._follow, self._end = trial, follow, end or _end_at_once
        self._closing = ExitStack()
        folder = self._closing.enter_context(tempfile.TemporaryDirectory(prefix="bench-devices-"))
        self.place = Place(0, trial.settings.train.devices, Path(folder))
        self._others: list[tuple[BaseProcess, Connection]] = []
        self._lost: DeviceLostError | None = None
        self._noticed, self._over = threading.Event(), threading.Event()
        self._oom_kills = oom_kills()

    def __enter__(self) -> Self:
        threads = torch.get_num_threads()
        # `spawn`: this process may have threads, or have used its GPU
        context = get_context("spawn")
        with _without_main():
            for rank in range(1, self.place.count):
                ours, theirs = Pipe()
                place = Place(rank, self.place.count, self.place.folder)
                process = context.Process(
                    target=self._follow,
                    args=(self._trial, place, threads, theirs),
                    name=f"{self._trial.id} device {rank}",
                    daemon=True,
                )
                process.start()
                theirs.close()
                self._others.append((process, ours))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        broken = isinstance(error, RuntimeError)  # of a connection, maybe
        if broken:
            self._noticed.wait(ANSWER_SECONDS / 2)
        self._over.set()
        self._tell(("end",))
        if error is None:
            self._closing.close()  # the group: all leave it at the same time
        self._end_others(KILL_SECONDS if error is None else 0.0)
        self._closing.__exit__(kind, error, trace)
        if broken and self._lost is not None:
            raise self._lost from error

    def _end_others(self, patience: float) -> None:
        for process, connection in self._others:
            process.join(patience)
            process.kill()
            process.join(KILL_SECONDS)
            connection.close()

    def join(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Wait until the others are ready, and give them this process's state.

        Raises:
            DeviceLostError: one of them failed.
        """
        content = io.BytesIO()
        torch.save(dict(state), content)
        for process, connection in self._others:
            if (lost := self._answer(process, connection)) is not None:
                raise lost
            connection.send(("state", content.getvalue()))
        threading.Thread(target=self._watch, daemon=True, name="watch devices").start()
        self._closing.enter_context(self.place.together(device))

    def begin(self, epoch: int, order: str) -> None:
        """An epoch begins; `order` says which samples it has, in which order."""
        self._tell(("epoch", epoch, order))

    def end(self, row: Mapping[str, Any]) -> None:
        """It has ended, and this is what its validation found."""
        self._tell(("row", dict(row)))

    def _tell(self, message: tuple[Any, ...]) -> None:
        for _, connection in self._others:
            with suppress(OSError):  # it is gone: `_watch` says why
                connection.send(message)

    def _watch(self) -> None:
        """Notice when one of the others fails or is ended."""
        ready = wait([connection for _, connection in self._others])
        if self._over.is_set():
            return
        for process, connection in self._others:
            if connection in ready and self._lost is None:
                self._lost = self._answer(process, connection)
        self._noticed.set()
        if self._lost is not None and not self._over.wait(ANSWER_SECONDS):
            self._end(self._lost.failure, str(self._lost))

    def _answer(self, process: BaseProcess, connection: Connection) -> DeviceLostError | None:
        """How a process failed; None: it is ready."""
        try:
            answer = connection.recv()
        except (EOFError, OSError):
            return self._end_of(process)
        return None if answer == "ready" else DeviceLostError(*answer)

    def _end_of(self, process: BaseProcess) -> DeviceLostError:
        """Why a process ended without a word."""
        process.join(KILL_SECONDS)
        code, what = process.exitcode, f"the process of another device ({process.name})"
        if code == -signal.SIGKILL and (oom_kills() or 0) > (self._oom_kills or 0):
            return DeviceLostError(
                Failure.OUT_OF_MEMORY, f"the system ran out of memory and killed {what}"
            )
        if code is not None and code < 0:
            name = next((s.name for s in signal.Signals if s.value == -code), f"signal {-code}")
            kind = Failure.KILLED if -code in (signal.SIGKILL, signal.SIGTERM) else Failure.CRASH
            return DeviceLostError(kind, f"{what} was ended by {name}")
        return DeviceLostError(
            Failure.CRASH, f"{what} ended with exit code {code} (the trial's log.txt may say why)"
        )


def load_state(content: bytes, device: torch.device) -> dict[str, Any]:
    """What `join` sends."""
    found: dict[str, Any] = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    return found


def order_of(*parts: Tensor) -> str:
    """A digest of an epoch's samples and draws: all processes must have the same."""
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()


@contextmanager
def _without_main() -> Iterator[None]:
    """New processes do not import the caller's script again: a trial needs none of it."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
