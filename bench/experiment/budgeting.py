"""What a run does with its budget: before its first trial, and when it is used up."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from bench.errors import BenchError, DamagedError
from bench.experiment.budget import (
    BudgetedJobs,
    ExpectedSeconds,
    left_line,
    outlook,
    stopped_note,
    whole_repeats,
)
from bench.experiment.current_run import CurrentRun, RunOptions
from bench.experiment.durations import DurationRequest, durations
from bench.experiment.time_forecast import TrialTime, epochs_done
from bench.experiment.trial_setup import TrialSetup
from bench.measure.duration import UnknownDuration
from bench.run.backend import Backend, LocalBackend
from bench.run.runner import JobSource, NoJobs, Outcome
from bench.run.worker import Job
from bench.states import Status


def check_budget(options: RunOptions) -> None:
    """Refuse a budget that nothing can be done with.

    Raises:
        BenchError: it is 0, or for trials elsewhere than on this machine.
    """
    if options.budget is None:
        return
    if options.budget <= 0:
        raise BenchError("--budget 0: no trial ends in no time; say how long, as in 30m or 8h")
    if options.executor.name != "local":
        raise BenchError(
            f"--budget: goes with --executor local: what trials take on the nodes of "
            f"{options.executor.name} is not measured here"
        )


def budgeted(
    here: CurrentRun,
    jobs: Sequence[Job],
    more: JobSource | None,
    backend: Backend,
    setup: TrialSetup,
    epochs: dict[str, int],
) -> BudgetedJobs:
    """The run's jobs as far as its budget goes; says which will and which will not be run.

    Args:
        here: the run.
        jobs: of what is to be run: at least one.
        more: jobs of later rounds.
        backend: where they are run.
        setup: knows which trials begin with epochs of shorter ones.
        epochs: by trial, for the display; without those that do not fit.

    Raises:
        BenchError: not even one repeat fits, or it is not known how long a trial takes.
    """
    assert isinstance(backend, LocalBackend), "refused elsewhere"
    budget, workers = here.options.budget or 0.0, len(backend.resources)
    expected = _expected(here, jobs, backend, setup)
    repeats, until = whole_repeats(jobs), here.begun + budget
    found = outlook(repeats, workers, expected, until - time.monotonic(), budget)
    here.say(found.line(budget))
    for job in (job for repeat in found.rest for job in repeat):
        epochs.pop(job.trial.id, None)

    def begun(repeat: Sequence[Job]) -> None:
        for job in repeat:  # more may fit than was foreseen
            epochs[job.trial.id] = job.trial.settings.train.epochs

    return BudgetedJobs(deque(repeats), workers, expected, until, more or NoJobs(), begun)


def _expected(
    here: CurrentRun, jobs: Sequence[Job], backend: LocalBackend, setup: TrialSetup
) -> ExpectedSeconds:
    trials = [job.trial for job in jobs]
    request = DurationRequest(here.store, here.plan.experiment, backend.resources)
    found = durations(trials, request, here.say)
    unknown = [one.problem for one in found.values() if isinstance(one, UnknownDuration)]
    if unknown:
        raise BenchError(f"--budget: it is not known what fits: {unknown[0]}")
    done = epochs_done(trials, here.store) | setup.continued
    times = [TrialTime(trial, found[trial.id]) for trial in trials]
    return ExpectedSeconds(
        {one.trial.id: one.left(_going_on_from(done.get(one.trial.id, 0))) for one in times},
        {one.trial.arm: one.seconds for one in times},
    )


def _going_on_from(epochs: float) -> float:
    """A trial that has ended (failed) and is run again begins with nothing."""
    return 0.0 if epochs == float("inf") else epochs


def end_of_budget(here: CurrentRun, outcome: Outcome) -> None:
    """Say what is left, and note for the report that the time decided."""
    budget = here.options.budget or 0.0
    ended = {event.trial for event in outcome.ended}
    todo = set(here.selection.todo)
    left = [t for t in here.plan.trials if t.id in todo and t.id not in ended]
    if not left:
        return
    command = f"`{here.options.command}`" if here.options.command else "The same call"
    here.say(left_line(budget, left, f"{command} goes on."))
    finished = len(here.selection.finished) + outcome.count(Status.DONE)
    _keep_note(here, stopped_note(budget, finished, len(here.plan.trials)))


def _keep_note(here: CurrentRun, note: str) -> None:
    """Put it on record with the plan; the next run that trains anything replaces it."""
    plan, store = here.plan, here.store
    with suppress(DamagedError):
        found = store.plan(plan.experiment) or {}
        record = plan.record()
        if found.get("spec") == record["spec"]:  # else a run of another spec has started since
            kept = {"notes": found.get("notes", []), "stopped": note}
            store.write_plan(plan.experiment, record | kept)
