"""What a worker tells the parent. Everything here is sent between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.states import Failure, Status


@dataclass(frozen=True)
class Started:
    """A worker has begun with a trial; on which node of a cluster, if it is on one."""

    trial: str
    node: str | None = None


@dataclass(frozen=True)
class Ticked:
    """How far the current epoch is."""

    trial: str
    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class Working:
    """How far work is that is no step of training: `what`, and of how many, or 0 if not known."""

    trial: str
    what: str
    step: int
    steps: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch is recorded."""

    trial: str
    row: Mapping[str, float | int | None]


@dataclass(frozen=True)
class Alive:
    """A worker's main thread gets on, though it has nothing to tell. For the executor alone."""

    trial: str


@dataclass(frozen=True)
class Retried:
    """A trial starts again by itself, from its last epoch, after its worker was ended.

    Attributes:
        message: how the worker was ended.
        retry: the how many-th time this is in this run, from 1.
        most: how many there can be.
    """

    trial: str
    message: str
    retry: int
    most: int


@dataclass(frozen=True)
class Lost:
    """Another run of the experiment has taken a trial over; what our worker does is void."""

    trial: str


@dataclass(frozen=True)
class Waiting:
    """All that is left are trials of other runs of the experiment: how many, and whose."""

    what: str


@dataclass(frozen=True)
class Ended:
    """A trial is over: done, failed or interrupted.

    Attributes:
        recorded: whether the worker has recorded it itself; one that was killed could not.
        elsewhere: whether another run of the experiment did it.
    """

    trial: str
    status: Status
    failure: Failure | None = None
    message: str | None = None
    recorded: bool = True
    elsewhere: bool = False


@dataclass(frozen=True)
class Decided:
    """A round of an experiment that grows is over: what that decided, in sentences and in short."""

    lines: tuple[str, ...]
    summary: str


Event = Started | Ticked | Working | EpochDone | Retried | Lost | Waiting | Ended | Decided
