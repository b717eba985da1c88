"""Of several that take a lease at one instant, one has it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.record import leases as module
from bench.record.leases import Lease, Leases
from bench.record.owners import Owner


def test_of_many_that_try_at_once_one_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has seen that the lease is free before any creates a file."""
    many = 8
    all_have_looked, looks = threading.Barrier(many), module._generations
    first = threading.local()

    def together(path: Path) -> list[int]:
        found = looks(path)
        if not getattr(first, "over", False):
            first.over = True
            all_have_looked.wait(10)
        return found

    with ExitStack() as stack, ThreadPoolExecutor(many) as pool:
        runs = [stack.enter_context(Leases(tmp_path)) for _ in range(many)]
        ours = runs[0].claim("a")
        assert isinstance(ours, Lease)
        runs[0].release(ours)
        monkeypatch.setattr(module, "_generations", together)
        found = list(pool.map(lambda leases: leases.claim("a"), runs))
        monkeypatch.undo()
        (winner,) = (lease for lease in found if isinstance(lease, Lease))
        assert winner.held()
        losers = [owner for owner in found if isinstance(owner, Owner)]
        assert len(losers) == many - 1
        assert {owner.token for owner in losers} <= {winner.token, ""}  # "": not signed yet
