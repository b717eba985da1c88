"""Dividing the machine among workers."""

from __future__ import annotations

from collections import Counter

import psutil

from bench.errors import DeviceError
from bench.measure.devices import cpu_count, visible_gpus
from bench.run.worker import Share

WORKER_MEMORY = 4e9
"""Bytes of free memory for each worker that is not asked for."""


def divide(device: str, jobs: int | None, threads: int | None, trials: int) -> list[Share]:
    """One share per worker, for `trials` trials.

    With CUDA there are `jobs` workers, by default one for each GPU; if there are more, they are
    dealt out to the GPUs in turn and run side by side. On a CPU there are `jobs` workers, by
    default as many as there are cores and as memory allows: trials side by side on one thread each
    finish sooner than one after the other on all threads. Each has an equal part of the cores
    unless `threads` says otherwise.

    Raises:
        DeviceError: `cuda` was asked for and there is none.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise DeviceError("--device cuda: no CUDA device is visible (see `python -m bench doctor`)")
    leases = gpus or [""]
    workers = jobs or (len(gpus) if gpus else _workers(threads))
    each = threads or max(1, cpu_count() // workers)  # however few trials: they change the bits
    dealt = [leases[k % len(leases)] for k in range(min(workers, trials))]
    beside = Counter(dealt)
    return [Share(each, lease, beside[lease]) for lease in dealt]


def _workers(threads: int | None) -> int:
    cores = cpu_count() // (threads or 1)
    return max(1, min(cores, int(psutil.virtual_memory().available / WORKER_MEMORY)))
