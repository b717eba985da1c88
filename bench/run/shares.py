"""Dividing the machine among workers."""

from __future__ import annotations

import psutil

from bench.errors import DeviceError
from bench.measure.devices import cpu_count, visible_gpus
from bench.run.worker import Share

WORKER_MEMORY = 4e9
"""Bytes of free memory for each worker that is not asked for."""


def divide(device: str, jobs: int | None, threads: int | None) -> list[Share]:
    """One share per worker.

    With CUDA each GPU takes one trial at a time, `jobs` limiting how many GPUs are used. On a CPU
    there are `jobs` workers, by default as many as there are cores and as memory allows: trials
    side by side on one thread each finish sooner than one after the other on all threads. Each has
    an equal part of the cores unless `threads` says otherwise.

    Raises:
        DeviceError: `cuda` was asked for and there is none.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise DeviceError("--device cuda: no CUDA device is visible (see `python -m bench doctor`)")
    leases: list[str | None] = list(gpus[:jobs]) if gpus else [""] * (jobs or _workers(threads))
    each = threads or max(1, cpu_count() // len(leases))
    return [Share(each, lease) for lease in leases]


def _workers(threads: int | None) -> int:
    cores = cpu_count() // (threads or 1)
    return max(1, min(cores, int(psutil.virtual_memory().available / WORKER_MEMORY)))
