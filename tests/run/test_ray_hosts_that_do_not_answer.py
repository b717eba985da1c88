"""Hosts that cannot hear or cannot start, without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.errors import BenchError, WorkerStartError
from bench.run.events import Ended, Started
from bench.run.executors.cluster import TrialShare, connected
from bench.run.executors.ray import RayExecutor
from bench.run.executors.ray_host import NodeFacts
from bench.run.executors.ray_hosts import Host, HostSettings
from bench.run.ray_backend import RayBackend
from bench.run.worker import Job
from bench.states import Status
from tests.run.executor_conformance import job

ray: Any = pytest.importorskip("ray", reason="needs Ray: pip install 'bench[ray]'")


class FakeHosts:
    """One host after the other on a node that sees the results folder."""

    settings = HostSettings(TrialShare(1, 0, 1), "/", files="shared", jobs=1)

    def __init__(self, stream: Iterator[Any] | None = None) -> None:
        self.taken = 0
        self.stops: list[str] = []
        run = SimpleNamespace(remote=lambda *_: stream)
        self._handle = SimpleNamespace(
            run=SimpleNamespace(options=lambda **_: run),
            stop=SimpleNamespace(remote=self.stops.append),
        )
        self._facts = None if stream is None else NodeFacts("n", {}, "", None, True)

    def take(self) -> Host:
        self.taken += 1
        return Host(self._handle, "answer", self._facts)

    def name(self, _node: str) -> str:
        return "n"

    def check(self) -> None:
        pass

    give_back = end_idle = lambda self, *_: None


@pytest.fixture
def trial(tmp_path: Path) -> Job:
    return job(tmp_path)


def test_who_is_asked_to_stop_before_it_can_hear_is_asked_again(
    trial: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = trial.trial.id
    ended = Ended(name, Status.INTERRUPTED)
    hosts: Any = FakeHosts(iter([(Started(name),), (ended,)]))
    monkeypatch.setattr(ray, "wait", lambda found, **_: ([found[0]], []))
    monkeypatch.setattr(ray, "get", lambda message: message)
    executor = RayExecutor(hosts)
    executor.start(trial)
    executor.ask_to_stop()
    executor.ask_to_stop()
    assert hosts.stops == [name]  # its host has not begun the trial, and knows none of this name
    assert list(executor.events(0.0)) == [Started(name), ended]
    assert hosts.stops == [name, name]
    assert not executor.busy


def test_nodes_that_cannot_start_a_worker_are_not_tried_for_ever(
    trial: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray.exceptions import ActorDiedError, RayTaskError

    missing = "ray::TrialHost.__init__()\nModuleNotFoundError: No module named 'bench'"
    cause = RayTaskError("TrialHost.__init__", missing, ModuleNotFoundError("bench"))

    def get(_: object) -> None:
        raise ActorDiedError(cause)

    hosts: Any = FakeHosts()
    monkeypatch.setattr(ray, "wait", lambda found, **_: (found, []))
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "kill", lambda _: None)
    with pytest.raises(WorkerStartError, match=r"No module named 'bench'.*install on every node"):
        RayBackend(hosts).prepare([], lambda *_: None)
    assert hosts.taken == 3
    executor = RayExecutor(hosts)
    executor.start(trial)
    assert [*executor.events(0.0), *executor.events(0.0)] == []
    with pytest.raises(WorkerStartError, match="No module named 'bench'"):
        executor.events(0.0)
    executor.ask_to_stop()
    assert list(executor.events(0.0)) == [Ended(trial.trial.id, Status.INTERRUPTED, recorded=False)]


def test_a_cluster_that_wants_a_token_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def init(*_: object, **__: object) -> None:
        error = RuntimeError("Failed to connect to GCS: ray.exceptions.AuthenticationError: …")
        raise ConnectionError("Failed to connect to Ray cluster at 10.0.0.1:6379") from error

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(BenchError, match="wants its token: set RAY_AUTH_MODE=token"),
        connected("auto"),
    ):
        pass
