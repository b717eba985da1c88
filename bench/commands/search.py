"""`bench search`: ask for points, train them, choose, confirm what was chosen, report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from bench.commands.exit_codes import ExitCode
from bench.commands.reporting import check_writable, make_report
from bench.commands.run import finish_mirror
from bench.commands.search_call import Call, ResolvePlan, SearchOptions
from bench.commands.search_floor import Floor
from bench.commands.search_results import (
    told_best,
    told_states,
    unchanged_record,
    write_best,
    write_record,
)
from bench.commands.sharing import REPORT, kept_in_place
from bench.errors import BenchError, UnwritableError
from bench.interruption import interruptible
from bench.plan.plan import Plan
from bench.record.owners import Owner
from bench.record.store import Store
from bench.run.runner import Outcome, unrecordable

if TYPE_CHECKING:
    from bench.search.outcome import Confirmation
    from bench.search.request import SearchRequest
    from bench.search.study import SharedStudy

STUDY = "study"
"""Held by the process that has a study in SQLite."""
POINT = "point"
"""Held while a trial is made in a study, so that there are not more than were asked for."""


def run_search(
    asked: SearchRequest,
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
        call = Call(asked, samples, resolve, options, console, store, leases)
        with _joined(call) as study:
            try:
                return _search(call, study, Floor(call, study))
            except UnwritableError as error:
                away = study.study_storage.retry_policy.gave_up
                return _stopped(call, str(error) if away else unrecordable(error))


@contextmanager
def _joined(call: Call) -> Iterator[SharedStudy]:
    """Our part in the study, which is made where it is not there."""
    from bench.search.presence import StudyPresence
    from bench.search.storages import open_storage, storage_errors
    from bench.search.study import SharedStudy, StudyDefinition, join_study

    asked, search = call.asked, call.asked.space.search
    study_storage = open_storage(search.storage, call.options.results)
    study_storage.retry_policy.say = call.say
    if not study_storage.shared:
        _refuse_company(call, study_storage.name)
    held = call.samples.trials[0].fixed_settings
    definition = StudyDefinition(
        asked.space.record(), asked.objectives, search.seeds_per_trial, held
    )
    with storage_errors(study_storage.name):
        joined = join_study(study_storage, call.experiment, definition, asked.sampler, asked.pruner)
        number = study_storage.storage.get_study_id_from_name(call.experiment)
        direct = study_storage.direct or study_storage.storage
        with StudyPresence(
            direct, number, call.leases.owner, beating=study_storage.shared
        ) as presence:
            yield SharedStudy(
                study_storage,
                joined,
                presence,
                target=search.trials,
                creation_lock=lambda: call.leases.hold(POINT),
                say=call.say,
            )


def _refuse_company(call: Call, study_storage: str) -> None:
    """SQLite is for one process at a time; the lease goes back with all others in the end."""
    found = call.leases.claim(STUDY)
    if isinstance(found, Owner):
        raise BenchError(
            f"{call.experiment!r} is being searched by {found}, in {study_storage}, which allows "
            "one process at a time: search.storage=journal lets several share a search"
        )


def _search(call: Call, study: SharedStudy, floor: Floor) -> ExitCode:
    from bench.search.study import CHOSEN

    left = study.unfinished()
    done = f"{study.target - left} of {study.target} points are finished"
    call.say(f"Study {call.experiment!r} in {study.study_storage.name}: {done}.")
    ended_before = bool(study.optuna.user_attrs.get(CHOSEN)) and not call.options.more
    if left and ended_before:
        call.say("It was ended with fewer points than asked for; --timeout or --trials goes on.")
    elif left:
        outcome = floor.try_points()
        if outcome.interrupted:
            return _interrupted(call, study, outcome)
        if floor.late and _is_being_tried(study):
            call.say("Others are trying points still; the last one to end chooses.")
            return _conclude(call, study, floor, [], over=False)
    return _choose(call, study, floor)


def _is_being_tried(study: SharedStudy) -> bool:
    from bench.search.points import PointState, state_of

    return any(state_of(trial) is PointState.RUNNING for trial in study.trials())


def _choose(call: Call, study: SharedStudy, floor: Floor) -> ExitCode:
    """Choose, confirm, and write everything down."""
    from bench.search.selection import choose_points
    from bench.search.study import CHOSEN

    chosen = choose_points(
        study.trials(), call.asked.objectives, call.asked.space.search.num_chosen
    )
    numbers = [trial.number for trial in chosen]
    before = study.optuna.user_attrs.get(CHOSEN) or []
    if numbers and (not before or before[-1] != numbers):
        study.optuna.set_user_attr(CHOSEN, [*before, numbers])
    outcome, confirmations = floor.confirm(chosen)
    if outcome.interrupted:
        return _interrupted(call, study, outcome)
    return _conclude(call, study, floor, confirmations, over=True)


def _interrupted(call: Call, study: SharedStudy, outcome: Outcome) -> ExitCode:
    if study.study_storage.retry_policy.gave_up:
        return _stopped(call, outcome.reason)
    write_record(call, study, [], over=False)
    if outcome.reason:
        call.say(f"{outcome.reason[0].upper()}{outcome.reason[1:]}.")
    left = study.unfinished()
    what = f"{left} points left" if left else "the confirmation left"
    call.say(f"Interrupted with {what}: the same command goes on from here.")
    return ExitCode.INTERRUPTED


def _stopped(call: Call, reason: str | None) -> ExitCode:
    """Interrupted where the study cannot be asked what is left."""
    call.say(f"Interrupted: {reason}. Once it is back, the same command goes on from here.")
    return ExitCode.INTERRUPTED


def _conclude(
    call: Call,
    study: SharedStudy,
    floor: Floor,
    confirmations: Sequence[Confirmation],
    *,
    over: bool,
) -> ExitCode:
    if not floor.worked:
        finish_mirror(call.store, call.experiment, call.say)
    with call.leases.hold(REPORT):
        record = None if floor.worked or not over else unchanged_record(call)
        if record is None:
            floor.recall()
            record = write_record(call, study, confirmations, over=over)
            if over:
                write_best(call, study, record)
            make_report(call.store, call.experiment, call.options.reports)
    call.say(told_states(record))
    for line in told_best(call, record) if over else ():
        call.say(line)
    print(call.options.reports / call.experiment / "report.html")
    complete = any(trial["state"] == "complete" for trial in record["trials"])
    return ExitCode.OK if complete and not floor.broken else ExitCode.SOME_FAILED
