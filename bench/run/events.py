"""What a worker tells the parent. Everything here is sent between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.states import Failure, Status


@dataclass(frozen=True)
class Started:
    """A worker has begun with a trial."""

    trial: str


@dataclass(frozen=True)
class Ticked:
    """How far the current epoch is."""

    trial: str
    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch is recorded."""

    trial: str
    row: Mapping[str, float | int | None]


@dataclass(frozen=True)
class Ended:
    """A trial is over: done, failed or interrupted.

    Attributes:
        recorded: whether the worker has recorded it itself; one that was killed could not.
    """

    trial: str
    status: Status
    failure: Failure | None = None
    message: str | None = None
    recorded: bool = True


Event = Started | Ticked | EpochDone | Ended
