"""Trials on a real Ray cluster of two nodes, which share no folder that is used here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench.run.events import Ended, EpochDone, Event, Retried, Started
from bench.run.executors.cluster import TrialShare, connected
from bench.run.executors.local import LocalExecutor
from bench.run.executors.ray import RayExecutor
from bench.run.executors.ray_host import SharedFile
from bench.run.executors.ray_hosts import ClusterError, Hosts, HostSettings
from bench.run.limits import Limits
from bench.run.runner import run
from bench.run.worker import Job, WorkerResources
from bench.states import Failure, Status
from tests.builders.ray_cluster import RayNodes, ray_nodes
from tests.builders.training import results
from tests.run.executor_conformance import ExecutorConformance, Executors, files, job, run_on

pytest.importorskip("ray", reason="needs Ray: pip install 'bench[ray]'")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayNodes]:
    with ray_nodes(2) as nodes, connected(nodes.address):
        yield nodes


@pytest.fixture(scope="module")
def hosts(cluster: RayNodes) -> Iterator[Hosts]:
    settings = HostSettings(TrialShare(cpus=1, gpus=0, threads=1), str(Path.cwd()), files="copied")
    found = Hosts(settings, print)
    yield found
    found.close()


class TestRay(ExecutorConformance):
    @pytest.fixture
    def executors(self, hosts: Hosts) -> Executors:
        def make(workers: int, limits: Limits | None) -> RayExecutor:
            hosts.settings = replace(hosts.settings, jobs=workers)
            return RayExecutor(hosts, limits)

        return Executors(make)


def test_nodes_that_see_the_results_folder_write_there(hosts: Hosts, tmp_path: Path) -> None:
    hosts.close()  # its idle hosts hold what others are to have
    seen, unseen = tmp_path / "seen", tmp_path / "unseen"
    seen.write_text("token")
    trial = job(tmp_path, train={"epochs": 1})
    settings = replace(hosts.settings, files="auto", jobs=1)
    sharing = Hosts(replace(settings, shared=SharedFile(seen, "token")), print)
    run_on(RayExecutor(sharing), trial)
    sharing.close()
    assert files(trial).status().status is Status.DONE
    for other in (SharedFile(seen, "another"), SharedFile(unseen, "token")):
        assert not other.is_there()
    refusing = replace(settings, files="shared", shared=SharedFile(unseen, "token"))
    outcome = run([job(tmp_path, seed=1)], RayExecutor(Hosts(refusing, print)), lambda _: None)
    assert "does not see the results folder, as --files shared wants" in str(outcome.reason)


def short_trial_on(node: str, hosts: Hosts, folder: Path) -> tuple[Job, Hosts]:
    """A trial of some seconds that only nodes with this resource can run."""
    share = replace(hosts.settings.share, custom={node: 1.0})
    found = Hosts(replace(hosts.settings, share=share, jobs=1), print)
    return job(folder, "Slow", train={"epochs": 12}), found


def run_with(
    hosts: Hosts, job: Job, after_first_epoch: Callable[[], None], retries: int = 2
) -> list[Event]:
    """Run a trial, and do something once its first epoch is on record."""
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Retried):
            job.recorder.retry(event.message)
        if isinstance(event, Ended) and not event.recorded:
            job.recorder.stop(event.status, event.failure, event.message)
        if isinstance(event, EpochDone) and event.row["epoch"] == 1:
            after_first_epoch()

    run([job], RayExecutor(hosts), observe, retries=retries)
    hosts.close()
    return seen


@pytest.mark.long
def test_a_trial_goes_on_elsewhere_when_its_node_is_lost(
    cluster: RayNodes, hosts: Hosts, tmp_path: Path
) -> None:
    lost = cluster.add(resources={"here": 1})
    trial, here = short_trial_on("here", hosts, tmp_path)

    def lose() -> None:
        if lost in cluster.added:
            cluster.lose(lost)
            cluster.add(resources={"here": 1})

    seen = run_with(here, trial, lose)
    (retried,) = [event for event in seen if isinstance(event, Retried)]
    assert "its node" in retried.message
    assert len({event.node for event in seen if isinstance(event, Started)}) == 2
    epochs = [event.row["epoch"] for event in seen if isinstance(event, EpochDone)]
    assert epochs[0] == 1
    assert epochs[-1] == 12
    assert epochs.count(1) == 1, "it began anew"
    whole = job(tmp_path / "whole", "Slow", train={"epochs": 12})
    run_on(LocalExecutor([WorkerResources(1, "")]), whole)
    assert results(files(trial).history()) == results(files(whole).history())
    assert files(trial).status().retries == 1


def test_a_host_that_is_killed_is_replaced(cluster: RayNodes, hosts: Hosts, tmp_path: Path) -> None:
    cluster.add(resources={"killed": 1})
    trial, killed = short_trial_on("killed", hosts, tmp_path)
    pids: list[int] = []

    def kill() -> None:
        if not pids:
            worker = psutil.Process(files(trial).status().pid)
            pids.append(worker.pid)
            host = next(p for p in worker.parents() if "TrialHost" in " ".join(p.cmdline()))
            host.kill()

    seen = run_with(killed, trial, kill)
    (retried,) = [event for event in seen if isinstance(event, Retried)]
    assert retried.message.startswith("its worker was ended from outside (on ")
    assert seen[-1] == Ended(trial.trial.id, Status.DONE)
    assert not psutil.pid_exists(pids[0])


def test_what_ray_kills_for_want_of_memory_has_failed_for_that(
    cluster: RayNodes, hosts: Hosts, tmp_path: Path
) -> None:
    full = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "250"}
    node = cluster.add(resources={"full": 1}, variables=full)
    trial, crowded = short_trial_on("full", hosts, tmp_path)
    seen = run_with(crowded, trial, lambda: None)
    cluster.lose(node)
    ended = seen[-1]
    assert isinstance(ended, Ended)
    assert (ended.failure, files(trial).status().failure) == (Failure.OUT_OF_MEMORY,) * 2
    assert "machine.resources.memory_gb" in str(ended.message)


def test_a_node_with_another_torch_is_refused_with_the_reason(
    cluster: RayNodes, hosts: Hosts, tmp_path: Path
) -> None:
    package = tmp_path / "torch-9.9.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 9.9\n")
    node = cluster.add(resources={"other": 1}, variables={"PYTHONPATH": str(tmp_path)})
    trial, other = short_trial_on("other", hosts, tmp_path)
    outcome = run([trial], RayExecutor(other), lambda _: None)
    cluster.lose(node)
    assert outcome.interrupted
    assert "it has torch 9.9, and the driver" in str(outcome.reason)
    assert files(trial).status().status is Status.PLANNED


@pytest.mark.long
def test_a_gpu_that_torch_cannot_use_is_refused_with_the_reason(
    cluster: RayNodes, hosts: Hosts, tmp_path: Path
) -> None:
    node = cluster.add(resources={"gpu": 1}, num_gpus=1)
    trial, gpu = short_trial_on("gpu", hosts, tmp_path)
    gpu.settings = replace(gpu.settings, share=replace(gpu.settings.share, gpus=1.0))
    outcome = run([trial], RayExecutor(gpu), lambda _: None)
    cluster.lose(node)
    assert "cannot use its GPU" in str(outcome.reason)


def test_where_no_node_has_what_is_asked_for_nothing_starts(hosts: Hosts) -> None:
    share = replace(hosts.settings.share, gpus=0.5, custom={"a100": 1.0})
    wanted = r"no node of the cluster has 1 CPU, 0.5 GPU, 1 a100 for a trial \(.*: 1 CPUs, .* GB"
    with pytest.raises(ClusterError, match=wanted):
        Hosts(replace(hosts.settings, share=share), print)
