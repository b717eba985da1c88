"""What the store knows of earlier experiments, for plans that use their checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.analysis.membership import find_members
from bench.errors import BenchError, StoreError, UnconfirmedError
from bench.metric_columns import best_val, curve_metric
from bench.plan.earlier import LOST_BEST, Earlier, EarlierTrial, Lookup
from bench.plan.extractor import FindCheckpoint
from bench.plan.recorded import is_imported
from bench.plan.weights_mismatch import FUNCTION_CHANGING_SETTINGS
from bench.record.confirm import confirmed, verified_status
from bench.record.store import Store, TrialFiles
from bench.states import Status, how_to_finish
from bench.tasks.frechet_settings import FrechetSettings


def lookup(store: Store, specs: Path) -> Lookup:
    """Looks experiments up in the store; `specs` is the folder where their specs may lie."""

    def earlier(name: str) -> Earlier:
        try:
            store.existing(name)
        except StoreError as error:
            spec = specs / f"{name}.yaml"
            first = f"`bench run {spec}`" if spec.is_file() else "`bench run` its spec"
            raise BenchError(f"{error}; {first} first") from error
        plan = store.plan(name)
        if plan is None:
            raise BenchError(f"experiment {name!r} was not run here, and has no checkpoints")
        files = {trial.id: trial for trial in store.trials(name)}
        belong = find_members(plan, files).members
        trials = [trial for trial in belong if not is_imported(trial)]  # they have no checkpoints
        column = best_val(curve_metric(plan["select"]["metric"]))
        found = (_trial(trial, store.trial(name, trial["id"]), column) for trial in trials)
        return Earlier(name, plan["select"]["mode"], tuple(found))

    return earlier


def finished(store: Store) -> FindCheckpoint:
    """Finds trials by folder or id, and refuses those that are not finished."""

    def checkpoint(text: str) -> Path:
        try:
            files = store.find(text)
        except StoreError as error:
            reason = "it has no config.yaml" if Path(text).is_dir() else str(error)
            raise StoreError(
                f"{text!r} is neither a trial's folder nor its id ({reason}): name a finished one"
            ) from error
        if files.id != Path(text).name:  # a beginning may one day be another trial's too
            name = f"{files.experiment}/{files.id}"
            raise StoreError(f"{text!r} is only the beginning of {name}: write it whole")
        status = verified_status(files).status
        if status is not Status.DONE:
            raise StoreError(f"{files.folder}: is {status}, not done: {how_to_finish(status)}")
        if not files.best.is_file():
            raise StoreError(f"{files.folder}: {LOST_BEST}")
        return files.best

    return checkpoint


def check_extractor_works(frechet: FrechetSettings) -> None:
    """See whether a settled extractor gives features; a BenchError where it does not."""
    from bench.train.classifier import check_extractor_works as tried  # imports torch

    tried(frechet)


def _trial(record: Mapping[str, Any], files: TrialFiles, column: str) -> EarlierTrial:
    """A trial of the plan; its score where it is finished.

    A record that does not hold together has none.
    """
    summary: Mapping[str, Any] = {}
    if files.status().status is Status.DONE:
        with suppress(UnconfirmedError):
            summary = confirmed(files).summary
    return EarlierTrial(
        record["id"],
        record["seed"],
        record["axes"],
        record["arm"],
        summary.get(column),
        files.best,
        summary.get("data_fingerprint"),
        _trained_as(files.config().get("settings", {})),
        files.best.is_file(),
    )


def _trained_as(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a recorded trial's settings that say what function its weights are."""
    found = {path: settings.get(path[0], {}).get(path[1]) for path in FUNCTION_CHANGING_SETTINGS}
    return {".".join(path): value for path, value in found.items() if value is not None}
