"""When trials end that workers take one after the other."""

from __future__ import annotations

from bench.run.schedule import ends, makespan


def test_whoever_is_free_takes_the_next() -> None:
    assert ends([3, 1, 1, 5], workers=2) == [3, 1, 2, 7]
    assert makespan([3, 1, 1, 5], workers=2) == 7
    assert makespan([4, 4, 4], workers=1) == 12


def test_workers_that_are_busy_take_trials_later() -> None:
    assert ends([2, 2], workers=2, busy=[10]) == [2, 4]
    assert makespan([2], workers=1, busy=[5]) == 7
    assert makespan([], workers=2, busy=[5, 3]) == 5
    assert makespan([], workers=3) == 0
