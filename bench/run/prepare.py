"""What all trials of a run share, made once before the first: caches of data, costs of models.

It happens in a worker process, so that the parent never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing.connection import Connection

from bench.errors import BenchError, WorkerStartError
from bench.measure.oom_kills import oom_kills
from bench.plan.trial import Trial
from bench.run.prepared import Prepared, Report
from bench.run.processes import asked_process, send_answer

ATTEMPTS = 3
"""Starts of the process that prepares, where somebody kills it."""


class PreparationError(BenchError):
    """A foreseen error on the other side, to be raised on this one."""


def prepare(
    trials: Sequence[Trial], report: Report, trials_per_device: int = 1, *, survey: bool = True
) -> Prepared:
    """Fill every cache the trials need and measure each distinct model.

    Args:
        trials: all that are to be run.
        report: called with what is being done.
        trials_per_device: how many trials a device will have at a time.
        survey: whether to look at the data sets, which takes a second for some thousand images.

    Raises:
        BenchError: data is missing, a model cannot be built, …
        WorkerStartError: the process that prepares was killed again and again.
    """
    killed_before = oom_kills()
    for _ in range(ATTEMPTS):
        try:
            return _prepare_once((list(trials), trials_per_device, survey), report)
        except EOFError:
            if oom_kills() != killed_before:
                why = "preparing the trials: the system ran out of memory and killed the process"
                raise PreparationError(why) from None
    raise WorkerStartError(
        f"preparing the trials: the process was ended from outside, {ATTEMPTS} times; the same "
        "command goes on from here"
    )


def _prepare_once(arguments: tuple[list[Trial], int, bool], report: Report) -> Prepared:
    """Prepare in a process of its own; EOFError where that is killed."""
    with asked_process(_prepare, arguments, "prepare", patience=5.0) as connection:
        while True:
            match connection.recv():
                case Prepared() as prepared:
                    return prepared
                case BenchError() as error:
                    raise PreparationError(str(error))
                case (str() as what, int() as done, int() as total):
                    report(what, done, total)


def _prepare(
    trials: list[Trial], trials_per_device: int, survey: bool, connection: Connection
) -> None:
    def work() -> Prepared:
        from bench.run.preparation import Preparation  # imports torch

        def report(what: str, done: int, total: int) -> None:
            connection.send((what, done, total))

        return Preparation(trials_per_device, report, survey=survey).prepared(trials)

    send_answer(connection, work, PreparationError, "preparing the trials")
