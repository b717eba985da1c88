"""The closed sets of states that a trial can be in."""

from __future__ import annotations

from enum import StrEnum

BENCH_SOURCE = "bench"
"""The source of trials that were trained here; any other names where a history was logged."""


class Status(StrEnum):
    """How far a trial has come."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    PRUNED = "pruned"
    """Ended by a search before its last epoch, as others did better: no failure, never resumed."""


class Failure(StrEnum):
    """Why a trial failed."""

    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    DATA = "data"
    CRASH = "crash"
    KILLED = "killed"
    TIMEOUT = "timeout"


def how_to_finish(status: str) -> str:
    """How a trial of this status becomes a finished one, for messages."""
    if status == Status.FAILED:
        return "run its spec with --retry-failed"
    if status == Status.PRUNED:
        return "name a finished trial"
    return "run its spec first"
