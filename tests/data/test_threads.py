from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest

from bench.data.threads import in_threads


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_order_is_kept_and_threads_end() -> None:
    def slowest_first(x: int) -> int:
        time.sleep(0.01 * (x == 0))
        return x * x

    assert list(in_threads(slowest_first, range(100), threads=3)) == [x * x for x in range(100)]
    assert running() == []


def test_an_error_comes_where_its_result_would_have() -> None:
    results = in_threads(lambda x: 6 // x, [1, 2, 0, 3])
    assert [next(results), next(results)] == [6, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert running() == []


def test_no_more_is_done_ahead_than_asked_for() -> None:
    begun: list[int] = []
    with closing(in_threads(begun.append, range(100), threads=2, ahead=3)) as results:
        assert begun == []
        next(results)
        time.sleep(0.1)
        assert sorted(begun) == [0, 1, 2, 3]
        next(results)
    assert len(begun) <= 5
    assert running() == []


def test_stopping_early_waits_for_nothing_but_what_has_begun() -> None:
    go = threading.Event()
    begun: list[int] = []

    def wait(x: int) -> int:
        begun.append(x)
        if x:
            go.wait(5)
        return x

    results = in_threads(wait, range(100), threads=1, ahead=50)
    assert next(results) == 0
    threading.Timer(0.05, go.set).start()
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 2
    assert begun in ([0], [0, 1])  # what waited for the one thread was never begun
    assert running() == []
