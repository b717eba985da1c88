"""How long trials will take, measured as they will run: so many of them side by side."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import BenchError
from bench.measure.duration import Duration, UnknownDuration, mean_duration
from bench.plan.trial import Trial
from bench.run.processes import asked_process, send_answer
from bench.run.worker import WorkerResources, redirect_output
from bench.train.recorder import Recorder

if TYPE_CHECKING:
    from bench.train.measure_duration import DurationProbe

LIMIT_SECONDS = 900.0
"""For a few steps, compiling included. Preparing the data may take any time."""
_DATA_READY, _WARM, _GO = "data", "warm", "go"
ClockName = Literal["wall", "cpu"]
"""cpu: what the process itself computes, which a busy neighbour does not change."""


class DurationError(BenchError):
    """Why it could not be measured how long a trial takes."""


@dataclass(frozen=True)
class MeasuredTrial:
    """A trial to be measured. Sent to a process, so everything in it can be pickled.

    Attributes:
        trial: whose steps are taken.
        recorder: where its checkpoints go, which nobody wants.
        log: file that takes what is printed.
    """

    trial: Trial
    recorder: Recorder
    log: Path


def measure_durations(
    trials: Sequence[Trial],
    recorded_at: Callable[[Trial, int], MeasuredTrial],
    resources: Sequence[WorkerResources],
    report: Callable[[Trial], None] = lambda _: None,
    clock: ClockName = "wall",
) -> dict[str, Duration | UnknownDuration]:
    """By trial id how long each takes: as many are measured side by side as there are `resources`.

    Each in a process of its own. Those that are measured together are warmed up first, and keep
    training until the last of them is measured: each has the neighbours that it will have. What
    cannot be measured has the reason instead.

    Args:
        trials: to be measured.
        recorded_at: makes what is sent of a trial, for the worker of this number.
        resources: of the workers that there will be.
        report: called with each trial before it is measured.
        clock: what seconds are.
    """
    found: dict[str, Duration | UnknownDuration] = {}
    for begin in range(0, len(trials), len(resources)):
        group = trials[begin : begin + len(resources)]
        for trial in group:
            report(trial)
        # where trials are fewer than workers, some run twice: an idle neighbour costs nothing
        beside = [
            (recorded_at(trial, number), worker)
            for number, (worker, trial) in enumerate(
                zip(resources, itertools.cycle(group), strict=False)
            )
        ]
        answers = _measure_group(beside, clock)
        for trial in group:
            own = [a for (m, _), a in zip(beside, answers, strict=True) if m.trial is trial]
            found[trial.id] = _together(own)
    return found


def _together(answers: Sequence[Duration | UnknownDuration]) -> Duration | UnknownDuration:
    """What is known of a trial that was measured once or more."""
    known = [answer for answer in answers if isinstance(answer, Duration)]
    return mean_duration(known) if known else answers[0]


def _measure_group(
    beside: Sequence[tuple[MeasuredTrial, WorkerResources]], clock: ClockName
) -> list[Duration | UnknownDuration]:
    """Measure side by side: all are warm before the first is measured."""
    with ExitStack() as processes:
        lines = [
            processes.enter_context(
                asked_process(_measure, (measured, resources, clock), "measure")
            )
            for measured, resources in beside
        ]
        names = [measured.trial.id for measured, _ in beside]
        warm = [_until_warm(name, line) for name, line in zip(names, lines, strict=True)]
        for line, problem in zip(lines, warm, strict=True):
            if problem is None:
                line.send(_GO)
        return [
            _answer(name, line) if problem is None else problem
            for name, line, problem in zip(names, lines, warm, strict=True)
        ]


def _until_warm(name: str, line: Connection) -> UnknownDuration | None:
    """Wait for the warm-up, which has a limit once the data is ready; what went wrong, if so."""
    limit = None
    while True:
        answer = _received(name, line, limit)
        if answer == _WARM:
            return None
        if isinstance(answer, UnknownDuration):
            return answer
        limit = LIMIT_SECONDS


def _answer(name: str, line: Connection) -> Duration | UnknownDuration:
    answer = _received(name, line, LIMIT_SECONDS)
    assert not isinstance(answer, str)
    return answer


def _received(name: str, line: Connection, limit: float | None) -> Duration | UnknownDuration | str:
    """What the process tells next."""
    what = f"measuring how long {name} takes"
    try:
        if not line.poll(limit):
            return UnknownDuration(f"{what}: a few steps took more than {limit:.0f} s")
        answer: Duration | DurationError | str = line.recv()
    except (EOFError, OSError):
        return UnknownDuration(f"{what}: the process was ended from outside (out of memory?)")
    return UnknownDuration(str(answer)) if isinstance(answer, DurationError) else answer


def _measure(
    measured: MeasuredTrial, resources: WorkerResources, clock: ClockName, connection: Connection
) -> None:
    """The entry point of a process."""
    redirect_output(measured.log)
    if resources.gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = resources.gpus
    probes: list[DurationProbe] = []

    def work() -> Duration:
        probes.append(_warm_probe(measured, resources, clock, connection))
        connection.send(_WARM)
        connection.recv()
        return probes[0].measured()

    what = f"measuring how long {measured.trial.id} takes"
    send_answer(connection, work, DurationError, what)
    if probes:
        probes[0].keep_busy()  # until this process is ended


def _warm_probe(
    measured: MeasuredTrial, resources: WorkerResources, clock: ClockName, connection: Connection
) -> DurationProbe:
    import time

    import torch

    from bench.data.settings import DATASETS
    from bench.train.measure_duration import DurationProbe

    torch.set_num_threads(resources.threads)
    DATASETS.build(measured.trial.settings.data).prepare()  # is there when a trial begins
    connection.send(_DATA_READY)
    probe = DurationProbe(
        measured.trial,
        measured.recorder,
        trials_per_device=resources.trials_per_device,
        clock=time.process_time if clock == "cpu" else time.perf_counter,
    )
    probe.warm_up()
    return probe
