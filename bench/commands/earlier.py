"""What the store knows of an earlier experiment, for plans that start from its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import BenchError, StoreError
from bench.plan.pretrained import Earlier, EarlierTrial, Lookup
from bench.record.store import Store, TrialFiles
from bench.report.membership import belonging
from bench.states import Status


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
        trials, _ = belonging(plan, files)
        column = "best_" + plan["select"]["metric"].replace("/", "_")
        found = (_trial(trial, store.trial(name, trial["id"]), column) for trial in trials)
        return Earlier(name, plan["select"]["mode"], tuple(found))

    return earlier


def _trial(record: Mapping[str, Any], files: TrialFiles, column: str) -> EarlierTrial:
    """A trial of the plan; its score where it is finished and its checkpoint is there."""
    finished = files.status().status is Status.DONE and files.best.is_file()
    summary = files.summary() if finished else {}
    return EarlierTrial(
        record["id"],
        record["seed"],
        record["axes"],
        record["arm"],
        summary.get(column),
        files.best,
        summary.get("data_fingerprint"),
    )
