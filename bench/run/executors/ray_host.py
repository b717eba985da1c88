"""What runs on a node of a Ray cluster: one trial after the other, each in a process of its own.

A host is a Ray actor that holds what a trial takes of the node. It starts trials as the local
executor does, from a fork server that has torch imported, and says how they get on in a stream.
"""

from __future__ import annotations

import importlib.metadata
import multiprocessing.process
import os
import platform
import queue
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from bench.errors import BenchError, describe_exception, first_line
from bench.measure.footprint import Footprint
from bench.plan.trial import Trial
from bench.run.events import Ended, Event, Started, Ticked, Working
from bench.run.executors.folder_copy import (
    CHUNK,
    TOTAL_RATE,
    Commit,
    FilePart,
    FolderSender,
    write_folder,
)
from bench.run.executors.local import LocalExecutor
from bench.run.limits import Limits
from bench.run.prepare import prepare
from bench.run.prepared import Prepared
from bench.run.processes import asked_process, send_answer
from bench.run.worker import Job, WorkerResources
from bench.safe_files import open_plain
from bench.states import Failure, Status
from bench.version import __version__

REPORT_SECONDS = 0.25
"""Between two messages about a trial: the driver hears a hundred of them."""
SAME = ("bench", "torch", "torchvision")
"""Packages of which a cluster must have one version: they decide what a trial comes to."""
_FOLDER = "bench-trial-"


@dataclass(frozen=True)
class SharedFile:
    """A file of the results folder, by which a node finds out whether it sees that folder."""

    path: Path
    text: str

    def is_there(self) -> bool:
        """Whether this machine sees the same file."""
        try:
            with open_plain(self.path) as file:
                return self.text in file.read().decode(errors="replace")
        except (OSError, BenchError):
            return False


@dataclass(frozen=True)
class NodeFacts:
    """What a host says of its node.

    Attributes:
        node_id: Ray's.
        versions: of Python and of the packages in `SAME`.
        gpus: those that Ray gives the host, for CUDA_VISIBLE_DEVICES.
        gpu_problem: why torch cannot use them; None: it can, or there are none.
        sees_results: whether the driver's results folder is there, too.
    """

    node_id: str
    versions: Mapping[str, str]
    gpus: str
    gpu_problem: str | None
    sees_results: bool


@dataclass(frozen=True)
class Order:
    """A trial for a host.

    Attributes:
        copied: whether it runs in a folder of the node's, whose changes are sent.
        files: references to the parts of what it goes on from.
        at_a_time: trials that share the driver's network.
    """

    job: Job
    limits: Limits
    copied: bool
    files: tuple[Any, ...] = ()
    at_a_time: int = 1


Item = FilePart | Commit | Event
Message = tuple[Item, ...]
"""What a host sends at a time: Ray takes some milliseconds for each."""
Preparation = tuple[str, int, int] | Prepared | BenchError


def versions() -> dict[str, str]:
    """Of this process."""
    packages = {name: importlib.metadata.version(name) for name in SAME if name != "bench"}
    return {"python": platform.python_version(), "bench": __version__, **packages}


class TrialHost:
    """Runs trials on the resources that Ray gave it. Its methods are called from several threads.

    Args:
        folder: the driver's working folder: relative paths in settings begin there.
        threads: CPU threads per trial.
        trials_per_device: how many hosts share its device, itself included.
    """

    def __init__(self, folder: str, threads: int, trials_per_device: int) -> None:
        sys.modules["__main__"] = ModuleType("__main__")  # workers need not import Ray's own
        if Path(folder).is_dir():
            os.chdir(folder)
            multiprocessing.process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]  # where children begin
        self._gpus = ",".join(map(str, _gpus_of_this_process()))
        self._resources = WorkerResources(threads, self._gpus, trials_per_device)
        self._running: dict[str, LocalExecutor] = {}
        _remove_left_folders()

    def describe(self, shared: SharedFile | None) -> NodeFacts:
        """What has to be known before a trial is sent here."""
        problem = _gpu_problem(self._gpus) if self._gpus else None
        sees = shared is not None and shared.is_there()
        return NodeFacts(_node_id(), versions(), self._gpus, problem, sees)

    def prepare(
        self, trials: Sequence[Trial], trials_per_device: int, survey: bool
    ) -> Iterator[Preparation]:
        """`bench.run.prepare.prepare` on this node: its reports, then what it found."""
        self._see_own_gpus()
        found: queue.Queue[Preparation] = queue.Queue()

        def work() -> None:
            try:
                answer: Preparation = prepare(
                    trials, lambda *what: found.put(what), trials_per_device, survey=survey
                )
            except BenchError as error:
                answer = BenchError(str(error))
            except Exception as error:
                answer = BenchError(f"preparing the trials: {describe_exception(error)}")
            found.put(answer)

        threading.Thread(target=work, daemon=True).start()
        said = 0.0
        while isinstance(answer := found.get(), tuple):
            if time.monotonic() >= said + REPORT_SECONDS:
                said = time.monotonic()
                yield answer
        yield answer

    def forecast(self, trials: Sequence[Trial]) -> dict[str, Footprint] | BenchError:
        """`bench.run.forecast.forecast` on this node."""
        from bench.run.forecast import forecast

        self._see_own_gpus()
        try:
            return forecast(trials)
        except BenchError as error:
            return BenchError(str(error))

    def fingerprint(self, trial: Trial) -> str | BenchError:
        """Of the trial's data as this node has it; its cache is made, or found unchanged."""
        try:
            with asked_process(_fingerprint, (trial,), "data", patience=5.0) as connection:
                found: str | BenchError = connection.recv()
        except EOFError:
            return BenchError("the process that reads them was killed")
        return found

    def run(self, order: Order, node: str) -> Iterator[Message]:
        """Train a trial: what happens to it, and what is copied of its folder. Ends with it."""
        job = order.job
        if not order.copied:
            yield from self._run(job, order.limits, node, None)
            return
        prefix = f"{_FOLDER}{socket.gethostname()}-{os.getpid()}-"
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as place:
            experiment = Path(place) / job.log.absolute().parents[1].name
            folder = experiment / job.log.parent.name
            folder.mkdir(parents=True)
            write_folder(experiment, _fetched(order.files))
            here = replace(job, recorder=job.recorder.relocated(folder), log=folder / job.log.name)
            sender = FolderSender(experiment, here.log, TOTAL_RATE / max(1, order.at_a_time))
            sender.adopt()
            yield from self._run(here, order.limits, node, sender)

    def stop(self, trial: str) -> None:
        """Ask a trial to stop at its next step."""
        if (executor := self._running.get(trial)) is not None:
            executor.ask_to_stop(trial)

    def _run(
        self, job: Job, limits: Limits, node: str, sender: FolderSender | None
    ) -> Iterator[Message]:
        executor = LocalExecutor([self._resources], limits)
        executor.start(job)
        self._running[job.trial.id] = executor
        kept: list[Event] = []
        said = 0.0
        try:
            while executor.busy:
                kept = _merged(kept, executor.events(REPORT_SECONDS))
                ended = any(isinstance(event, Ended) for event in kept)
                if not kept or (ended and executor.busy):
                    continue
                if ended or time.monotonic() >= said + REPORT_SECONDS:
                    said = time.monotonic()
                    yield from _messages(self._report(kept, node, sender, everything=ended))
                    kept = []
        finally:
            del self._running[job.trial.id]
            executor.close()

    def _report(
        self, events: Sequence[Event], node: str, sender: FolderSender | None, *, everything: bool
    ) -> Iterator[Item]:
        """What has changed of the trial's files, then what has happened."""
        if sender is not None and any(not _is_progress(event) for event in events):
            yield from sender.changes(everything=everything)
        for event in events:
            yield _on_node(event, node, copied=sender is not None)

    def _see_own_gpus(self) -> None:
        """What is prepared or measured here sees the GPUs that Ray gave, and no others."""
        os.environ["CUDA_VISIBLE_DEVICES"] = self._gpus


def _messages(items: Iterable[Item]) -> Iterator[Message]:
    """Items in messages of about `CHUNK` bytes."""
    message: list[Item] = []
    size = 0
    for item in items:
        message.append(item)
        size += len(item.data) if isinstance(item, FilePart) else 0
        if size >= CHUNK:
            yield tuple(message)
            message, size = [], 0
    yield tuple(message)


def _merged(kept: list[Event], new: Sequence[Event]) -> list[Event]:
    """Events in their order; of those that only tell how far an epoch is, the last."""
    found = [*kept, *new]
    return [e for n, e in enumerate(found) if not _is_progress(e) or n == len(found) - 1]


def _is_progress(event: Event) -> bool:
    return isinstance(event, Ticked | Working)


def _on_node(event: Event, node: str, *, copied: bool) -> Event:
    """An event with where it happened."""
    if isinstance(event, Started):
        return replace(event, node=node)
    if isinstance(event, Ended) and event.message is not None:
        message = f"{event.message} (on {node})"
        if copied and event.status is Status.INTERRUPTED:
            # the node's own disk: results can be recorded, and another node may have space
            return replace(
                event, status=Status.FAILED, failure=Failure.KILLED, message=message, recorded=False
            )
        if event.failure in (Failure.KILLED, Failure.OUT_OF_MEMORY):
            return replace(event, message=message)
    return event


def _fingerprint(trial: Trial, connection: Connection) -> None:
    def work() -> str:
        from bench.data.cache import verified_caches
        from bench.data.folds import in_folds
        from bench.data.settings import DATASETS

        data = trial.settings.data
        with verified_caches():
            whole = DATASETS.build(data).prepare()
        return in_folds(whole, data, trial.fold, trial.seed).fingerprint

    send_answer(connection, work, BenchError, "reading the data")


def _fetched(files: Sequence[Any]) -> Iterator[FilePart]:
    import ray

    for reference in files:
        part: FilePart = ray.get(reference)
        yield part


def _node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _gpus_of_this_process() -> list[str]:
    """As Ray gives them, for CUDA_VISIBLE_DEVICES."""
    import ray

    return [str(gpu) for gpu in ray.get_runtime_context().get_accelerator_ids().get("GPU", ())]


def _gpu_problem(gpus: str) -> str | None:
    """Why torch cannot use these GPUs, tried in a process of its own; None: it can."""
    try:
        with asked_process(_try_gpu, (gpus,), "gpu") as connection:
            found: str | BenchError | None = connection.recv()
    except EOFError:
        return "the process that tried its GPU was killed"
    return str(found) if found is not None else None


def _try_gpu(gpus: str, connection: Connection) -> None:
    def work() -> str | None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus
        import torch

        if not torch.cuda.is_available():
            return f"torch {torch.__version__} cannot use its GPU"
        try:
            torch.ones(8, device="cuda").sum().item()
        except RuntimeError as error:
            return f"torch {torch.__version__} cannot use its GPU: {first_line(error)}"
        return None

    send_answer(connection, work, BenchError, "trying the GPU")


def _remove_left_folders() -> None:
    """Delete what hosts that were killed left on this node."""
    root = Path(tempfile.gettempdir())
    prefix = f"{_FOLDER}{socket.gethostname()}-"
    for folder in root.glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
