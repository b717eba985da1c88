"""How much memory the arms of a plan will take, each measured in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from bench.errors import BenchError
from bench.measure.footprint import Footprint
from bench.plan.trial import Trial, digest
from bench.run.processes import asked_process, send_answer
from bench.run.resources import assign_gpus, fit_on_gpu
from bench.run.worker import WorkerResources
from bench.spec.schema import Machine
from bench.stages import each

LIMIT_SECONDS = 300.0
"""For a few steps. Preparing the data may take any time."""
_DATA_READY = "data"
MEMORY_NEUTRAL_SETTINGS = frozenset({
    "epochs", "lr", "encoder_lr", "weight_decay", "schedule", "warmup_epochs", "early_stopping",
    "focal_gamma", "label_smoothing", "bad_steps", "compile",
})  # fmt: skip
"""Settings of training that do not change how much memory it takes, or not in the prediction."""


class ForecastError(BenchError):
    """Why the memory of a trial could not be measured."""


def forecast(
    trials: Iterable[Trial], report: Callable[[Trial], None] | None = None
) -> dict[str, Footprint]:
    """Each trial's id and the memory it will take; trials that are alike in it are measured once.

    The data is prepared, where it never was. `report` is called with a trial before it is measured.
    What cannot be measured has its `problem` instead.

    Raises:
        ForecastError: nothing could be measured; why, of the first.
    """
    known: dict[str, Footprint] = {}
    found: dict[str, Footprint] = {}
    for trial in each("measuring memory", list(trials)):
        key = digest(_identity(trial))
        if key not in known:
            if report is not None:
                report(trial)
            known[key] = _measure_or_explain(trial)
        found[trial.id] = known[key]
    problems = [each.problem for each in found.values() if each.problem is not None]
    if problems and len(problems) == len(found):
        raise ForecastError(problems[0])
    return found


def max_trials_per_gpu(
    trials: Sequence[Trial], say: Callable[[str], None] = lambda _: None
) -> Callable[[int], int]:
    """How many of so many of these trials fit on one GPU, found out when asked.

    One, where that is not known of some. It takes seconds for every different arm, each in a
    process of its own, so `say` is called with what is measured.
    """

    def measuring(trial: Trial) -> None:
        say(f"Measuring how much GPU memory trials like {trial.id} take.")

    def fitting(wanted: int) -> int:
        found = forecast(trials, measuring).values()
        free = min(each.free_mb or 0.0 for each in found)
        return fit_on_gpu([each.needed_mb for each in found], free, wanted)

    return fitting


def divide_machine(
    machine: Machine,
    trials: Sequence[Trial],
    count: int,
    jobs: int | None,
    say: Callable[[str], None],
) -> list[WorkerResources]:
    """The machine among as many workers as there may be trials at a time.

    Args:
        machine: what the spec says of it.
        trials: of every kind that is to be run: what they take says how many fit on a GPU.
        count: how many trials are to be run at most.
        jobs: how many at a time; None: one per GPU, or one per CPU core.
        say: where there are fewer than `jobs`.
    """
    max_per_gpu = max_trials_per_gpu(trials, say)
    devices = max((trial.settings.train.devices for trial in trials), default=1)
    resources = assign_gpus(machine.device, jobs, machine.threads, count, max_per_gpu, devices)
    if jobs and len(resources) < min(jobs, count):
        say(f"{len(resources)} trials at a time, not {jobs}: no more fit on the GPUs.")
    return resources


def _identity(trial: Trial) -> dict[str, Any]:
    """What decides how much memory a trial takes."""
    settings = trial.settings.identity()
    train = {
        key: value for key, value in settings["train"].items() if key not in MEMORY_NEUTRAL_SETTINGS
    }
    model = {key: value for key, value in settings["model"].items() if key != "weights"}
    return {"task": settings["task"], "data": settings["data"], "model": model, "train": train}


def _measure_or_explain(trial: Trial) -> Footprint:
    try:
        return _measure_in_process(trial)
    except ForecastError as error:
        return Footprint(None, None, None, problem=str(error))


def _measure_in_process(trial: Trial) -> Footprint:
    """What is measured in a fresh process, which has nothing of other trials."""
    try:
        with asked_process(_measure, (trial,), "measure") as connection:
            answer = _receive_answer(trial, connection)
    except EOFError:
        raise ForecastError(
            f"measuring the memory of {trial.id}: the process was ended from outside "
            "(out of memory?)"
        ) from None
    if isinstance(answer, ForecastError):
        raise answer
    return answer


def _receive_answer(trial: Trial, line: Connection) -> Footprint | ForecastError:
    """What the process finds; it says when the data is ready, and then has a limit."""
    limit = None
    while line.poll(limit):
        answer: Footprint | ForecastError | str = line.recv()
        if not isinstance(answer, str):
            return answer
        limit = LIMIT_SECONDS
    raise ForecastError(
        f"measuring the memory of {trial.id}: a few steps took more than {LIMIT_SECONDS:.0f} s"
    )


def _measure(trial: Trial, connection: Connection) -> None:
    def work() -> Footprint:
        from bench.train.measure_footprint import measure_footprint  # imports torch

        return measure_footprint(trial, lambda: connection.send(_DATA_READY))

    send_answer(connection, work, ForecastError, f"measuring the memory of {trial.id}")
