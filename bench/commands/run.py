"""`bench run`: plan, prepare, train what is left, mirror, report."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.commands import other_data, renamed
from bench.commands.exit_codes import ExitCode
from bench.commands.reporting import check_writable, is_current, make_report
from bench.plan.expand import Plan, trial_config
from bench.plan.pretrained import fetch_weights
from bench.plan.trial import Trial
from bench.record.live import LiveMirror
from bench.record.mlflow import Mirror
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.run.events import Ended, EpochDone, Event
from bench.run.executors.local import LocalExecutor
from bench.run.prepare import Costs, prepare
from bench.run.progress import display
from bench.run.runner import Choice, Outcome, choose, run
from bench.run.shares import divide
from bench.run.worker import Job
from bench.states import Status

MIRROR_SECONDS = 60.0


@dataclass(frozen=True)
class RunOptions:
    """What the command line says besides the spec."""

    results: Path
    reports: Path
    jobs: int | None = None
    retry_failed: bool = False
    force: bool = False
    fail_fast: bool = False


def run_plan(plan: Plan, options: RunOptions, console: Console) -> ExitCode:
    """Train every trial of the plan that is not finished, then make the report.

    Progress goes to `console`; the report's path is printed last, on standard output.

    Raises:
        BenchError: nothing was started, and why.
    """
    store = Store(options.results)
    page = options.reports / plan.experiment / "report.html"
    check_writable(page.parent)  # now, not after hours
    with store.lock(plan.experiment), _terminated_is_interrupted():
        for old, new in renamed.adopt(plan, store):
            note = "the same settings under another label (`bench sync` renames it in MLflow too)"
            _say(console, f"{old} is {new} now: {note}")
        choice = _choose(plan, store, options)
        _say(console, _describe(choice, len(plan.trials)))
        todo = [trial for trial in plan.trials if trial.id in set(choice.todo)]
        moved = other_data.moved(plan, choice.finished, store)
        outcome = Outcome()
        if todo or moved:
            outcome = _train_left(plan, todo, moved, store, options, console)
        else:
            _put_new_plan_on_record(plan, store)
    return _conclude(plan, choice, outcome, store, options, console)


def _choose(plan: Plan, store: Store, options: RunOptions) -> Choice:
    statuses = {
        trial.id: store.trial(plan.experiment, trial.id).status().status for trial in plan.trials
    }
    return choose(statuses, retry_failed=options.retry_failed, force=options.force)


def _train_left(
    plan: Plan,
    todo: Sequence[Trial],
    moved: Sequence[Trial],
    store: Store,
    options: RunOptions,
    console: Console,
) -> Outcome:
    """Prepare, put the plan on record, and run what is left of it.

    The data of the finished trials in `moved` is looked at again: it may not be what it was.
    """
    fetch_weights(todo)
    machine = plan.machine
    shares = divide(machine.device, options.jobs, machine.threads, len(todo))
    epochs = {trial.id: trial.settings.train.epochs for trial in todo}
    # importing MLflow and making its database takes seconds, as preparing does: side by side
    mirrored = _mirrored(store, plan.experiment, console)
    with display(console, epochs, plan.select.metric) as shown, mirrored as changed:
        beside = max((share.beside for share in shares), default=1)
        prepared = prepare([*todo, *moved], shown.preparing, beside)
        if not options.force:
            other_data.refuse(plan, prepared.fingerprints, store)
        for note in (*prepared.placements, *prepared.notes):
            _say(console, note)
        for caution in plan.cautions:
            _say(console, f"Careful: {caution}.")
        store.write_plan(plan.experiment, plan.record() | {"notes": list(prepared.notes)})
        _put_on_record([*todo, *moved], store, force=options.force)
        jobs = [_job(trial, plan, store, prepared.costs[trial.id]) for trial in todo]
        recorders = {job.trial.id: job.recorder for job in jobs}

        def observe(event: Event) -> None:
            if isinstance(event, Ended) and not event.recorded:
                recorder = recorders[event.trial]
                recorder.stop(event.status, event.failure, event.message)
            if isinstance(event, Ended | EpochDone):
                changed(store.trial(plan.experiment, event.trial))
            shown.observe(event)

        return run(jobs, LocalExecutor(shares), observe, fail_fast=options.fail_fast)


def _put_new_plan_on_record(plan: Plan, store: Store) -> None:
    """Nothing is to be run, but the spec may say something else than before."""
    before = store.plan(plan.experiment) or {}
    record = plan.record()
    if any(before.get(key) != value for key, value in record.items()):
        store.write_plan(plan.experiment, record | {"notes": before.get("notes", [])})


def _put_on_record(trials: Sequence[Trial], store: Store, *, force: bool) -> None:
    for trial in trials:
        files = store.trial(trial.experiment, trial.id)
        if force:
            files.clear()
        files.write_config(trial_config(trial))


def _job(trial: Trial, plan: Plan, store: Store, costs: Costs) -> Job:
    files = store.trial(trial.experiment, trial.id)
    recorder = TrialRecorder(files, plan.select.metric, plan.metrics, costs)
    return Job(trial, recorder, files.log)


@contextmanager
def _mirrored(store: Store, experiment: str, console: Console) -> Iterator[Callable[[Any], None]]:
    """Mirror to MLflow in the background; at the end wait for the rest, or say what is missing."""
    live = LiveMirror(Mirror(store), warn=lambda text: _say(console, text))
    try:
        yield live.changed
    finally:
        missing = live.close(MIRROR_SECONDS)
        if missing:
            _say(
                console, f"MLflow lacks {len(missing)} trials: `bench sync {experiment}` catches up"
            )


def _conclude(
    plan: Plan,
    choice: Choice,
    outcome: Outcome,
    store: Store,
    options: RunOptions,
    console: Console,
) -> ExitCode:
    if outcome.interrupted:
        left = len(choice.todo) - outcome.count(Status.DONE) - outcome.count(Status.FAILED)
        _say(console, f"Interrupted with {left} trials left: the same command goes on from here.")
        return ExitCode.INTERRUPTED
    failed = outcome.count(Status.FAILED) + len(choice.failed_before)
    done = outcome.count(Status.DONE) + len(choice.finished)
    if choice.todo:
        _say(console, f"{done} of {len(plan.trials)} trials done, {failed} failed.")
    if failed:
        _say(console, "Failed trials keep their log.txt; --retry-failed runs them again.")
    report = options.reports / plan.experiment / "report.html"
    if choice.todo or not is_current(store, plan.experiment, options.reports):
        report = make_report(store, plan.experiment, options.reports)
    print(report)
    return ExitCode.SOME_FAILED if failed else ExitCode.OK


def _describe(choice: Choice, total: int) -> str:
    if not choice.todo:
        failed = len(choice.failed_before)
        rest = f", {failed} failed before (--retry-failed runs them again)" if failed else ""
        return f"Nothing to run: {len(choice.finished)} of {total} trials are done{rest}."
    skipped = [
        f"{len(trials)} {why}"
        for trials, why in (
            (choice.finished, "done before"),
            (choice.failed_before, "failed before and left (--retry-failed runs them again)"),
        )
        if trials
    ]
    return ", ".join([f"{len(choice.todo)} of {total} trials to run", *skipped]) + "."


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """SIGTERM (a scheduler's end of time) stops a run as Ctrl-C does: resumable."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
