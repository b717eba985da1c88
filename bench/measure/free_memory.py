"""How much memory is left. Imports no torch; bytes throughout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def free_host_memory(root: Path = CGROUPS, membership: Path = MEMBERSHIP) -> int:
    """What this process may still take: of the machine's, and of its control groups' limits.

    Reads `memory.max` (version 2) and `memory.limit_in_bytes` (version 1) of the process's group
    and those above. What the system would drop to make room, like cached files, counts as free.
    """
    limits = (_group_remaining(folder) for folder in memory_groups(root, membership))
    left = [limit for limit in limits if limit is not None]
    return max(0, min([psutil.virtual_memory().available, *left]))


def memory_groups(root: Path, membership: Path) -> Iterator[Path]:
    """The folders of the process's control groups of memory, and of those above."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            top = root if number == "0" else root / "memory"
            folder = top / path.strip("/")
            yield from (
                folder,
                *(above for above in folder.parents if top in (above, *above.parents)),
            )


def _group_remaining(folder: Path) -> int | None:
    """What the group's limit leaves; None where there is none."""
    for limit, used, cached in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            most, taken = (folder / limit).read_text(), (folder / used).read_text()
            statistics = dict(map(str.split, (folder / "memory.stat").read_text().splitlines()))
        except OSError:
            continue
        if most.strip() != "max":
            return int(most) - int(taken) + int(statistics.get(cached, 0))
    return None
