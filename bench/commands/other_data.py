"""Trials of one identity that saw different data must not stand in one table.

Where data lies is no part of a trial's identity, and files change; so what a finished trial was
trained on is compared with what is there now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bench.errors import BenchError, DamagedError, UnconfirmedError
from bench.plan.expand import Plan
from bench.plan.trial import Trial, digest
from bench.record.confirm import standing
from bench.record.store import Store
from bench.states import Status


def moved(plan: Plan, finished: Collection[str], store: Store) -> list[Trial]:
    """Finished trials whose data was somewhere else when they were trained, or is not known."""
    return [trial for trial in plan.trials if trial.id in finished and _has_moved(trial, store)]


def refuse(plan: Plan, fingerprints: Mapping[str, str], store: Store) -> None:
    """Refuse to go on with finished trials that saw other data than `fingerprints` (by trial) tell.

    Raises:
        BenchError: how many, and what to do.
    """
    now = {
        _kind(trial): fingerprints[trial.id] for trial in plan.trials if trial.id in fingerprints
    }
    other = [trial.id for trial in plan.trials if _differs(trial, now.get(_kind(trial)), store)]
    if other:
        raise BenchError(
            f"{len(other)} finished trials of {plan.experiment!r} were trained on other data than "
            f"data.root holds now (the first: {other[0]}): give this experiment another name "
            "(experiment=…), or train them again with --force"
        )


def _has_moved(trial: Trial, store: Store) -> bool:
    try:
        config = store.trial(trial.experiment, trial.id).config()
    except DamagedError:
        return True  # what is looked at again is written again
    before = (config.get("settings") or {}).get("data")
    return bool(before != trial.settings.data.model_dump(mode="json"))


def _differs(trial: Trial, fingerprint: str | None, store: Store) -> bool:
    files = store.trial(trial.experiment, trial.id)
    if fingerprint is None:
        return False
    try:
        if standing(files).status is not Status.DONE:
            return False
    except UnconfirmedError:
        return False  # it does not count as finished
    return files.summary().get("data_fingerprint") not in (None, fingerprint)


def _kind(trial: Trial) -> str:
    """Trials of one kind are meant to see the same data."""
    return digest(trial.settings.data.identity())
