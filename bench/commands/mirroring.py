"""`bench sync`: to MLflow goes what the report counts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from bench.errors import StoreError
from bench.record.confirm import confirmed
from bench.record.directions import Mode
from bench.record.mlflow import Counts, Mirror
from bench.record.store import Store, TrialFiles


def sync_confirmed(store: Store, experiment: str | None = None) -> Counts:
    """Push what MLflow has not got of an experiment, or of all.

    Trials whose records contradict themselves are left out, and named in the counts' problems.

    Raises:
        MirrorError: MLflow failed; calling again goes on from there.
    """
    return Mirror(store).sync(experiment, confirmation(store))


def holds(store: Store, files: TrialFiles) -> bool:
    """Whether a trial's record holds together, so that MLflow may have it."""
    try:
        confirmation(store)(files)
    except StoreError:
        return False
    return True


def confirmation(store: Store) -> Callable[[TrialFiles], object]:
    """Checks a trial's record: raises a StoreError where it does not hold together."""

    @cache
    def metrics(experiment: str) -> dict[str, Mode]:
        return dict((store.plan(experiment) or {}).get("metrics") or {})

    return lambda files: confirmed(files, metrics=metrics(files.experiment))
