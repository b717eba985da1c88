"""Dividing the machine among workers."""

from __future__ import annotations

from bench.errors import DeviceError
from bench.measure.devices import cpu_count, visible_gpus
from bench.run.worker import Share


def divide(device: str, jobs: int | None, threads: int | None) -> list[Share]:
    """One share per worker.

    With CUDA each GPU takes one trial at a time, `jobs` limiting how many GPUs are used. On a CPU
    there are `jobs` workers (default 1), each with an equal part of the cores unless `threads` says
    otherwise.

    Raises:
        DeviceError: `cuda` was asked for and there is none.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise DeviceError("--device cuda: no CUDA device is visible (see `python -m bench doctor`)")
    leases: list[str | None] = list(gpus[:jobs]) if gpus else [""] * (jobs or 1)
    each = threads or max(1, cpu_count() // len(leases))
    return [Share(each, lease) for lease in leases]
