"""Hosts on the nodes of a Ray cluster: made where there is room, refused where nodes do not fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, first_line
from bench.run.executors.cluster import Node, TrialShare, nodes
from bench.run.executors.ray_host import NodeFacts, SharedFile, TrialHost, versions

IDLE_SECONDS = 30.0
"""After which a host without a trial gives its part of the cluster back."""


class ClusterError(BenchError):
    """No node of the cluster can run the trials."""


@dataclass(frozen=True)
class HostSettings:
    """How hosts are made.

    Attributes:
        share: what a trial takes of a node.
        folder: the driver's working folder.
        shared: by which a node finds out whether it sees the results folder.
        files: whether trials write there: where a node sees it, always, or never.
        jobs: trials at a time; None: as many as the cluster has room for.
    """

    share: TrialShare
    folder: str
    shared: SharedFile | None = None
    files: str = "auto"
    jobs: int | None = None


@dataclass
class Host:
    """One host, and what is known of its node once it has answered."""

    handle: Any
    answer: Any
    facts: NodeFacts | None = None
    idle_since: float = 0.0


class Hosts:
    """Makes hosts on nodes that fit, and refuses the others with the reason."""

    def __init__(self, settings: HostSettings, say: Callable[[str], None]) -> None:
        import ray

        self.settings, self._say = settings, say
        self.refused: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._versions: Mapping[str, str] = {
            name: version.partition("+")[0] for name, version in versions().items()
        }
        self._whole_torch: str | None = None
        self._idle: list[Host] = []
        self._actor: Any = ray.remote(max_restarts=0, max_task_retries=0, max_concurrency=8)(
            TrialHost
        )
        self.check()

    def check(self) -> None:
        """Raises ClusterError where no node can run a trial."""
        self.room()

    def room(self) -> int:
        """How many trials the nodes that fit have room for.

        Raises:
            ClusterError: none; why, of each node.
        """
        there = nodes()
        self._names |= {node.node_id: node.name for node in there}
        share = self.settings.share
        room = sum(
            node.room_for(share.resources) for node in there if node.node_id not in self.refused
        )
        if room == 0:
            raise ClusterError(_why_none(there, share, self.refused))
        return room

    def take(self) -> Host:
        """A host that is idle, else a new one, wherever there is room, when there is."""
        if self._idle:
            return self._idle.pop()
        share = self.settings.share
        options = share.options
        if self.refused:
            options["label_selector"] = {"ray.io/node-id": f"!in({','.join(self.refused)})"}
        handle = self._actor.options(**options).remote(
            self.settings.folder, share.threads, share.per_gpu
        )
        return Host(handle, handle.describe.remote(self.settings.shared))

    def give_back(self, host: Host) -> None:
        """Its trial has ended."""
        host.idle_since = time.monotonic()
        self._idle.append(host)

    def end_idle(self, seconds: float = IDLE_SECONDS) -> None:
        """End those that are idle for so long: others may need what they hold."""
        now = time.monotonic()
        for host in [host for host in self._idle if now >= host.idle_since + seconds]:
            self._idle.remove(host)
            end(host)

    def close(self) -> None:
        """End all that are idle."""
        self.end_idle(0.0)

    def accept(self, host: Host, facts: NodeFacts) -> bool:
        """Whether a host's node may run trials; if not, the host is ended and the reason said."""
        host.facts = facts
        reason = facts.gpu_problem or self._other_version(facts.versions)
        if reason is None and self.settings.files == "shared" and not facts.sees_results:
            reason = "does not see the results folder, as --files shared wants"
        if reason is None:
            return True
        self.refuse(facts.node_id, reason)
        end(host)
        return False

    def refuse(self, node_id: str, reason: str) -> None:
        """Run nothing on a node."""
        if node_id not in self.refused:
            self.refused[node_id] = reason
            self._say(f"{self.name(node_id)} is not used: {reason}.")

    def name(self, node_id: str) -> str:
        """A node's, for people."""
        if node_id not in self._names:
            self._names |= {node.node_id: node.name for node in nodes()}
        return self._names.get(node_id, node_id[:8])

    def _other_version(self, found: Mapping[str, str]) -> str | None:
        """What differs from the driver; of torch's builds, from the first node."""
        for name, version in self._versions.items():
            there = found.get(name, "none").partition("+")[0]
            if name == "python":
                there, version = (".".join(text.split(".")[:2]) for text in (there, version))
            if there != version:
                return f"it has {name} {there}, and the driver {version}: install the same"
        torch = found["torch"]
        self._whole_torch = self._whole_torch or torch
        if torch != self._whole_torch:
            return f"it has torch {torch}, and another node {self._whole_torch}: install the same"
        return None


def end(host: Host) -> None:
    """End a host by force."""
    import ray

    with suppress(Exception):  # it is gone, or cannot be reached
        ray.kill(host.handle)


def is_start_problem(error: Exception) -> bool:
    """Whether a host is gone since it cannot be made: bench is not installed there, say."""
    from ray.exceptions import RayActorError

    return isinstance(error, RayActorError) and error.actor_init_failed


def why_no_worker(error: Exception, attempts: int) -> str:
    """What to say where one host after the other has ended before it answered."""
    why = str(error).strip().splitlines()[-1] if is_start_problem(error) else first_line(error)
    return (
        f"no worker starts on the cluster, {attempts} times ({why}): install on every node what "
        "this machine has (`bench doctor --address …` lists the nodes)"
    )


def _why_none(there: Sequence[Node], share: TrialShare, refused: Mapping[str, str]) -> str:
    """Why no node can run a trial."""
    found = [
        f"{node} is not used: {refused[node.node_id]}" if node.node_id in refused else str(node)
        for node in there
    ]
    return (
        f"no node of the cluster has {share} for a trial ({'; '.join(found) or 'there is none'}): "
        "start one that has, or change machine.resources"
    )
