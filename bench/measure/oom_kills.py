"""How many processes the system has killed as memory ran out. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from bench.measure.free_memory import CGROUPS, MEMBERSHIP, memory_groups

_STATISTICS = Path("/proc/vmstat")


def oom_kills(
    root: Path = CGROUPS, membership: Path = MEMBERSHIP, statistics: Path = _STATISTICS
) -> int | None:
    """Processes killed so far in this process's control group, or on the machine; None: not known.

    Reads `oom_kill` of the group's `memory.events` (version 2) or `memory.oom_control` (version 1),
    which count both what a limit of the group and what the machine's own shortage has killed;
    outside of groups, of `/proc/vmstat`.
    """
    folders = memory_groups(root, membership)
    groups = [
        folder / name for folder in folders for name in ("memory.events", "memory.oom_control")
    ]
    for file in (*groups, statistics):
        try:
            counts = dict(line.split()[:2] for line in file.read_text().splitlines())
            return int(counts["oom_kill"])
        except (OSError, KeyError, ValueError):
            continue
    return None
