"""What `bench doctor` says of a Ray cluster: its nodes, and whether they fit this machine."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from collections.abc import Mapping

from bench.doctor import Check
from bench.errors import BenchError, first_line
from bench.run.executors.cluster import Node, connected, nodes
from bench.run.executors.ray_host import SAME, versions

SECONDS = 30.0
"""A node has so long to say what it has installed."""


def cluster_checks(address: str | None) -> list[Check]:
    """One check for the cluster and one per node; without an address only whether Ray is there.

    Args:
        address: as of `--address`; None: RAY_ADDRESS, if it is set.
    """
    if importlib.util.find_spec("ray") is None:
        missing = Check("ray", "ok", "not installed: trials run on this machine")
        if address is None:
            return [missing]
        remedy = "pip install 'bench[ray]'"
        return [Check("ray", "problem", "not installed", remedy)]
    version = f"Ray {importlib.metadata.version('ray')}"
    address = address or os.environ.get("RAY_ADDRESS")
    if address is None:
        return [Check("ray", "ok", f"{version}; `bench doctor --address auto` looks at a cluster")]
    try:
        with connected(address):
            there = nodes()
            found = _versions_of(there)
    except BenchError as error:
        return [Check("ray", "problem", f"{version}: {error}", "start a cluster: docs/cluster.md")]
    total = Check("ray", "ok", f"{version}, a cluster of {len(there)} nodes")
    return [total, *(check_node(node, found.get(node.node_id), versions()) for node in there)]


def check_node(node: Node, found: Mapping[str, str] | str | None, own: Mapping[str, str]) -> Check:
    """Whether a node has what this machine has; `found` is what it says, or why it says nothing."""
    name = f"ray node {node.name}"
    finding = str(node).removeprefix(f"{node.name}: ")
    if not isinstance(found, Mapping):
        why = "it did not answer" if found is None else found
        return Check(name, "warning", f"{finding}; {why}", "see `ray status` and the node's log")
    torch = f"{finding}, torch {found.get('torch', 'missing')}"
    for package in SAME:
        here, there = (each.get(package, "none").partition("+")[0] for each in (own, found))
        if here != there:
            remedy = f"install {package} {here} there: its trials are refused"
            return Check(name, "problem", f"{torch}; {package} {there}, here {here}", remedy)
    return Check(name, "ok", torch)


def _versions_of(there: list[Node]) -> dict[str, Mapping[str, str] | str]:
    """By node: its packages' versions, or why they are not known."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = {}
    for node in there:
        place = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(versions)
        asked[task.remote()] = node.node_id
    ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=SECONDS)
    found: dict[str, Mapping[str, str] | str] = {}
    for reference in ready:
        try:
            found[asked[reference]] = ray.get(reference)
        except RayError as error:
            cause = getattr(error, "cause", None) or error
            found[asked[reference]] = first_line(cause)
    return found
