"""`bench sync`: to MLflow goes what the report counts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from bench.errors import StoreError
from bench.experiment.shared_trials import has_vanished
from bench.record.confirm import confirmed
from bench.record.directions import Mode
from bench.record.live import LiveMirror
from bench.record.mlflow import Mirror, SyncCounts
from bench.record.mlflow_record import is_behind
from bench.record.store import Store, TrialFiles

MIRROR_SECONDS = 60.0
SILENT_SECONDS = 1.0
"""Of waiting for MLflow, which are not worth a word."""


def sync_confirmed(store: Store, experiment: str | None = None) -> SyncCounts:
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


@contextmanager
def mirrored(
    store: Store, experiment: str, say: Callable[[str], None]
) -> Iterator[Callable[[TrialFiles], None]]:
    """Mirror to MLflow in the background; at the end wait for the rest, or say what is missing."""

    def warn(text: str) -> None:
        if not has_vanished(store):  # that is said by itself, and MLflow is the least of it
            say(text)

    live = LiveMirror(Mirror(store), warn=warn)
    try:
        yield live.changed
    finally:
        missing = live.close(SILENT_SECONDS)
        if has_vanished(store):
            missing = []
        if missing:
            say(
                f"Waiting for MLflow to take {len(missing)} trials, {MIRROR_SECONDS:.0f} s at most."
            )
            missing = live.close(MIRROR_SECONDS)
        if missing:
            remedy = f"`bench sync {experiment}` catches up"
            say(f"MLflow does not have all of {len(missing)} trials: {remedy}")


def behind(store: Store, experiment: str) -> list[TrialFiles]:
    """Trials that ended in a call which was killed before it could tell MLflow all of them."""
    return [files for files in store.trials(experiment) if is_behind(files) and holds(store, files)]


def finish_mirror(store: Store, experiment: str, say: Callable[[str], None]) -> None:
    """Tell MLflow what an earlier call could not, where nothing is trained. Nothing: no MLflow."""
    if left := behind(store, experiment):
        say(f"MLflow does not have all of {len(left)} trials: pushing them.")
        with mirrored(store, experiment, say) as changed:
            for files in left:
                changed(files)
