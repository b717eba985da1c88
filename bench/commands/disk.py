"""What a run will write, in a few lines of `bench plan`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.plan.disk import disk_use
from bench.plan.plan import Plan


def disk_lines(plan: Plan, results: Path) -> Iterator[str]:
    """What the plan's trials will write and keep; more where that is more than the disk has."""
    found, unknown = disk_use(plan.trials)
    if found:
        kept = sum(use.kept() for use in found.values())
        best = sum(use.best for use in found.values())
        last = sum(2 * use.state for use in found.values())
        most = max(use.running - use.kept() for use in found.values())
        yield (
            f"Disk: {size_text(kept)} for {_trials(len(found))} ({size_text(best)} of it best "
            f"weights); {size_text(most)} more while a trial runs, and {size_text(last)} more with "
            "--keep-last."
        )
        free = _free(results)
        if free is not None and kept + most > free:
            yield f"Warning: {size_text(free)} are free where {results} is."
    for name, reason in unknown.items():
        yield f"Disk: how much trials of {name} write is not known ({reason})."


def size_text(size: float) -> str:
    """Bytes for a person, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count:,} trials"


def _free(folder: Path) -> int | None:
    """Free bytes on the disk where the folder is, or will be."""
    folders = (folder.absolute(), *folder.absolute().parents)
    there = next((path for path in folders if path.exists()), None)
    return None if there is None else shutil.disk_usage(there).free
