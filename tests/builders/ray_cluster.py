"""A Ray cluster of several nodes on this machine, each with folders of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.run.executors.cluster import import_ray

STORE_BYTES = 100_000_000


@dataclass
class RayNodes:
    """The cluster; its head runs no trials.

    Attributes:
        address: for `--address`.
        folders: by Ray's id of a node, where its temporary and cache folders are.
    """

    cluster: Any
    root: Path
    folders: dict[str, Path] = field(default_factory=dict)
    added: dict[str, Any] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, cpus: int = 1, variables: dict[str, str] | None = None, **options: Any) -> str:
        """Start a node; its id."""
        folder = self.root / f"n{len(self.folders)}"
        for name in ("cache", "tmp"):
            (folder / name).mkdir(parents=True)
        own = {"BENCH_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}
        node = self.cluster.add_node(
            num_cpus=cpus,
            object_store_memory=STORE_BYTES,
            env_vars=own | (variables or {}),
            **options,
        )
        self.folders[node.node_id], self.added[node.node_id] = folder, node
        return str(node.node_id)

    def lose(self, node_id: str) -> None:
        """Kill every process of a node."""
        self.cluster.remove_node(self.added.pop(node_id), allow_graceful=False)


@contextmanager
def ray_nodes(count: int, cpus: int = 1) -> Iterator[RayNodes]:
    """Start a head and so many nodes, as processes of their own."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import_ray()
    from ray.cluster_utils import Cluster

    root = Path(tempfile.mkdtemp(prefix="r-", dir="/tmp"))  # Ray's sockets have short names only
    head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head | {"temp_dir": str(root / "ray")})
    found = RayNodes(cluster, root)
    try:
        for _ in range(count):
            found.add(cpus)
        yield found
    finally:
        cluster.shutdown()
        shutil.rmtree(root, ignore_errors=True)
