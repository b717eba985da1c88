"""Dividing the machine among workers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import psutil

from bench.errors import DeviceError
from bench.measure.devices import cpu_count, visible_gpus
from bench.run.worker import WorkerResources

WORKER_MEMORY = 4e9
"""Bytes of free memory for each worker that is not asked for."""


CUDA_CONTEXT = 600.0
"""MB that each process more takes on a GPU besides its tensors."""
GPU_SHARE = 0.9
"""Part of a GPU's free memory that predicted peaks may add up to: its allocator leaves gaps."""


def assign_gpus(
    device: str,
    jobs: int | None,
    threads: int | None,
    trials: int,
    max_trials_per_gpu: Callable[[int], int] | None = None,
    devices: int = 1,
) -> list[WorkerResources]:
    """The GPUs and the CPU threads of each worker, for `trials` trials of so many `devices`.

    With CUDA there are `jobs` workers, by default one per GPU. More are assigned to the GPUs in
    turn, no more to each than `max_trials_per_gpu` allows. On a CPU there are `jobs` workers, by
    default one per core as far as memory allows: trials side by side on one thread each finish
    sooner than one after the other on all threads. Each has an equal part of the cores unless
    `threads` says otherwise. A worker of several devices has as many GPUs, or on a CPU processes,
    to itself, and so many threads for each of these; GPUs that make no such group are left over.

    Raises:
        DeviceError: `cuda` was asked for and there is none, or there are fewer than `devices`.
    """
    gpus = [] if device == "cpu" else visible_gpus()
    if device == "cuda" and not gpus:
        raise DeviceError("--device cuda: no CUDA device is visible (see `python -m bench doctor`)")
    if gpus and len(gpus) < devices:
        raise DeviceError(
            f"train.devices: {devices} is more than the GPUs that are visible ({len(gpus)}): use "
            "no more devices than there are GPUs (see `python -m bench doctor`)"
        )
    starts = range(0, len(gpus) - devices + 1, devices)
    gpu_slots = [",".join(gpus[k : k + devices]) for k in starts] or [""]
    workers = jobs or (len(gpu_slots) if gpus else max(1, _workers(threads) // devices))
    wanted = math.ceil(min(workers, trials) / len(gpu_slots))
    if gpus and wanted > 1 and max_trials_per_gpu is not None:
        workers = min(workers, max_trials_per_gpu(wanted) * len(gpu_slots))
    # however few trials: threads change the bits
    each = threads or max(1, cpu_count() // (workers * devices))
    assigned = [gpu_slots[k % len(gpu_slots)] for k in range(min(workers, trials))]
    trials_per_device = Counter(assigned)
    return [WorkerResources(each, gpu, trials_per_device[gpu]) for gpu in assigned]


def fit_on_gpu(peaks: Sequence[float | None], free: float, wanted: int) -> int:
    """How many trials can be on one GPU at a time, whichever of them meet: 1 to `wanted`.

    Args:
        peaks: what each of them takes; None: more than there is.
        free: what the GPU has left beside one process. All in MB.
        wanted: no more than so many.
    """
    if None in peaks:
        return 1
    largest = sorted((peak for peak in peaks if peak is not None), reverse=True)
    fitting = 1
    while fitting < min(wanted, len(largest)):
        more = sum(largest[: fitting + 1]) + fitting * CUDA_CONTEXT
        if more > GPU_SHARE * free:
            break
        fitting += 1
    return fitting


def _workers(threads: int | None) -> int:
    cores = cpu_count() // (threads or 1)
    return max(1, min(cores, int(psutil.virtual_memory().available / WORKER_MEMORY)))
