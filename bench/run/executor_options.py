"""Where trials run, as the command line says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import BenchError

ExecutorName = Literal["local", "ray"]
FilesMode = Literal["auto", "shared", "copied"]


@dataclass(frozen=True)
class ExecutorOptions:
    """Where trials run.

    Attributes:
        name: on this machine, or on a Ray cluster.
        address: the cluster's; auto: the one that this machine belongs to.
        files: whether trials of a cluster write into the results folder (shared), or into one of
            their node's from which the driver copies (copied); auto: into the results folder on
            nodes that see it.
    """

    name: ExecutorName = "local"
    address: str | None = None
    files: FilesMode = "auto"

    def __post_init__(self) -> None:
        if self.name == "local" and self.address is not None:
            raise BenchError(f"--address {self.address}: goes with --executor ray")
