"""A Ray cluster: connecting to it, its nodes, and what a trial takes of one."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError, first_line
from bench.interruption import SIGNALS
from bench.spec.schema import Machine

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Node:
    """A node that is alive.

    Attributes:
        node_id: Ray's.
        name: for people, and of no other node.
        resources: all that it has, by Ray's names; memory in bytes.
    """

    node_id: str
    name: str
    resources: Mapping[str, float]

    def room_for(self, share: Mapping[str, float]) -> int:
        """How many trials fit on it while it runs nothing else."""
        wanted = {name: amount for name, amount in share.items() if amount > 0}
        counts = [self.resources.get(name, 0.0) / amount + 1e-9 for name, amount in wanted.items()]
        return math.floor(min(counts, default=0.0))

    def __str__(self) -> str:
        memory = self.resources.get("memory", 0.0) / 1e9
        gpus = self.resources.get("GPU", 0)
        kind = next((key[17:] for key in self.resources if key.startswith("accelerator_type:")), "")
        parts = [f"{self.resources.get('CPU', 0):g} CPUs", f"{memory:.1f} GB"]
        parts += [f"{gpus:g} GPUs" + (f" ({kind})" if kind else "")] if gpus else []
        return f"{self.name}: {', '.join(parts)}"


@dataclass(frozen=True)
class TrialShare:
    """What one trial takes of a node."""

    cpus: float
    gpus: float
    threads: int
    memory: float | None = None
    custom: Mapping[str, float] = field(default_factory=dict)

    @property
    def resources(self) -> dict[str, float]:
        """By Ray's names."""
        memory = {} if self.memory is None else {"memory": self.memory}
        return {"CPU": self.cpus, "GPU": self.gpus, **memory, **self.custom}

    @property
    def options(self) -> dict[str, Any]:
        """For Ray."""
        found: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        if self.memory is not None:
            found["memory"] = self.memory
        if self.custom:
            found["resources"] = dict(self.custom)
        return found

    @property
    def per_gpu(self) -> int:
        """Trials that share a GPU."""
        return max(1, math.floor(1 / self.gpus + 1e-9)) if self.gpus else 1

    def __str__(self) -> str:
        parts = [f"{self.cpus:g} CPU{'s' * (self.cpus != 1)}"]
        parts += [f"{self.gpus:g} GPU"] if self.gpus else []
        parts += [f"{self.memory / 1e9:g} GB"] if self.memory else []
        return ", ".join([*parts, *(f"{amount:g} {name}" for name, amount in self.custom.items())])


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be the driver of a cluster, or of one of this machine's own with `local`.

    Raises:
        BenchError: Ray is not installed, or there is no cluster.
    """
    ray = import_ray()
    if address.startswith("ray://"):
        raise BenchError(
            f"--address {address}: is Ray's client, which cannot stream: run bench on a node of "
            "the cluster, or with `ray job submit`, and leave --address out"
        )
    _check_that_somebody_answers(address)
    handlers = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level="ERROR",
            namespace="bench",
            **_local_options(address),
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        if "AuthenticationError" in str(error.__cause__):
            raise BenchError(
                f"--address {address}: the Ray cluster wants its token: set RAY_AUTH_MODE=token, "
                "with the head's ~/.ray/auth_token on this machine, too (docs/cluster.md)"
            ) from error
        raise _no_cluster(address, first_line(error)) from error
    try:
        _take_back(handlers)
        _silence()
        yield
    finally:
        ray.shutdown()
        _take_back(handlers)


def _check_that_somebody_answers(address: str) -> None:
    """Ray itself waits for minutes where nobody does."""
    address = address if address != "auto" else os.environ.get("RAY_ADDRESS", address)
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return  # auto: Ray looks where the last cluster of this machine was started
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, getattr(error, "strerror", None) or str(error)) from error


def _no_cluster(address: str, reason: str) -> BenchError:
    return BenchError(
        f"--address {address}: no Ray cluster answers ({reason}): `ray start --head` starts one, "
        "`--address local` uses this machine alone"
    )


def import_ray() -> Any:
    """Ray, without what it tells its makers, and without what it does about `uv run`.

    Raises:
        BenchError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise BenchError("--executor ray: Ray is not installed: `pip install 'bench[ray]'`")
    for name in ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV"):
        os.environ.setdefault(name, "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import logging

    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    return ray


def nodes() -> list[Node]:
    """Those that are alive, by name."""
    import ray

    alive = [record for record in ray.nodes() if record["Alive"]]
    names = [_name(record) for record in alive]
    count = Counter(names)
    found = [
        Node(
            record["NodeID"],
            name if count[name] == 1 else f"{name}-{record['NodeID'][:6]}",
            record["Resources"],
        )
        for record, name in zip(alive, names, strict=True)
    ]
    return sorted(found, key=lambda node: node.name)


def trial_share(
    machine: Machine, there: Sequence[Node], per_gpu: int = 1, devices: int = 1
) -> TrialShare:
    """What each trial takes: as the settings say, else a GPU where there are any, and a part of
    the cores.

    Args:
        machine: the settings.
        there: the cluster's nodes.
        per_gpu: trials that are to share a GPU where the settings do not say it.
        devices: that train each trial together: as many GPUs, or on CPUs processes.

    Raises:
        BenchError: the settings contradict each other.
    """
    asked = machine.resources
    any_gpu = any(node.resources.get("GPU", 0) > 0 for node in there)
    if devices > 1 and asked.gpus:
        raise BenchError(
            f"machine.resources.gpus: leave it out, since train.devices asks for {devices} GPUs"
        )
    gpus = 0.0
    if machine.device == "cuda" or (machine.device == "auto" and (any_gpu or asked.gpus)):
        whole = float(devices) if devices > 1 else 1.0 / per_gpu  # several are the trial's own
        gpus = whole if asked.gpus is None else asked.gpus
    if gpus == 0 and machine.device == "cuda":
        raise BenchError("machine.device: cuda needs machine.resources.gpus above 0")
    each = [
        node.resources["CPU"] / node.resources["GPU"]
        for node in there
        if node.resources.get("GPU", 0) > 0 and node.resources.get("CPU", 0) > 0
    ]
    equal_part = max(1.0, math.floor(min(each) * gpus)) if gpus and each else 1.0
    equal_part = max(equal_part, float(devices))
    cpus = asked.cpus or float((machine.threads or 0) * devices or equal_part)
    memory = None if asked.memory_gb is None else asked.memory_gb * 1e9
    threads = machine.threads or max(1, int(cpus // devices))
    return TrialShare(cpus, gpus, threads, memory, asked.custom)


def _name(record: Mapping[str, Any]) -> str:
    given = str(record.get("NodeName") or "")
    if given and given != record.get("NodeManagerAddress"):
        return given
    return str(record.get("NodeManagerHostname") or given)


def _silence() -> None:
    """Ray prints pages about lost nodes to standard output, where a report's path is looked for.

    It has no setting for that. What has happened to a trial is said by its own event.
    """
    from ray._private import worker

    printing: Any = worker
    if hasattr(printing, "print_worker_logs"):
        printing.print_worker_logs = lambda *_, **__: None


def _local_options(address: str) -> dict[str, Any]:
    return {"include_dashboard": False} if address == "local" else {}


def _take_back(handlers: Mapping[Any, Any]) -> None:
    """Signals are ours: Ray would exit at SIGTERM, and no trial would stop resumably."""
    if threading.current_thread() is threading.main_thread():
        for each, handler in handlers.items():
            signal.signal(each, handler)
