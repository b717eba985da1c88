"""A Ray cluster as the place where a run's trials are prepared and run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.errors import BenchError, WorkerStartError
from bench.measure.footprint import Footprint
from bench.plan.trial import Trial
from bench.run.executor_options import ExecutorOptions
from bench.run.executors.base import Executor
from bench.run.executors.cluster import TrialShare, connected, nodes, trial_share
from bench.run.executors.ray import RayExecutor
from bench.run.executors.ray_host import NodeFacts, Preparation, SharedFile
from bench.run.executors.ray_hosts import Host, Hosts, HostSettings, end, why_no_worker
from bench.run.limits import Limits
from bench.run.prepare import ATTEMPTS, PreparationError
from bench.run.prepared import Prepared, Report
from bench.run.resources import fit_on_gpu
from bench.spec.schema import Machine

POLL_SECONDS = 0.5


def trials_per_gpu(
    backend: RayBackend,
    machine: Machine,
    trials: Sequence[Trial],
    jobs: int | None,
    say: Callable[[str], None],
) -> int:
    """How many trials are to share a GPU: more than one where `jobs` are more than there are GPUs,
    the settings do not say it, and memory allows.
    """
    gpus = math.floor(sum(node.resources.get("GPU", 0) for node in nodes()))
    if jobs is None or machine.resources.gpus is not None or machine.device == "cpu" or not gpus:
        return 1
    wanted = math.ceil(jobs / gpus)
    if wanted < 2:
        return 1
    say("Measuring how much GPU memory the trials take, on one of the nodes.")
    found = backend.forecast(trials).values()
    free = min(each.free_mb or 0.0 for each in found)
    return fit_on_gpu([each.needed_mb for each in found], free, wanted)


class RayBackend:
    """A cluster. Trials are prepared on one of its nodes: the driver needs neither data nor GPU."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._host: Host | None = None
        self._fingerprints: dict[str, str] = {}

    @property
    def share(self) -> TrialShare:
        """What each trial takes of a node."""
        return self._hosts.settings.share

    @property
    def trials_per_device(self) -> int:
        """How many trials a device has at a time: a GPU, or else a node."""
        share = self._hosts.settings.share
        if share.gpus:
            return share.per_gpu
        room = max((node.room_for(share.resources) for node in nodes()), default=1)
        return max(1, min(room, self._hosts.settings.jobs or room))

    def prepare(self, trials: Sequence[Trial], report: Report, *, survey: bool = True) -> Prepared:
        """On one of the nodes; its cache is filled with it."""
        from ray.exceptions import RayError

        for _ in range(ATTEMPTS):
            host = self._ready_host(report)
            try:
                prepared = self._prepare_on(host, trials, report, survey)
            except RayError:
                self._end_host()
                continue
            self._fingerprints |= prepared.fingerprints
            return prepared
        raise WorkerStartError(
            f"preparing the trials: the node was lost, {ATTEMPTS} times; the same command goes on "
            "from here"
        )

    def forecast(self, trials: Sequence[Trial]) -> Mapping[str, Footprint]:
        """On one of the nodes."""
        import ray

        host = self._ready_host(lambda *_: None)
        found: dict[str, Footprint] | BenchError = ray.get(host.handle.forecast.remote(trials))
        if isinstance(found, BenchError):
            raise found
        return found

    def executor(self, limits: Limits) -> Executor:
        """Hosts on the cluster, of which one has prepared the trials."""
        if self._host is not None:
            self._hosts.give_back(self._host)
            self._host = None
        return RayExecutor(self._hosts, limits, self._fingerprints)

    def close(self) -> None:
        """Give everything back."""
        self._end_host()
        self._hosts.close()

    def _prepare_on(
        self, host: Host, trials: Sequence[Trial], report: Report, survey: bool
    ) -> Prepared:
        import ray

        method = host.handle.prepare.options(num_returns="streaming")
        for reference in method.remote(list(trials), self.trials_per_device, survey):
            answer: Preparation = ray.get(reference)
            if isinstance(answer, Prepared):
                return answer
            if isinstance(answer, BenchError):
                raise PreparationError(str(answer))
            report(*answer)
        raise PreparationError("preparing the trials: the node said nothing")

    def _ready_host(self, report: Report) -> Host:
        """A host whose node may run trials, waiting for room.

        Raises:
            ClusterError: there is no such node.
            WorkerStartError: hosts end before they have answered.
        """
        import ray
        from ray.exceptions import RayError

        lost = 0
        while self._host is None:
            host = self._hosts.take()
            while not ray.wait([host.answer], timeout=POLL_SECONDS)[0]:
                report("a node of the cluster: waiting for room", 0, 0)
            try:
                facts: NodeFacts = ray.get(host.answer)
            except RayError as error:
                end(host)
                lost += 1
                if lost == ATTEMPTS:
                    raise WorkerStartError(why_no_worker(error, ATTEMPTS)) from error
                self._hosts.check()
                continue
            if self._hosts.accept(host, facts):
                self._host = host
            else:
                self._hosts.check()
        return self._host

    def _end_host(self) -> None:
        if self._host is not None:
            end(self._host)
            self._host = None


@contextmanager
def opened_ray_backend(
    options: ExecutorOptions,
    machine: Machine,
    trials: Sequence[Trial],
    count: int,
    jobs: int | None,
    say: Callable[[str], None],
    *,
    shared: tuple[Path, str] | None = None,
) -> Iterator[RayBackend]:
    """Connect to a cluster; arguments as of `bench.run.backend.opened_backend`."""
    with connected(options.address or "auto"):
        proof = None if shared is None else SharedFile(shared[0].absolute(), shared[1])

        devices = max((trial.settings.train.devices for trial in trials), default=1)

        def backend(per_gpu: int = 1) -> RayBackend:
            share = trial_share(machine, nodes(), per_gpu, devices)
            at_a_time = None if jobs is None else min(jobs, count)
            settings = HostSettings(share, str(Path.cwd()), proof, options.files, at_a_time)
            return RayBackend(Hosts(settings, say))

        found = backend()
        if devices == 1 and (per_gpu := trials_per_gpu(found, machine, trials, jobs, say)) > 1:
            found.close()
            found = backend(per_gpu)
        share, there = found.share, nodes()
        room = sum(node.room_for(share.resources) for node in there)
        say(f"Ray cluster of {len(there)} nodes: {room} trials at a time, each {share}.")
        try:
            yield found
        finally:
            found.close()
