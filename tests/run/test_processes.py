"""Processes of our own: what they have of the one that starts them."""

from __future__ import annotations

import os
from multiprocessing.connection import Connection

import pytest

from bench.run.processes import asked_process


def tell(name: str, connection: Connection) -> None:
    connection.send(os.environ.get(name))


def told(name: str) -> str | None:
    with asked_process(tell, (name,), "tell", patience=5.0) as connection:
        found: str | None = connection.recv()
        return found


def test_a_process_has_the_environment_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork server keeps that of the first process; what came later is handed over."""
    monkeypatch.setenv("BENCH_CACHE", "/first")
    assert told("BENCH_CACHE") == "/first"
    monkeypatch.setenv("BENCH_CACHE", "/second")
    assert told("BENCH_CACHE") == "/second"
    monkeypatch.delenv("BENCH_CACHE")
    assert told("BENCH_CACHE") is None
