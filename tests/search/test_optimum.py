"""With a known optimum, TPE beats random draws; tests/benchmarks/search.py does it at length."""

from __future__ import annotations

from tests.benchmarks.search import compare


def test_tpe_beats_random_draws() -> None:
    tpe, random, p = compare(seeds=8, trials=16)
    assert sum(tpe) < sum(random)
    assert p < 0.05
