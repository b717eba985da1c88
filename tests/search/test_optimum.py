"""With a known optimum, TPE beats random draws; tests/benchmarks/search.py does it at length."""

from __future__ import annotations

from tests.benchmarks.search import compare


def test_tpe_beats_random_draws() -> None:
    tpe, random, _ = compare(seeds=3, trials=20)
    assert 2 * sum(tpe) < sum(random)
