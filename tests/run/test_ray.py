"""Trials on a real Ray cluster of two nodes, which share no folder that is used here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.run.executors.cluster import TrialShare, connected
from bench.run.executors.ray import Hosts, HostSettings, RayExecutor
from bench.run.limits import Limits
from tests.builders.ray_cluster import RayNodes, ray_nodes
from tests.run.executor_conformance import ExecutorConformance, Executors

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
