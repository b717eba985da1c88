"""`bench import`: histories logged elsewhere join our own trials, marked with their source.

An imported trial has the files of one of ours but those that only training makes: no checkpoint,
no environment, and no cost that its log does not name. No plan names it, so `run` leaves it alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bench.errors import BenchError, DamagedError, UnconfirmedError, did_you_mean
from bench.importing.csv_log import Logged, LoggedTrial, read_log
from bench.metric_columns import MetricKind, curve_metric, val_curve
from bench.plan.recorded import imported_identity
from bench.record.columns import HISTORY, HISTORY_DIGEST, METRICS, SUMMARY_DIGEST
from bench.record.confirm import history_digest, summary_digest, verified_status
from bench.record.directions import Mode, default_metric, known_direction
from bench.record.files import read_text, write_json, write_text
from bench.record.store import Store, TrialFiles, TrialStatus, now
from bench.record.summary import summarise
from bench.states import BENCH_SOURCE, Status
from bench.texts import fault_of

_LONGEST = 80  # characters of a source: it stands in tables
_MODES: Mapping[str, Mode] = {"min": "min", "max": "max"}


@dataclass(frozen=True)
class ImportRequest:
    """What the command line says besides the file.

    Attributes:
        experiment: where the trials go.
        source: where they were logged; a part of what they are.
        better: directions of metrics that no task has, as `accuracy=max`.
        select: the metric whose best epoch counts; None: the plan's, else `val/dice` or the first.
        force: replace trials that are recorded with other figures.
        first_epoch: the number of the file's first epoch.
    """

    experiment: str
    source: str
    better: Sequence[str] = ()
    select: str | None = None
    force: bool = False
    first_epoch: int = 1


class _State(Enum):
    NEW = "new"
    SAME = "the same"
    OUTDATED = "the same figures, selected by another metric, or not wholly written"
    OTHER = "other figures"


@dataclass(frozen=True)
class _MetricSelection:
    """Metrics and which of them chooses the best epoch."""

    metrics: dict[str, Mode]
    select: str

    @property
    def record(self) -> dict[str, Any]:
        mode = self.metrics[curve_metric(self.select)]
        return {"metrics": self.metrics, "select": {"metric": self.select, "mode": mode}}


def import_log(store: Store, path: Path, request: ImportRequest) -> list[str]:
    """Record the histories in a CSV file; returns what was done, a line each.

    The same file again changes nothing. A trial is known by its experiment, source, labels and
    seed; where that is recorded with other figures, nothing at all is written without `force`.

    Raises:
        BenchError: the file or the request cannot be used, or would replace what is recorded.
    """
    if fault := fault_of(request.source, _LONGEST):
        raise BenchError(f"--source: say where it was logged; the text {fault}")
    if request.source.strip().lower() == BENCH_SOURCE:
        raise BenchError(
            f"--source {request.source}: that is what our own trials have; say whose it is"
        )
    folder = store.experiment(request.experiment)
    logged = read_log(path, request.first_epoch)
    selection = _metric_selection(store, logged, request)
    configs = [_config(trial, position, path, request, selection)
               for position, trial in enumerate(logged.trials)]  # fmt: skip
    files = [TrialFiles(folder / config["id"]) for config in configs]
    histories = [_history(logged, trial) for trial in logged.trials]
    states = [_state(*each) for each in zip(files, configs, histories, strict=True)]
    others = [f for f, state in zip(files, states, strict=True) if state is _State.OTHER]
    if others and not request.force:
        raise BenchError(
            f"{path}: {len(others)} of {len(files)} trials are recorded with other figures, the "
            f"first as {others[0].folder}: --force replaces them, another --source keeps both"
        )
    for one, config, history, state in zip(files, configs, histories, states, strict=True):
        if state is not _State.SAME:
            _write(one, config, history, selection)
    return _summary_lines(store, logged, request, selection, [f.id for f in files], states)


def _metric_selection(store: Store, logged: Logged, request: ImportRequest) -> _MetricSelection:
    """Directions and the selected metric: those of the experiment's plan, where it has one."""
    plan = store.plan(request.experiment) or {}
    metrics: dict[str, Mode] = dict(plan.get("metrics", {}))
    given = dict(_given(text, logged) for text in request.better)
    for name, mode in given.items():
        if metrics.get(name, mode) != mode or (known_direction(name) or mode) != mode:
            raise BenchError(f"--better {name}={mode}: it is known to be better the other way")
    found: dict[str, Mode] = {}
    for name in logged.metrics:
        better = metrics.get(name) or known_direction(name) or given.get(name)
        if better is None:
            raise BenchError(
                f"val/{name}: is higher or lower better? say --better {name}=max or "
                f"--better {name}=min"
            )
        found[name] = better
    planned = plan.get("select", {}).get("metric")
    select = request.select or planned or val_curve(default_metric(found))
    name = curve_metric(select)
    if request.select and planned and request.select != planned:
        raise BenchError(
            f"--select {request.select}: the plan of {request.experiment} has {planned}"
        )
    if request.select and (name not in found or not select.startswith(MetricKind.CURVE)):
        hint = did_you_mean(select, [val_curve(metric) for metric in found])
        raise BenchError(f"--select {select}: the file has no such metric{hint}")
    return _MetricSelection(
        found | ({} if name in found else {name: plan["select"]["mode"]}), select
    )


def _given(text: str, logged: Logged) -> tuple[str, Mode]:
    """`accuracy=max` or `val/accuracy=max`."""
    name, _, word = text.partition("=")
    name = curve_metric(name.strip())
    if word.strip() not in _MODES:
        raise BenchError(f"--better {text}: write METRIC=max or METRIC=min")
    if name not in logged.metrics:
        hint = did_you_mean(name, logged.metrics)
        raise BenchError(f"--better {text}: the file has no val/{name}{hint}")
    return name, _MODES[word.strip()]


def _config(
    trial: LoggedTrial,
    position: int,
    path: Path,
    request: ImportRequest,
    selection: _MetricSelection,
) -> dict[str, Any]:
    """config.yaml; `position` is the trial's in the file, which gives the levels their order."""
    identity = imported_identity(request.source, trial.axes, trial.seed)
    return {
        "id": identity.id,
        "experiment": request.experiment,
        "seed": trial.seed,
        "axes": dict(trial.axes),
        "common": identity.common,
        "arm": identity.arm,
        "settings": {},
        "source": request.source,
        "file": path.name,
        "place": position,
        **selection.record,
    }


def _history(logged: Logged, trial: LoggedTrial) -> str:
    """history.csv: its columns in our order, its figures as they stand in the file."""
    metrics = [val_curve(name) for name in logged.metrics]
    others = [name for name in logged.columns if name not in (*metrics, *HISTORY)]
    expanded = [n for c in HISTORY for n in ([*metrics, *others] if c == METRICS else [c])]
    columns = [name for name in expanded if name in ("epoch", *logged.columns)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in trial.rows)
    return text.getvalue()


def _state(files: TrialFiles, config: Mapping[str, Any], history: str) -> _State:
    """How what is recorded stands to what is to be recorded."""
    if not files.config_path.exists():
        return _State.NEW
    try:
        if read_text(files.history_path) not in (None, history):
            return _State.OTHER
        known = {**files.config(), "file": config["file"]}  # a file may be renamed
        complete = verified_status(files).status is Status.DONE and known == config
    except (DamagedError, UnconfirmedError):
        complete = False
    return _State.SAME if complete else _State.OUTDATED


def _write(
    files: TrialFiles, config: Mapping[str, Any], history: str, selection: _MetricSelection
) -> None:
    """All files of a trial; the status comes last, and says that the others are there."""
    files.write_config(config)
    write_text(files.history_path, history)
    rows = files.history()
    summary = summarise(rows, selection.select, selection.metrics)
    summary[HISTORY_DIGEST] = history_digest(files.id, rows)
    summary[SUMMARY_DIGEST] = summary_digest(files.id, summary)
    write_json(files.summary_path, summary, durable=True)
    status = TrialStatus(Status.DONE, source=config["source"], started=now())
    files.write_status(status, durable=True)


def _summary_lines(
    store: Store,
    logged: Logged,
    request: ImportRequest,
    selection: _MetricSelection,
    ids: Sequence[str],
    states: Sequence[_State],
) -> list[str]:
    words = {
        _State.NEW: "imported",
        _State.OTHER: "replaced",
        _State.OUTDATED: "written anew with the same figures",
        _State.SAME: "recorded before and unchanged",
    }
    counts = [f"{states.count(state)} {text}" for state, text in words.items() if state in states]
    axes = ", ".join(logged.axes) or "none"
    lengths = sorted({len(trial.rows) for trial in logged.trials})
    epochs = "–".join(map(str, dict.fromkeys([lengths[0], lengths[-1]])))
    lines = [
        f"{request.experiment}: {', '.join(counts)} (axes: {axes}; {epochs} epochs; the best epoch "
        f"is that of {selection.record['select']['mode']} {selection.select})."
    ]
    unshown = [name for name in logged.columns if name.startswith("train/")
               and name not in HISTORY]  # fmt: skip
    if unshown:
        lines.append(f"Kept in history.csv, but in no report: {', '.join(unshown)}.")
    if missing := _not_in_file(store, request, ids):
        lines.append(
            f"{len(missing)} more trials of this source are recorded and not in this file; they "
            f"stay (the first: {missing[0].folder})."
        )
    return lines


def _not_in_file(store: Store, request: ImportRequest, ids: Sequence[str]) -> list[TrialFiles]:
    """Recorded trials of the same source that the file does not have."""
    missing = []
    for trial in store.trials(request.experiment):
        if trial.id not in ids and "-imported" in trial.id:
            try:
                if trial.config().get("source") == request.source:
                    missing.append(trial)
            except DamagedError:
                continue
    return missing
