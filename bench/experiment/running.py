"""`bench run`: plan, prepare, train what is left, mirror, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from bench.errors import DamagedError, UnwritableError
from bench.exit_codes import ExitCode
from bench.experiment import changed_data, renamed_trials
from bench.experiment.budgeting import budgeted, check_budget, end_of_budget
from bench.experiment.current_run import CurrentRun, JobProgress, RunOptions
from bench.experiment.growth import Growth, grown
from bench.experiment.kinds_of_growth import growth_of
from bench.experiment.looks_log import keep_log
from bench.experiment.mirroring import behind, finish_mirror, mirrored
from bench.experiment.recording import observer
from bench.experiment.reports import check_writable, is_current, make_report
from bench.experiment.rounds import Rounds
from bench.experiment.shared_trials import REPORT, SETUP, kept_in_place, refuse_force
from bench.experiment.trial_setup import TrialSetup
from bench.experiment.until_settled import changed_looks, continued
from bench.interruption import interruptible
from bench.plan.plan import Plan
from bench.plan.pretrained import fetch_weights
from bench.plan.trial import Trial
from bench.record.store import Store, TrialStatus
from bench.run.backend import Backend, opened_backend
from bench.run.events import Decided, Event
from bench.run.progress import display, print_line
from bench.run.runner import JobSource, Outcome, TrialSelection, run, unrecordable
from bench.run.stage_bar import stage_bar
from bench.run.worker import Job
from bench.slurm.requeue import put_back
from bench.states import Status


def run_plan(plan: Plan, options: RunOptions, console: Console) -> ExitCode:
    """Train every trial of the plan that is not finished, then make the report.

    An experiment that grows goes on with the trials that its records ask for. Other runs of the
    experiment may be there, with this plan or another: they share the trials by their ids, and each
    waits for those of its plan that others have. `plan.json`, which the report follows, is that of
    the run which started last.

    Progress goes to `console`; the report's path is printed last, on standard output.

    Raises:
        BenchError: nothing was started, and why.
    """
    store = Store(options.results)
    check_budget(options)
    check_writable(options.reports / plan.experiment)  # now, not after hours
    with (
        _put_back_if_stopped(options, console) as job,
        store.leases(plan.experiment) as leases,
        kept_in_place(store, plan.experiment),
        ExitStack() as setup,
        interruptible(),
    ):
        here = CurrentRun(plan, options, console, store, leases, setup, job=job)
        try:
            return _run(here)
        except UnwritableError as error:  # before the first trial, after the last, in the report
            here.say(f"Interrupted: {unrecordable(error)}. The same command goes on from here.")
            return ExitCode.INTERRUPTED


@contextmanager
def _put_back_if_stopped(options: RunOptions, console: Console) -> Iterator[JobProgress]:
    """Put the Slurm job back into the queue, last of all, if it is to be: Slurm then ends it."""
    job = JobProgress()
    try:
        yield job
    except KeyboardInterrupt:
        job.stopped = True
        raise
    finally:
        if options.requeue and job.stopped:
            put_back(progressed=job.progressed, say=partial(print_line, console))


def _run(here: CurrentRun) -> ExitCode:
    options = here.options
    starting = "waiting for {}, which is starting this experiment, too"
    here.setup.enter_context(here.leases.hold(SETUP, lambda who: here.say(starting.format(who))))
    if options.force:
        refuse_force(here.plan.experiment, here.leases, here.say)
    others = here.leases.others()
    for old, new in renamed_trials.adopt(here.plan, here.store, others):
        note = "the same settings under another label (`bench sync` renames it in MLflow too)"
        here.say(f"{old} is {new} now: {note}")
    growth = growth_of(here.plan)
    if growth is not None and not options.force:
        _grow(here, growth)
    before, refused = here.verified_statuses(here.plan.trials)
    for trial, found in before.items():
        if found.status is Status.INTERRUPTED and found.message:
            here.say(f"{trial} goes on; before: {found.message}")
    if options.force:
        before |= dict.fromkeys(refused, TrialStatus(Status.PLANNED))
        refused = {}
    for error in refused.values():
        here.say(f"Not counted, and left as it is: {error} (or --force trains all trials anew).")
    statuses = {trial: found.status for trial, found in before.items()}
    here.select(statuses, refused, force=options.force)
    here.say(_describe(here.selection, len(here.plan.trials), len(refused)))
    todo = [trial for trial in here.plan.trials if trial.id in set(here.selection.todo)]
    if todo and others:
        here.say(f"Sharing them with {', '.join(map(str, others))}.")
    finished = here.selection.finished
    moved = changed_data.moved_trials(here.plan, finished, here.store, here.confirmed)
    outcome = Outcome()
    if todo or moved:
        outcome = _train_left(here, todo, moved, before, growth)
    else:
        _put_new_plan_on_record(here.plan, here.store)
        here.setup.close()
        finish_mirror(here.store, here.plan.experiment, here.say)
    return _conclude(here, outcome)


def _grow(here: CurrentRun, growth: Growth) -> None:
    """Plan what the records ask for by now."""
    here.plan = continued(here.plan, here.store)
    here.plan, decided = grown(here.plan, growth, here.store)
    changed = keep_log(here.store, here.plan.experiment, decided.log)
    here.decided = decided.summary
    for line in (*changed_looks(here.plan), *changed, *decided.lines):
        here.say(line)


def _train_left(
    here: CurrentRun,
    todo: Sequence[Trial],
    moved: Sequence[Trial],
    before: Mapping[str, TrialStatus],
    growth: Growth | None,
) -> Outcome:
    """Prepare, put the plan on record, and run what is left of it and what it grows by.

    The data of the finished trials in `moved` is looked at again: it may not be what it was.
    """
    plan, options = here.plan, here.options
    fetch_weights(todo)
    count = len(todo) + len(plan.further)
    epochs = {trial.id: trial.settings.train.epochs for trial in todo}
    # importing MLflow and making its database takes seconds, as preparing does: side by side
    shown_on = display(here.console, epochs, plan.select.metric)
    with (
        opened_backend(
            options.executor,
            plan.machine,
            todo,
            count,
            options.jobs,
            here.say,
            shared=here.leases.own_file,
        ) as backend,
        shown_on as shown,
        mirrored(here.store, plan.experiment, here.say) as changed,
    ):
        for files in behind(here.store, plan.experiment):
            changed(files)
        setup = TrialSetup(here, shown.preparing, backend, epochs)
        first = setup.first(todo, moved, before)
        here.setup.close()
        observe = here.job.observing(observer(setup.recorders, changed, shown.observe))
        work = _work(here, first, growth, backend, setup, epochs, observe)
        return run(
            work.first,
            backend.executor(options.limits),
            work.observe,
            claims=setup.claims,
            source=work.source,
            fail_fast=options.fail_fast,
            retries=options.retries,
            waits=options.waits,
        )


class _Work(NamedTuple):
    """What the runner does: these jobs, then those of a source; and the observer of events."""

    first: Sequence[Job]
    source: JobSource | None
    observe: Callable[[Event], None]


def _work(
    here: CurrentRun,
    first: Sequence[Job],
    growth: Growth | None,
    backend: Backend,
    setup: TrialSetup,
    epochs: dict[str, int],
    observe: Callable[[Event], None],
) -> _Work:
    """The first jobs, with those of later rounds where there are any, as far as a budget goes."""
    source: JobSource | None = None
    if growth is not None:
        ids = [job.trial.id for job in first]
        rounds = source = Rounds(here.plan, growth, here.store, setup.further, ids)
        observe(Decided((), here.decided))
        observe = rounds.observing(observe)
    if first and here.options.budget is not None:
        source = here.budgeted = budgeted(here, first, source, backend, setup, epochs)
        observe, first = here.budgeted.observing(observe), []
    return _Work(first, source, observe)


def _put_new_plan_on_record(plan: Plan, store: Store) -> None:
    """Nothing is to be run, but the spec may say something else than before."""
    before: Mapping[str, Any] = {}
    with suppress(DamagedError):
        before = store.plan(plan.experiment) or {}
    record = plan.record()
    if any(before.get(key) != value for key, value in record.items()):
        store.write_plan(plan.experiment, record | {"notes": before.get("notes", [])})


def _conclude(here: CurrentRun, outcome: Outcome) -> ExitCode:
    selection, refused = here.selection, here.refused
    if outcome.interrupted:
        left = len(selection.todo) - outcome.count(Status.DONE) - outcome.count(Status.FAILED)
        if outcome.reason:
            here.say(f"{outcome.reason[0].upper()}{outcome.reason[1:]}.")
        here.say(f"Interrupted with {left} trials left: the same command goes on from here.")
        here.job.stopped = not outcome.reason
        return ExitCode.INTERRUPTED
    if here.budgeted is not None and here.budgeted.used_up:
        end_of_budget(here, outcome)
    failed = outcome.count(Status.FAILED) + len(selection.failed_before)
    done = outcome.count(Status.DONE) + len(selection.finished)
    if selection.todo:
        here.say(f"{done} of {len(here.plan.trials)} trials done, {failed} failed.")
    if failed:
        here.say("Failed trials keep their log.txt; --retry-failed runs them again.")
    if outcome.left:
        here.say(f"{outcome.left} trials are run by others: the last one makes the report.")
    else:
        print(_report(here, anew=bool(refused)))
    return ExitCode.SOME_FAILED if failed or refused else ExitCode.OK


def _report(here: CurrentRun, *, anew: bool) -> Path:
    """Make the report, unless another run does just now; without `anew`, only an outdated one.

    Of several runs that end at a time, one makes it.
    """
    experiment, reports = here.plan.experiment, here.options.reports
    before = _changed_at(here.page)
    with here.leases.hold(REPORT):
        others_did = _changed_at(here.page) != before
        if others_did or (not anew and is_current(here.store, experiment, reports)):
            if here.selection.todo:
                here.say("Another run has made the report.")
            return here.page
        with stage_bar(here.console):
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
