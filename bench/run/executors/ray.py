"""Trials on the nodes of a Ray cluster, each on a host that holds what the trial takes there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, WorkerStartError, first_line
from bench.plan.data_sets import data_key
from bench.run.events import Ended, Event
from bench.run.executors.folder_copy import Commit, FilePart, FolderReceiver, read_folder
from bench.run.executors.ray_host import Item, Message, NodeFacts, Order
from bench.run.executors.ray_hosts import (
    ClusterError,
    Host,
    Hosts,
    end,
    is_start_problem,
    why_no_worker,
)
from bench.run.limits import Limits
from bench.run.worker import Job
from bench.states import Failure, Status

CAPACITY_SECONDS = 5.0
"""Between two looks at how many trials the cluster has room for."""
START_ATTEMPTS = 3
"""Hosts that may be lost before they told anything of a trial."""
STREAM_ITEMS = 64
"""Messages of one trial that are taken before those of the next."""
NO_MEMORY = (
    "the node ran out of memory and Ray killed the worker: ask for more with "
    "machine.resources.memory_gb, or for fewer trials at a time (-j)"
)


@dataclass
class _Running:
    """A trial that was started: its host, and its stream once the host has answered."""

    job: Job
    host: Host
    stream: Any = None
    checked: Any = None
    """The answer to whether the node's data are the driver's, while it is waited for."""
    receiver: FolderReceiver | None = None
    files: tuple[Any, ...] = ()
    begun: bool = False
    """Whether its host has told anything of it."""
    lost_hosts: int = 0
    stopping: bool = False


class RayExecutor:
    """Runs jobs on hosts, which are made when they are needed.

    Args:
        hosts: makes them.
        limits: what ends a worker by force.
        fingerprints: of the data that each trial has to see, by its id; others are not compared.
    """

    def __init__(
        self,
        hosts: Hosts,
        limits: Limits | None = None,
        fingerprints: Mapping[str, str] | None = None,
    ) -> None:
        self._hosts, self._limits = hosts, limits or Limits()
        self._fingerprints = {} if fingerprints is None else fingerprints
        self._same_data: set[tuple[str, str]] = set()
        self._running: dict[str, _Running] = {}
        self._found: list[Event] = []
        self._room, self._looked = hosts.settings.jobs or hosts.room(), time.monotonic()

    @property
    def free(self) -> int:
        """How many more trials there is room for."""
        return max(0, self._room - len(self._running))

    @property
    def busy(self) -> int:
        """Trials that were started and have not ended."""
        return len(self._running) or len(self._found)

    def start(self, job: Job) -> None:
        """Start a job on a host that is idle, or on a new one."""
        host = self._hosts.take()
        running = self._running[job.trial.id] = _Running(job, host)
        if host.facts is not None:
            self._send(running, host.facts)

    def events(self, timeout: float) -> Sequence[Event]:
        """What the hosts told, and an `Ended` for each trial whose host is gone."""
        import ray

        self._look_at_room()
        waiting = {self._awaited(running): running for running in self._running.values()}
        if waiting and not self._found:
            references = list(waiting)
            ready, _ = ray.wait(references, num_returns=1, timeout=timeout, fetch_local=False)
            if ready and len(references) > 1:
                ready, _ = ray.wait(
                    references, num_returns=len(references), timeout=0, fetch_local=False
                )
            for reference in ready:
                self._proceed(waiting[reference])
        elif not self._found:
            time.sleep(timeout)
        self._hosts.end_idle()
        found, self._found = self._found, []
        return found

    def ask_to_stop(self, trial: str | None = None) -> None:
        """Ask every worker, or the one of a trial, to stop at its next step."""
        for running in list(self._running.values()):
            if trial not in (None, running.job.trial.id) or running.stopping:
                continue
            running.stopping = True
            if running.stream is not None:
                running.host.handle.stop.remote(running.job.trial.id)
            else:  # it waits for room, or for its data
                self._over(running, Ended(running.job.trial.id, Status.INTERRUPTED, recorded=False))
                end(running.host)

    def close(self) -> None:
        """End every host that has a trial; idle ones are left to whoever made `hosts`."""
        for running in self._running.values():
            if running.receiver is not None:
                running.receiver.drop()
            end(running.host)
        self._running.clear()

    def _awaited(self, running: _Running) -> Any:
        """What comes next from a trial's host."""
        if running.host.facts is None:
            return running.host.answer
        return running.stream if running.stream is not None else running.checked

    def _proceed(self, running: _Running) -> None:
        """Something has come of a trial."""
        from ray.exceptions import RayError

        try:
            if running.host.facts is None:
                self._answered(running)
            elif running.stream is None:
                self._data_checked(running)
            else:
                self._receive(running)
        except RayError as error:
            self._host_lost(running, error)

    def _answered(self, running: _Running) -> None:
        import ray

        facts: NodeFacts = ray.get(running.host.answer)
        if self._hosts.accept(running.host, facts):
            self._send(running, facts)
        else:
            self._elsewhere(running)

    def _elsewhere(self, running: _Running) -> None:
        """Try another node, as long as there is one."""
        try:
            self._hosts.check()
        except ClusterError as error:
            raise WorkerStartError(str(error)) from error
        running.host, running.checked, running.stream = self._hosts.take(), None, None
        if running.host.facts is not None:
            self._send(running, running.host.facts)

    def _send(self, running: _Running, facts: NodeFacts) -> None:
        """Hand a trial to its host; first, once for each node and data set, its data is compared.

        That fills the node's cache, too.
        """
        trial = running.job.trial
        known = (facts.node_id, data_key(trial))
        if trial.id in self._fingerprints and known not in self._same_data:
            running.checked = running.host.handle.fingerprint.remote(trial)
            return
        self._stream(running, facts)

    def _data_checked(self, running: _Running) -> None:
        import ray

        facts, trial = running.host.facts, running.job.trial
        assert facts is not None
        found: str | BenchError = ray.get(running.checked)
        if found == self._fingerprints[trial.id]:
            self._same_data.add((facts.node_id, data_key(trial)))
            self._stream(running, facts)
            return
        reason = "its data are not those of the node that prepared the trials"
        if isinstance(found, BenchError):
            reason = f"the data cannot be read there: {found}"
        self._hosts.refuse(facts.node_id, reason)
        end(running.host)
        self._elsewhere(running)

    def _stream(self, running: _Running, facts: NodeFacts) -> None:
        import ray

        job, settings = running.job, self._hosts.settings
        copied = settings.files == "copied" or not facts.sees_results
        if copied:
            folder = job.log.parent
            running.receiver = FolderReceiver(folder.parent, folder.name, job.recorder.check)
            running.files = tuple(ray.put(part) for part in read_folder(folder.parent, folder))
        order = Order(job, self._limits, copied, running.files, self._room)
        method = running.host.handle.run.options(num_returns="streaming")
        running.stream = method.remote(order, self._hosts.name(facts.node_id))

    def _receive(self, running: _Running) -> None:
        """Take messages that are there."""
        import ray

        for reference in _ready(running.stream):
            message: Message = ray.get(reference)
            if running.stopping and not running.begun:  # it was asked before it could hear it
                running.host.handle.stop.remote(running.job.trial.id)
            running.files, running.begun = (), True  # it has them
            for item in message:
                self._take(running, item)
            if any(isinstance(item, Ended) for item in message):
                self._over(running)
                self._hosts.give_back(running.host)
                return

    def _take(self, running: _Running, item: Item) -> None:
        """One thing that a host has sent."""
        if not isinstance(item, FilePart | Commit):
            self._found.append(item)
            return
        assert running.receiver is not None
        if isinstance(item, FilePart):
            running.receiver.take(item)
        else:
            running.receiver.commit(item)

    def _over(self, running: _Running, event: Ended | None = None) -> None:
        if running.receiver is not None:
            running.receiver.drop()
        if event is not None:
            self._found.append(event)
        self._running.pop(running.job.trial.id, None)

    def _host_lost(self, running: _Running, error: Exception) -> None:
        """A trial's worker, its node, or the network to it is gone."""
        end(running.host)  # where only the network is gone it must not go on
        running.lost_hosts += 1
        if not (running.begun or running.stopping) and running.lost_hosts < START_ATTEMPTS:
            self._elsewhere(running)
            return
        if is_start_problem(error):
            raise WorkerStartError(why_no_worker(error, START_ATTEMPTS)) from error
        failure, why = _describe_loss(error)
        facts = running.host.facts
        where = "" if facts is None else f" (on {self._hosts.name(facts.node_id)})"
        event = Ended(running.job.trial.id, Status.FAILED, failure, f"{why}{where}", recorded=False)
        self._over(running, event)

    def _look_at_room(self) -> None:
        """Nodes come and go."""
        now = time.monotonic()
        if self._hosts.settings.jobs is None and now >= self._looked + CAPACITY_SECONDS:
            self._looked = now
            try:
                self._room = self._hosts.room()
            except ClusterError as error:
                if not self.busy:
                    raise WorkerStartError(str(error)) from error


def _ready(stream: Any) -> Iterator[Any]:
    """Messages of a stream that are there already."""
    import ray

    for count in range(STREAM_ITEMS):
        if count and not ray.wait([stream], timeout=0, fetch_local=False)[0]:
            return
        try:
            yield next(stream)
        except StopIteration:
            return


def _describe_loss(error: Exception) -> tuple[Failure, str]:
    """What Ray says of a worker that is gone, in our words."""
    from ray.exceptions import OutOfMemoryError, RayTaskError

    text = str(error)
    if isinstance(error, OutOfMemoryError):
        return Failure.OUT_OF_MEMORY, NO_MEMORY
    if isinstance(error, RayTaskError):
        cause = error.cause or error
        return Failure.CRASH, f"{type(cause).__name__}: {first_line(cause)}"
    if "node has died" in text.lower() or "node died" in text.lower():
        return Failure.KILLED, "its node was lost"
    if "unavailable" in text:
        return Failure.KILLED, "its node cannot be reached any more"
    return Failure.KILLED, "its worker was ended from outside"
