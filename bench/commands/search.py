"""`bench search`: ask for points, train them, choose, confirm what was chosen, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from bench.errors import BenchError, UnwritableError
from bench.exit_codes import ExitCode
from bench.experiment.mirroring import finish_mirror
from bench.experiment.reports import check_writable, make_report
from bench.experiment.resolving import ResolvePlan
from bench.experiment.shared_trials import REPORT, kept_in_place
from bench.interruption import interruptible
from bench.plan.plan import Plan
from bench.record.owners import Owner
from bench.record.store import Store
from bench.run.runner import Outcome, unrecordable
from bench.run.stage_bar import stage_bar
from bench.search.context import SearchContext, SearchOptions
from bench.search.execution import SearchExecution
from bench.search.results import (
    best_lines,
    states_line,
    unchanged_record,
    write_best,
    write_record,
)

if TYPE_CHECKING:
    from bench.search.outcome import Confirmation
    from bench.search.request import SearchRequest
    from bench.search.study import SharedStudy

STUDY = "study"
"""Held by the process that has a study in SQLite."""
POINT = "point"
"""Held while a trial is made in a study, so that there are not more than were asked for."""


def run_search(
    request: SearchRequest,
    samples: Plan,
    resolve: ResolvePlan,
    options: SearchOptions,
    console: Console,
) -> ExitCode:
    """Try points until there are as many as were asked for, and train the best again.

    Other processes may be there with the same study, on this machine or another. The report's path
    is printed last, on standard output.

    Raises:
        BenchError: nothing was started, and why.
    """
    store = Store(options.results)
    check_writable(options.reports / samples.experiment)  # now, not after hours
    experiment = samples.experiment
    with (
        store.leases(experiment) as leases,
        kept_in_place(store, experiment),
        interruptible(),
    ):
        context = SearchContext(request, samples, resolve, options, console, store, leases)
        with _joined(context) as study:
            try:
                return _search(context, study, SearchExecution(context, study))
            except UnwritableError as error:
                away = study.study_storage.retry_policy.gave_up
                return _stopped(context, str(error) if away else unrecordable(error))


@contextmanager
def _joined(context: SearchContext) -> Iterator[SharedStudy]:
    """Our part in the study, which is made where it is not there."""
    from bench.search.presence import StudyPresence
    from bench.search.storages import open_storage, storage_errors
    from bench.search.study import SharedStudy, StudyDefinition, join_study

    request, search = context.request, context.request.space.search
    study_storage = open_storage(search.storage, context.options.results)
    study_storage.retry_policy.say = context.say
    if not study_storage.shared:
        _refuse_company(context, study_storage.name)
    held = context.samples.trials[0].fixed_settings
    definition = StudyDefinition(
        request.space.record(), request.objectives, search.seeds_per_trial, held
    )
    with storage_errors(study_storage.name):
        joined = join_study(
            study_storage, context.experiment, definition, request.sampler, request.pruner
        )
        number = study_storage.storage.get_study_id_from_name(context.experiment)
        direct = study_storage.direct or study_storage.storage
        with StudyPresence(
            direct, number, context.leases.owner, beating=study_storage.shared
        ) as presence:
            yield SharedStudy(
                study_storage,
                joined,
                presence,
                target=search.trials,
                creation_lock=lambda: context.leases.hold(POINT),
                say=context.say,
            )


def _refuse_company(context: SearchContext, study_storage: str) -> None:
    """SQLite is for one process at a time; the lease goes back with all others in the end."""
    found = context.leases.claim(STUDY)
    if isinstance(found, Owner):
        raise BenchError(
            f"{context.experiment!r} is being searched by {found}, in {study_storage}, which "
            "allows one process at a time: search.storage=journal lets several share a search"
        )


def _search(context: SearchContext, study: SharedStudy, execution: SearchExecution) -> ExitCode:
    from bench.search.points import PointState, state_of
    from bench.search.study import CHOSEN

    left = study.unfinished()
    done = f"{study.target - left} of {study.target} points are finished"
    context.say(f"Study {context.experiment!r} in {study.study_storage.name}: {done}.")
    ended_before = bool(study.optuna.user_attrs.get(CHOSEN)) and not context.options.more
    if left and ended_before:
        context.say("It was ended with fewer points than asked for; --timeout or --trials goes on.")
    elif left:
        outcome = execution.try_points()
        if outcome.interrupted:
            return _interrupted(context, study, outcome)
        running = any(state_of(trial) is PointState.RUNNING for trial in study.trials())
        if execution.late and running:
            context.say("Others are trying points still; the last one to end chooses.")
            return _conclude(context, study, execution, [], over=False)
    return _choose(context, study, execution)


def _choose(context: SearchContext, study: SharedStudy, execution: SearchExecution) -> ExitCode:
    """Choose, confirm, and write everything down."""
    from bench.search.selection import choose_points
    from bench.search.study import CHOSEN

    chosen = choose_points(
        study.trials(), context.request.objectives, context.request.space.search.num_chosen
    )
    numbers = [trial.number for trial in chosen]
    before = study.optuna.user_attrs.get(CHOSEN) or []
    if numbers and (not before or before[-1] != numbers):
        study.optuna.set_user_attr(CHOSEN, [*before, numbers])
    outcome, confirmations = execution.confirm(chosen)
    if outcome.interrupted:
        return _interrupted(context, study, outcome)
    return _conclude(context, study, execution, confirmations, over=True)


def _interrupted(context: SearchContext, study: SharedStudy, outcome: Outcome) -> ExitCode:
    if study.study_storage.retry_policy.gave_up:
        return _stopped(context, outcome.reason)
    write_record(context, study, [], over=False)
    if outcome.reason:
        context.say(f"{outcome.reason[0].upper()}{outcome.reason[1:]}.")
    left = study.unfinished()
    what = f"{left} points left" if left else "the confirmation left"
    context.say(f"Interrupted with {what}: the same command goes on from here.")
    return ExitCode.INTERRUPTED


def _stopped(context: SearchContext, reason: str | None) -> ExitCode:
    """Interrupted where the study cannot be asked what is left."""
    context.say(f"Interrupted: {reason}. Once it is back, the same command goes on from here.")
    return ExitCode.INTERRUPTED


def _conclude(
    context: SearchContext,
    study: SharedStudy,
    execution: SearchExecution,
    confirmations: Sequence[Confirmation],
    *,
    over: bool,
) -> ExitCode:
    if not execution.worked:
        finish_mirror(context.store, context.experiment, context.say)
    with context.leases.hold(REPORT):
        record = None if execution.worked or not over else unchanged_record(context)
        if record is None:
            execution.replan()
            record = write_record(context, study, confirmations, over=over)
            if over:
                write_best(context, study, record)
            with stage_bar(context.console):
                make_report(context.store, context.experiment, context.options.reports)
    context.say(states_line(record))
    for line in best_lines(context, record) if over else ():
        context.say(line)
    print(context.options.reports / context.experiment / "report.html")
    complete = any(trial["state"] == "complete" for trial in record["trials"])
    return ExitCode.OK if complete and not execution.broken else ExitCode.SOME_FAILED
