"""Trials whose labels were renamed in the spec: the same settings under a new name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.errors import BenchError, StoreError
from bench.plan.expand import trial_config
from bench.plan.plan import Plan
from bench.plan.recorded import check_identity
from bench.plan.trial import Trial
from bench.record.store import Store, TrialFiles


def adopt(plan: Plan, store: Store, others: Sequence[object] = ()) -> list[tuple[str, str]]:
    """Rename recorded trials that the plan has under other labels; returns old and new ids.

    An id ends in the seed and a hash of the settings, so the end tells that a trial is the same.

    Raises:
        BenchError: there are such trials, and `others` run the experiment under their old names.
    """
    recorded = {files.id: files for files in store.trials(plan.experiment)}
    trials = (*plan.trials, *plan.further)
    _refresh_varied([(trial, recorded[trial.id]) for trial in trials if trial.id in recorded])
    planned = {trial.id for trial in trials}
    if planned <= recorded.keys():
        return []
    unplanned = [files for name, files in recorded.items() if name not in planned]
    spare = {_same(files.id): files for files in unplanned if _is_itself(files)}
    renamed = []
    for trial in trials:
        if trial.id not in recorded and (files := spare.pop(_same(trial.id), None)):
            if others:
                raise BenchError(
                    f"{files.id} is called {trial.id} now, but {others[0]} is running "
                    f"{plan.experiment!r}: wait for it, or stop it first"
                )
            files.write_config(trial_config(trial))  # first: killed after it, the next run goes on
            files.folder.rename(files.folder.with_name(trial.id))
            renamed.append((files.id, trial.id))
    return renamed


def _refresh_varied(trials: Iterable[tuple[Trial, TrialFiles]]) -> None:
    """Let recorded trials know what a design varies by now, a component having been added to it.

    Their ids stay, but which settings all trials of the design share is another question.
    """
    for trial, files in trials:
        if not trial.varied:
            continue
        try:
            config = files.config()
            check_identity(config, trial.id, trial.experiment)
        except StoreError:
            continue  # it is reported where trials are confirmed
        if tuple(config.get("varied", ())) != trial.varied:
            files.write_config(trial_config(trial))


def _is_itself(files: TrialFiles) -> bool:
    """Whether config.yaml makes the hash that the folder's name ends in, whatever the labels."""
    try:
        config = files.config()
        check_identity(config, str(config.get("id")), files.experiment)
    except StoreError:
        return False
    return _same(str(config["id"])) == _same(files.id)


def _same(trial: str) -> tuple[str, ...]:
    """Seed and hash."""
    return tuple(trial.split("-")[-2:])
