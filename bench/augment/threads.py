"""Samples spread over threads that do not wait for each other.

An operator of torch that OpenMP cuts over its threads ends when the last of them does: where
another program has one of the cores, every operator waits for it. Here each thread takes a few
samples through all operators by itself, then the next few, so that a core that is shared costs no
more than its share.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

Job = Callable[[], object]
T = TypeVar("T")


def run_jobs(jobs: Iterable[Job], device: torch.device | None = None) -> None:
    """Call all jobs, in any order, on as many threads as torch has here; for a GPU one by one.

    No job may write what another one reads. An exception is raised once no job is running any more;
    jobs that had not begun are left out.
    """
    waiting, most = deque(jobs), torch.get_num_threads()
    threads = min(most, len(waiting))
    if most < 2 or (device is not None and device.type != "cpu"):
        for job in waiting:
            job()
        return

    def work() -> None:
        while waiting:
            try:
                job = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                job()
            except BaseException:
                waiting.clear()
                raise

    futures = [_pool(most, os.getpid()).submit(work) for _ in range(threads)]
    errors = [future.exception() for future in futures]  # waits for all of them
    for error in errors:
        if error is not None:
            raise error


def call_on_one_thread(function: Callable[[], T], device: torch.device) -> T:
    """`function()`, none of whose small operators wakes, and waits for, another thread."""
    if torch.get_num_threads() < 2 or device.type != "cpu":
        return function()
    return _pool(torch.get_num_threads(), os.getpid()).submit(function).result()


@lru_cache(maxsize=2)
def _pool(threads: int, _process: int) -> ThreadPoolExecutor:
    """Threads that stay, in each of which torch has one; a forked process has to start its own."""
    pool = ThreadPoolExecutor(threads, "augment", initializer=_use_one_thread)
    together = Barrier(threads + 1)
    for _ in range(threads):
        pool.submit(together.wait)
    together.wait()
    # what was set last is also the default of threads to come, which are none of these
    torch.set_num_threads(threads)
    return pool


def _use_one_thread() -> None:
    torch.get_num_threads()  # else torch would set up this thread later, with the default
    torch.set_num_threads(1)
