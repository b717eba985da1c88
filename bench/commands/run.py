"""`bench run`: plan, prepare, train what is left, mirror, report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.commands.exit_codes import ExitCode
from bench.commands.reporting import check_writable, make_report
from bench.errors import DamagedError, UnconfirmedError, UnwritableError, printable
from bench.experiment import changed_data, renamed_trials
from bench.experiment.mirroring import behind, finish_mirror, mirrored
from bench.experiment.recording import observer
from bench.experiment.report_age import is_current
from bench.experiment.shared_trials import (
    REPORT,
    SETUP,
    SharedTrials,
    kept_in_place,
    refuse_force,
)
from bench.experiment.surveys import keep_surveys
from bench.interruption import interruptible
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.pretrained import fetch_weights
from bench.plan.trial import Trial
from bench.record.confirmed_index import ConfirmedIndex
from bench.record.leases import Leases
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.run.executors.local import LocalExecutor
from bench.run.forecast import max_trials_per_gpu
from bench.run.limits import Limits
from bench.run.prepare import Costs, prepare
from bench.run.progress import display
from bench.run.resources import assign_devices
from bench.run.retries import RETRIES
from bench.run.runner import Outcome, TrialSelection, run, select_trials, unrecordable
from bench.run.worker import Job
from bench.states import Status


@dataclass(frozen=True)
class RunOptions:
    """What the command line says besides the spec."""

    results: Path
    reports: Path
    jobs: int | None = None
    retry_failed: bool = False
    force: bool = False
    fail_fast: bool = False
    limits: Limits = field(default_factory=Limits)
    retries: int = RETRIES
    keep_last: bool = False


@dataclass(frozen=True)
class _Run:
    """One `run` and its part in the experiment; `setup` is closed once others may start, too."""

    plan: Plan
    options: RunOptions
    console: Console
    store: Store
    leases: Leases
    setup: ExitStack

    @cached_property
    def confirmed(self) -> ConfirmedIndex:
        """Which finished trials need not be read again."""
        return ConfirmedIndex(self.store.experiment(self.plan.experiment))

    @property
    def page(self) -> Path:
        """The report's."""
        return self.options.reports / self.plan.experiment / "report.html"

    def say(self, text: str) -> None:
        """A line for a person."""
        self.console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def files(self, trial: Trial) -> TrialFiles:
        """A trial's."""
        return self.store.trial(trial.experiment, trial.id)

    def verified_statuses(
        self, trials: Iterable[Trial]
    ) -> tuple[dict[str, TrialStatus], dict[str, UnconfirmedError]]:
        """By id: how far the trials are, and of some why nothing that is recorded is counted."""
        found: dict[str, TrialStatus] = {}
        refused: dict[str, UnconfirmedError] = {}
        for trial in trials:
            try:
                found[trial.id] = self.confirmed.verified_status(self.files(trial))
            except UnconfirmedError as error:
                refused[trial.id] = error
        self.confirmed.save()
        return found, refused


def run_plan(plan: Plan, options: RunOptions, console: Console) -> ExitCode:
    """Train every trial of the plan that is not finished, then make the report.

    Other runs of the experiment may be there, with this plan or another: they share the trials by
    their ids, and each waits for those of its plan that others have. `plan.json`, which the report
    follows, is that of the run which started last.

    Progress goes to `console`; the report's path is printed last, on standard output.

    Raises:
        BenchError: nothing was started, and why.
    """
    store = Store(options.results)
    check_writable(options.reports / plan.experiment)  # now, not after hours
    with (
        store.leases(plan.experiment) as leases,
        kept_in_place(store, plan.experiment),
        ExitStack() as setup,
        interruptible(),
    ):
        here = _Run(plan, options, console, store, leases, setup)
        try:
            return _run(here)
        except UnwritableError as error:  # before the first trial, after the last, in the report
            here.say(f"Interrupted: {unrecordable(error)}. The same command goes on from here.")
            return ExitCode.INTERRUPTED


def _run(here: _Run) -> ExitCode:
    plan, options = here.plan, here.options
    starting = "waiting for {}, which is starting this experiment, too"
    here.setup.enter_context(here.leases.hold(SETUP, lambda who: here.say(starting.format(who))))
    if options.force:
        refuse_force(plan.experiment, here.leases, here.say)
    others = here.leases.others()
    for old, new in renamed_trials.adopt(plan, here.store, others):
        note = "the same settings under another label (`bench sync` renames it in MLflow too)"
        here.say(f"{old} is {new} now: {note}")
    before, refused = here.verified_statuses(plan.trials)
    for trial, found in before.items():
        if found.status is Status.INTERRUPTED and found.message:
            here.say(f"{trial} goes on; before: {found.message}")
    if options.force:
        before |= dict.fromkeys(refused, TrialStatus(Status.PLANNED))
        refused = {}
    for error in refused.values():
        here.say(f"Not counted, and left as it is: {error} (or --force trains all trials anew).")
    statuses = {trial: found.status for trial, found in before.items()}
    selection = select_trials(statuses, retry_failed=options.retry_failed, force=options.force)
    here.say(_describe(selection, len(plan.trials), len(refused)))
    todo = [trial for trial in plan.trials if trial.id in set(selection.todo)]
    if todo and others:
        here.say(f"Sharing them with {', '.join(map(str, others))}.")
    moved = changed_data.moved_trials(plan, selection.finished, here.store, here.confirmed)
    outcome = Outcome()
    if todo or moved:
        outcome = _train_left(here, todo, moved, before)
    else:
        _put_new_plan_on_record(plan, here.store)
        here.setup.close()
        finish_mirror(here.store, plan.experiment, here.say)
    return _conclude(here, selection, outcome, len(refused))


def _train_left(
    here: _Run,
    todo: Sequence[Trial],
    moved: Sequence[Trial],
    before: Mapping[str, TrialStatus],
) -> Outcome:
    """Prepare, put the plan on record, and run what is left of it.

    The data of the finished trials in `moved` is looked at again: it may not be what it was.
    """
    plan, options = here.plan, here.options
    fetch_weights(todo)
    machine = plan.machine
    max_per_gpu = max_trials_per_gpu(todo, here.say)
    resources = assign_devices(
        machine.device, options.jobs, machine.threads, len(todo), max_per_gpu
    )
    if options.jobs and len(resources) < min(options.jobs, len(todo)):
        here.say(f"{len(resources)} trials at a time, not {options.jobs}: no more fit on the GPUs.")
    epochs = {trial.id: trial.settings.train.epochs for trial in todo}
    # importing MLflow and making its database takes seconds, as preparing does: side by side
    shown_on = display(here.console, epochs, plan.select.metric)
    with shown_on as shown, mirrored(here.store, plan.experiment, here.say) as changed:
        for files in behind(here.store, plan.experiment):
            changed(files)
        trials_per_device = max((resources.trials_per_device for resources in resources), default=1)
        prepared = prepare([*todo, *moved], shown.preparing, trials_per_device)
        if not options.force:
            changed_data.refuse_changed_data(plan, prepared.fingerprints, here.store)
        changed_data.keep_stamps(plan, here.store)
        for note in (*prepared.placements, *prepared.notes):
            here.say(note)
        for caution in plan.warnings:
            here.say(f"Warning: {caution}.")
        for line in keep_surveys(here.store, plan, prepared.surveys):
            here.say(line)
        here.store.write_plan(plan.experiment, plan.record() | {"notes": list(prepared.notes)})
        recorders = {trial.id: _recorder(here, trial, prepared.costs[trial.id]) for trial in todo}
        claims = _put_on_record(here, todo, moved, before, recorders)
        here.setup.close()
        return run(
            [Job(trial, recorders[trial.id], recorders[trial.id].files.log) for trial in todo],
            LocalExecutor(resources, options.limits),
            observer(recorders, changed, shown.observe),
            claims=claims,
            fail_fast=options.fail_fast,
            retries=options.retries,
        )


def _put_new_plan_on_record(plan: Plan, store: Store) -> None:
    """Nothing is to be run, but the spec may say something else than before."""
    before: Mapping[str, Any] = {}
    with suppress(DamagedError):
        before = store.plan(plan.experiment) or {}
    record = plan.record()
    if any(before.get(key) != value for key, value in record.items()):
        store.write_plan(plan.experiment, record | {"notes": before.get("notes", [])})


def _put_on_record(
    here: _Run,
    todo: Sequence[Trial],
    moved: Sequence[Trial],
    before: Mapping[str, TrialStatus],
    recorders: Mapping[str, TrialRecorder],
) -> SharedTrials:
    """Write what is asked for, but for trials that other runs have, or have had since `before`."""
    theirs = here.store.running(here.plan.experiment)
    now, refused = here.verified_statuses(todo)
    theirs |= {key for key, status in now.items() if status != before[key]}
    theirs |= set() if here.options.force else refused.keys()
    for trial in [*todo, *moved]:
        if here.options.force:
            here.files(trial).clear()
        if trial.id not in theirs:
            here.files(trial).write_config(trial_config(trial))
    if here.options.force:
        before, _ = here.verified_statuses(todo)
    unwritten = {trial.id: trial for trial in todo if trial.id in theirs}
    return SharedTrials(here.leases, recorders, before, unwritten)


def _recorder(here: _Run, trial: Trial, costs: Costs) -> TrialRecorder:
    select, metrics, keep = here.plan.select.metric, here.plan.metrics, here.options.keep_last
    return TrialRecorder(here.files(trial), select, metrics, costs, keep_last=keep)


def _conclude(here: _Run, selection: TrialSelection, outcome: Outcome, refused: int) -> ExitCode:
    if outcome.interrupted:
        left = len(selection.todo) - outcome.count(Status.DONE) - outcome.count(Status.FAILED)
        if outcome.reason:
            here.say(f"{outcome.reason[0].upper()}{outcome.reason[1:]}.")
        here.say(f"Interrupted with {left} trials left: the same command goes on from here.")
        return ExitCode.INTERRUPTED
    failed = outcome.count(Status.FAILED) + len(selection.failed_before)
    done = outcome.count(Status.DONE) + len(selection.finished)
    if selection.todo:
        here.say(f"{done} of {len(here.plan.trials)} trials done, {failed} failed.")
    if failed:
        here.say("Failed trials keep their log.txt; --retry-failed runs them again.")
    print(_report(here, anew=bool(selection.todo or refused)))
    return ExitCode.SOME_FAILED if failed or refused else ExitCode.OK


def _report(here: _Run, *, anew: bool) -> Path:
    """Make the report, unless another run does just now; without `anew`, only an outdated one."""
    experiment, reports = here.plan.experiment, here.options.reports
    before = _changed_at(here.page)
    with here.leases.hold(REPORT):
        others_did = _changed_at(here.page) != before
        if others_did or (not anew and is_current(here.store, experiment, reports)):
            return here.page
        return make_report(here.store, experiment, reports)


def _changed_at(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.exists() else None


def _describe(selection: TrialSelection, total: int, refused: int) -> str:
    not_counted = f"{refused} not counted (see above)"
    if not selection.todo:
        failed = len(selection.failed_before)
        rest = f", {failed} failed before (--retry-failed runs them again)" if failed else ""
        rest += f", {not_counted}" if refused else ""
        return f"Nothing to run: {len(selection.finished)} of {total} trials are done{rest}."
    skipped = [
        f"{len(trials)} {why}"
        for trials, why in (
            (selection.finished, "done before"),
            (selection.failed_before, "failed before and left (--retry-failed runs them again)"),
        )
        if trials
    ]
    skipped += [not_counted] if refused else []
    return ", ".join([f"{len(selection.todo)} of {total} trials to run", *skipped]) + "."
