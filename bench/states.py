"""The closed sets of states that a trial can be in."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How far a trial has come."""

    PLANNED = "planned"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Failure(StrEnum):
    """Why a trial failed."""

    OUT_OF_MEMORY = "out_of_memory"
    DIVERGED = "diverged"
    DATA = "data"
    CRASH = "crash"
    KILLED = "killed"
    TIMEOUT = "timeout"
