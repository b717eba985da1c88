"""Work done ahead in threads, taken in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    threads: int | None = None,
    ahead: int | None = None,
) -> Generator[R, None, None]:
    """`map(function, items)`, at most `ahead` items before what has been taken.

    Nothing starts before the first result is asked for. An exception of `function` is raised where
    its result would have been. However the iteration ends, the threads have ended with it.

    Args:
        function: called in any of the threads.
        items: taken one by one, in the caller's thread.
        threads: None: as many as there are cores, 16 at most.
        ahead: None: four for each thread.
    """
    threads = threads or min(16, _cores())
    ahead = ahead or 4 * threads
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ahead") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
