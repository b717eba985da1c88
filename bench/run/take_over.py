"""Longer trials begin with the states of shorter ones: done before a run, in a process of its own.

The parent never imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from bench.errors import BenchError, StoreError
from bench.plan.trial import Trial
from bench.run.processes import asked_process, send_answer


class TakeOverError(BenchError):
    """Why no state could be taken over."""


@dataclass(frozen=True)
class TakeOver:
    """A trial and the shorter one whose last state it begins with, each with its folder."""

    trial: Trial
    folder: Path
    shorter: Trial
    shorter_folder: Path


def take_over_states(
    wanted: Sequence[TakeOver], fingerprints: Mapping[str, str]
) -> dict[str, int | str]:
    """By trial id how many epochs it begins with, or why it starts from nothing.

    `fingerprints` are of the trials' data as it is now.
    """
    try:
        with asked_process(_take_over, (list(wanted), dict(fingerprints)), "take over") as line:
            answer: dict[str, int | str] | TakeOverError = line.recv()
    except EOFError:
        answer = TakeOverError("the process that read its state was ended from outside")
    if isinstance(answer, TakeOverError):
        return {each.trial.id: str(answer) for each in wanted}
    return answer


def _take_over(
    wanted: list[TakeOver], fingerprints: dict[str, str], connection: Connection
) -> None:
    def work() -> dict[str, int | str]:
        return {each.trial.id: _one(each, fingerprints[each.trial.id]) for each in wanted}

    send_answer(connection, work, TakeOverError, "going on from shorter trials")


def _one(wanted: TakeOver, fingerprint: str) -> int | str:
    from bench.train.longer import StatePaths, take_over_state  # imports torch

    own, theirs = (
        StatePaths(folder / "last.pt", folder / "best.pt", folder / "samples")
        for folder in (wanted.folder, wanted.shorter_folder)
    )
    try:
        return take_over_state(wanted.trial, own, wanted.shorter, theirs, fingerprint)
    except StoreError as error:
        return str(error)
    except (KeyError, TypeError, OSError) as error:
        return f"{theirs.last}: not a state that can be used ({error})"
