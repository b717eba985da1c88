"""How long finished trials took, by their own records: better than any measurement."""

from __future__ import annotations

import importlib.metadata
import itertools
import math
import socket
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bench.errors import StoreError
from bench.history_row import HistoryRow
from bench.measure.devices import cpu_count, gpu_names
from bench.measure.duration import Duration, half_range, mean_duration
from bench.measure.environment import cpu_model
from bench.plan.trial import Trial
from bench.record.confirm import verified_status
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.run.worker import WorkerResources
from bench.states import Status

MOST_TRIALS = 5
"""Finished trials of a kind that are looked at: more say hardly more."""


def recorded_durations(
    kinds: Mapping[str, Sequence[Trial]],
    store: Store,
    experiment: str,
    resources: Sequence[WorkerResources],
) -> dict[str, Duration]:
    """Of each kind of trials what its finished ones took on this machine, as many at a time.

    Trials that went on after an interruption count with their epochs; where no trial of a kind ran
    through, nothing says what its start and its end take, and the kind is left out.
    """
    found = {}
    for kind, trials in kinds.items():
        of_kind = (
            _recorded(store.trial(experiment, trial.id), trial, resources) for trial in trials
        )
        known = list(itertools.islice((one for one in of_kind if one is not None), MOST_TRIALS))
        whole = [one for one in known if not math.isnan(one.end)]
        if whole:
            end = statistics.fmean(one.end for one in whole)
            known = [replace(one, end=end) if math.isnan(one.end) else one for one in known]
            found[kind] = mean_duration(known)
    return found


def _recorded(
    files: TrialFiles, trial: Trial, resources: Sequence[WorkerResources]
) -> Duration | None:
    """What one trial took; None: it is not finished, or ran under other conditions."""
    try:
        if not files.status_path.exists():
            return None
        status = verified_status(files)
        environment, devices = files.environment(), trial.settings.train.devices
        if environment.get("devices", 1) != devices or not _is_alike(environment, resources):
            return None
        if status.status is not Status.DONE:
            return None
        return duration_of(files.history(), status, trial.settings.train.unfreeze_epoch)
    except StoreError:
        return None


def duration_of(
    history: Sequence[HistoryRow], status: TrialStatus, unfreeze_epoch: int | None = None
) -> Duration | None:
    """Seconds of a finished trial's parts; None: its history does not tell.

    What it took besides its epochs is all in `end`, NaN where the trial was interrupted: its times
    then have the pause in them.
    """
    later = history[1:]  # the first epoch is slower
    unfreezes = unfreeze_epoch or 1
    frozen = _seconds(later, "epoch_seconds", until=unfreezes)
    training = _seconds(later, "epoch_seconds", since=unfreezes)
    validation = _seconds(later, "val_seconds")
    if not training or not validation or (unfreezes > 2 and not frozen):
        return None
    between = _seconds(later, "between_seconds") or [0.0]
    found = Duration(
        start=0.0,
        training=statistics.fmean(training),
        frozen_training=statistics.fmean(frozen) if frozen else None,
        validation=statistics.fmean(validation),
        between=statistics.fmean(between),
        end=0.0,
        spread=half_range(training),
        source="recorded",
    )
    resumed = any(row.get("between_seconds") is None for row in later)
    if resumed or status.retries or status.started is None or status.updated is None:
        return replace(found, end=math.nan)
    begun, ended = map(datetime.fromisoformat, (status.started, status.updated))
    rest = (ended - begun).total_seconds() - found.seconds(len(history), unfreeze_epoch)
    return replace(found, end=rest if rest >= 0 else math.nan)


def _seconds(
    rows: Sequence[HistoryRow], column: str, *, since: int = 1, until: float = math.inf
) -> list[float]:
    """What a column has in the epochs from one on, before another."""
    values = [row.get(column) for row in rows if since <= int(row["epoch"] or 0) < until]
    return [float(value) for value in values if value is not None]


def _is_alike(environment: Mapping[str, Any], resources: Sequence[WorkerResources]) -> bool:
    """Whether a trial ran on this machine, with as many threads and trials per device."""
    wanted = {
        "hostname": socket.gethostname(),
        "cpu": cpu_model(),
        "cores": cpu_count(),
        "threads": resources[0].threads,
        "trials_per_device": resources[0].trials_per_device,
        "device": "cuda" if resources[0].gpus else "cpu",
    }
    versions = importlib.metadata.version("torch"), str(environment.get("torch", ""))
    gpu = environment.get("gpu")
    return (
        len({version.partition("+")[0] for version in versions}) == 1
        and (gpu is None or gpu in gpu_names())
        and all(environment.get(key) == value for key, value in wanted.items())
    )
