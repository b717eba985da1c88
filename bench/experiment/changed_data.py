"""Trials of one identity that saw different data must not stand in one table.

Where data lies is no part of a trial's identity, and files change; so what a finished trial was
trained on is compared with what is there now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bench.errors import BenchError, DamagedError, UnconfirmedError
from bench.plan.plan import Plan
from bench.plan.trial import Trial, digest
from bench.record.confirm import standing
from bench.record.confirmed_index import ConfirmedIndex
from bench.record.store import Store
from bench.states import Status


def moved_trials(
    plan: Plan, finished: Collection[str], store: Store, confirmed: ConfirmedIndex | None = None
) -> list[Trial]:
    """Finished trials whose data was somewhere else when they were trained, or is not known.

    What `confirmed` knows of them is not read again.
    """
    arms = {id(trial.settings): trial for trial in plan.trials}  # all seeds of an arm share one
    data = {key: digest(t.settings.data.model_dump(mode="json")) for key, t in arms.items()}

    def before(trial: Trial) -> str | None:
        known = None if confirmed is None else confirmed.data_digest(trial.id)
        return known or _data(trial, store)

    those = set(finished)
    return [t for t in plan.trials if t.id in those and before(t) != data[id(t.settings)]]


def refuse_changed_data(plan: Plan, fingerprints: Mapping[str, str], store: Store) -> None:
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
            "data.root holds now, or an earlier version read them otherwise (the first: "
            f"{other[0]}): give this experiment another name (experiment=…), or train them again "
            "with --force"
        )


def _data(trial: Trial, store: Store) -> str | None:
    """`digest` of the data settings that a trial was recorded with."""
    try:
        config = store.trial(trial.experiment, trial.id).config()
    except DamagedError:
        return None  # what is looked at again is written again
    return digest((config.get("settings") or {}).get("data"))


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
