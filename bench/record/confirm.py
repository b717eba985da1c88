"""Whether what is recorded of a trial holds together; what does not is not counted anywhere.

A folder can be copied, exchanged or edited, and a share or a spreadsheet can damage what is in it.
So `config.yaml` has to make the very id that the folder is called by; the epochs of `history.csv`
have to be complete; `summary.json` has to follow from them and to name their digest, in which the
trial's identity is; and no score may lie outside its range.
"""

from __future__ import annotations

import json
import math
import re
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from numbers import Real
from typing import Any, NamedTuple

from bench.errors import DamagedError, UnconfirmedError
from bench.history_row import HistoryRow
from bench.metric_columns import MetricColumn, MetricKind, curve_metric, val_curve
from bench.plan.recorded import check_identity, identity_hash, is_imported
from bench.record.columns import ENVIRONMENT_DIGEST, HISTORY_DIGEST, SUMMARY_DIGEST, Status
from bench.record.directions import Mode, direction
from bench.record.files import read_text
from bench.record.score_files import why_incomplete
from bench.record.summary import summarise
from bench.record.trial_files import TrialFiles, TrialStatus
from bench.tasks.metric_settings import measure_of

_UNIT = re.compile(
    r"(dice|iou|accuracy|top[0-9]+|nsd|cldice|precision|recall|miou|auroc|f1|balanced_accuracy"
    r"|calibration_error|map|ap|micro_f1|samples_f1|subset_accuracy)"
    r"(_.+)?"  # of one class: dice_cat
)
_ROUNDING = 1e-6  # a mean over float32 scores of 1 can come out above 1
_NOT_NEGATIVE = frozenset(
    {"lr", "epoch_seconds", "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb"}
    | {"train_seconds", "seconds_to_95pct", "compile_seconds", "params", "trainable_params"}
    | {"macs", "epochs", "best_epoch", "epochs_to_95pct"}
)
_SCORES = ("best_", "final_", "epochs")
_FIGURES_AGREE = 1e-9  # relative: sums of seconds may be rounded otherwise


class Range(NamedTuple):
    """The values that a column can have, and what any other is."""

    low: float
    high: float
    what: str

    def holds(self, value: float) -> bool:
        """Whether a value lies in it, but for rounding."""
        return self.low - _ROUNDING <= value <= self.high + _ROUNDING


@dataclass(frozen=True)
class Confirmed:
    """What is recorded of a trial, checked.

    Attributes:
        config: config.yaml.
        status: status.json.
        history: a row per epoch.
        summary: summary.json; its figures that follow from the history are computed again.
        bound: whether a digest binds the history to this very trial; a record of version 0.1 has
            none, or one of the file alone.
    """

    config: Mapping[str, Any]
    status: TrialStatus
    history: list[dict[str, float | int | None]]
    summary: dict[str, Any]
    bound: bool


def checked_config(files: TrialFiles) -> dict[str, Any]:
    """config.yaml.

    Raises:
        UnconfirmedError: it is not that of the trial whose folder it lies in.
        DamagedError: it is missing or cannot be read.
    """
    config = files.config()
    try:
        check_identity(config, files.id, files.experiment)
    except UnconfirmedError as error:
        raise UnconfirmedError(error.reason, files.folder) from None
    return config


def confirmed(
    files: TrialFiles,
    config: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Mode] | None = None,
) -> Confirmed:
    """All that is recorded of a trial, where it holds together.

    Args:
        files: the trial's.
        config: what `checked_config` gave, where it was called before.
        metrics: directions of validation metrics besides those that every task declares.

    Raises:
        UnconfirmedError: something contradicts the rest, or is missing; says what to do.
        DamagedError: a file cannot be read.
        StoreError: the system does not let it be read.
    """
    config = checked_config(files) if config is None else config
    status = files.status()  # first: what a finished trial has is there when its status says so
    ended = status.status in (Status.DONE, Status.FAILED, Status.PRUNED)
    history, summary = files.history(), files.summary() if ended else {}
    try:
        _check_status(status.status, history, summary)
        _check_epochs(history, config, status.status)
        own = _metrics_of_ones_own(config)
        for column in history[0] if history else ():
            if not _is_one_of(own, column) and range_of(column) is not None:
                _check_range(column, [row[column] for row in history])
        for name, value in summary.items():
            if not _is_one_of(own, name):
                _check_range(name, [value])
        derived = summarised(history, config, summary, metrics or {})
        if summary:
            _check_figures(summary, derived)
        bound = _check_digest(files, history, summary)
        _check_summary_digest(files, summary)
        _check_environment(files, summary)
    except UnconfirmedError as error:
        raise UnconfirmedError(error.reason, files.folder) from None
    known = {k: v for k, v in derived.items() if v is not None or k.startswith(_SCORES)}
    return Confirmed(config, status, history, summary | known if summary else {}, bound)


def verified_status(files: TrialFiles, config: Mapping[str, Any] | None = None) -> TrialStatus:
    """How far a trial is; finished only where its whole record holds together.

    Where that of a finished one does not, but there is a saved state, it is interrupted: going on
    from its last epoch makes the rest again, without training. A damaged config.yaml is no matter:
    whoever runs the trial writes it anew. `config` is what `checked_config` gave, if it was called.

    Raises:
        UnconfirmedError: the folder is another trial's; or it is that of a finished one whose
            record does not hold together, and that only training from the start could make again.
        StoreError: the system does not let it be read.
    """
    if config is None:
        config = {}
        with suppress(DamagedError):
            config = checked_config(files)
    status = files.status()
    if status.status is not Status.DONE:
        return status
    try:
        lost = why_incomplete(files, confirmed(files, config).summary)
    except DamagedError as error:
        reason = str(error)
    except UnconfirmedError as error:
        reason = error.reason
    else:
        if lost is None or not any(path.exists() for path in files.states):
            return status  # scores of single images are missed by the report alone
        reason = lost
    if any(path.exists() for path in files.states):
        return replace(status, status=Status.INTERRUPTED, message=reason)
    raise UnconfirmedError(reason.partition(": restore it, or")[0], files.folder)


def summarised(
    history: Sequence[HistoryRow],
    config: Mapping[str, Any],
    summary: Iterable[str],
    metrics: Mapping[str, Mode],
) -> dict[str, Any]:
    """What `summary` says of the history, computed again; empty without a history.

    The trial's own settings say which metric chooses the best epoch.
    """
    select = config.get("select") or (config.get("settings") or {}).get("select") or {}
    if not history or not isinstance(column := select.get("metric"), str):
        return {}
    best = MetricKind.BEST
    names = [best.metric_of(name) for name in summary if name.startswith(best)]
    at_end = _metrics_at_end(config)
    names = [name for name in names if not name.startswith(at_end) or val_curve(name) in history[0]]
    recorded = config.get("metrics") or {}
    modes = {name: recorded.get(name) or metrics.get(name) or direction(name) for name in names}
    chosen = curve_metric(column)
    return summarise(history, column, modes | {chosen: select.get("mode") or direction(chosen)})


def _metrics_at_end(config: Mapping[str, Any]) -> tuple[str, ...]:
    """How the columns of metrics begin that the trial computes at its end: no history has them."""
    task = (config.get("settings") or {}).get("task") or {}
    asked = task.get("metrics") or () if isinstance(task, Mapping) else ()
    found = [each for each in asked if isinstance(each, Mapping) and each.get("when") == "end"]
    return tuple(measure_of(each) for each in found)


def history_digest(trial: str, history: Sequence[HistoryRow]) -> str:
    """Of the figures, not of their spelling, and of the identity of the trial that they are of.

    Line ends, quotation marks, `1` or `1.0`, and the order of columns do not matter.
    """
    found = sha256(identity_hash(trial).encode())
    for column in sorted(history[0] if history else ()):
        values = [row.get(column) for row in history]
        missing = [index for index, value in enumerate(values) if value is None]
        numbers = array("d", [math.nan if value is None else value for value in values])
        if sys.byteorder == "big":
            numbers.byteswap()
        found.update(f"\n{column} {missing} ".encode())
        found.update(numbers.tobytes())
    return found.hexdigest()[:16]


def summary_digest(trial: str, summary: Mapping[str, Any]) -> str:
    """Of all that a summary says, whatever the order of its keys, and of the trial's identity.

    It guards what no history gives: test scores, costs, the data's fingerprint.
    """
    known = {k: _plain(v) for k, v in summary.items() if k != SUMMARY_DIGEST}
    text = json.dumps([identity_hash(trial), known], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def environment_digest(trial: str, environment: Mapping[str, Any]) -> str:
    """Of all that environment.json says, and of the trial's identity."""
    text = json.dumps([identity_hash(trial), environment], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    """As it reads back from JSON, `1` and `1.0` alike: what is not finite is written as null."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    return str(value)


def _check_epochs(history: Sequence[HistoryRow], config: Mapping[str, Any], status: Status) -> None:
    """Our own trials have every epoch from 1 to the last one, and no more than were asked for."""
    if is_imported(config):
        return  # a log may have begun late, or have left epochs out
    for number, row in enumerate(history, 1):
        if row["epoch"] != number:
            raise UnconfirmedError(f"history.csv has epoch {row['epoch']} where {number} belongs")
    train = (config.get("settings") or {}).get("train") or {}
    planned = train.get("epochs")
    if not isinstance(planned, int):
        return
    if len(history) > planned:
        raise UnconfirmedError(
            f"history.csv has {len(history)} epochs, but {planned} were asked for"
        )
    if status is Status.DONE and len(history) < planned and not train.get("early_stopping"):
        raise UnconfirmedError(f"history.csv has {len(history)} of {planned} epochs")


def _check_status(
    status: Status, history: Sequence[HistoryRow], summary: Mapping[str, Any]
) -> None:
    """A finished trial has a history and a summary of it, and only such a one has test scores."""
    scored = next((name for name in summary if name.startswith(MetricKind.TEST)), None)
    if scored is not None and status is not Status.DONE:
        raise UnconfirmedError(
            f"status.json says {status}, but summary.json has {scored}, as of a finished trial"
        )
    if status is Status.DONE and not summary:
        raise UnconfirmedError("summary.json is missing or empty")
    if status is Status.DONE and not history:
        raise UnconfirmedError("history.csv is missing or empty: nothing confirms summary.json")
    if (expected := summary.get("epochs", len(history))) != len(history):
        raise UnconfirmedError(f"history.csv has {len(history)} of {expected} epochs")


def _check_figures(summary: Mapping[str, Any], derived: Mapping[str, Any]) -> None:
    """What the summary says of the history is what the history gives."""
    for name, value in derived.items():
        recorded = summary.get(name)
        if recorded is not None and value is None and not name.startswith(_SCORES):
            continue  # a column that a record of another version lacks
        if not _agree(recorded, value) and name in summary:
            raise UnconfirmedError(
                f"summary.json says {name} is {_text(recorded)}, but history.csv gives "
                f"{_text(value)}"
            )


def _check_digest(
    files: TrialFiles, history: Sequence[HistoryRow], summary: Mapping[str, Any]
) -> bool:
    """Whether the summary binds the history to the trial; refuses another history."""
    digest = summary.get(HISTORY_DIGEST)
    if digest is None or digest == history_digest(files.id, history):
        return digest is not None
    text = read_text(files.history_path) or ""
    if digest == sha256(text.encode()).hexdigest()[:16]:  # version 0.1
        return False
    raise UnconfirmedError("history.csv is not the one that its summary.json was made of")


def _check_summary_digest(files: TrialFiles, summary: Mapping[str, Any]) -> None:
    digest = summary.get(SUMMARY_DIGEST)
    if digest is not None and digest != summary_digest(files.id, summary):
        raise UnconfirmedError("summary.json was changed: it is not as the trial left it")


def _check_environment(files: TrialFiles, summary: Mapping[str, Any]) -> None:
    """One that is lost changes no figure; one that was edited says what was never so."""
    digest = summary.get(ENVIRONMENT_DIGEST)
    with suppress(DamagedError):
        environment = files.environment()
        if digest and environment and digest != environment_digest(files.id, environment):
            raise UnconfirmedError("environment.json was changed: it is not as the trial left it")


def recorded_window(files: TrialFiles) -> Any:
    """What environment.json says of the window that the trial's images were seen through.

    Raises:
        UnconfirmedError: it is not what the trial left.
        DamagedError: it cannot be read.
    """
    environment, digest = files.environment(), files.summary().get(ENVIRONMENT_DIGEST)
    if digest and digest != environment_digest(files.id, environment):
        what = "was changed" if environment else "is missing"
        raise UnconfirmedError(
            f"environment.json {what}: it says how images are read", files.folder
        )
    return environment.get("window")


def _metrics_of_ones_own(config: Mapping[str, Any]) -> frozenset[str]:
    """Metrics that are none of ours, whatever they are called: of no range that is known here."""
    task = (config.get("settings") or {}).get("task") or {}
    if not isinstance(task, Mapping):
        return frozenset()
    asked, scores = task.get("metrics"), task.get("scores")
    metrics = asked if isinstance(asked, list | tuple) else ()
    own = [measure_of(m) for m in metrics if isinstance(m, Mapping) and "target" in m]
    return frozenset([*own, *(scores if isinstance(scores, Mapping) else ())])


def _is_one_of(metrics: frozenset[str], column: str) -> bool:
    parsed = MetricColumn.parse(column) if metrics else None
    return parsed is not None and parsed.metric in metrics


def _check_range(name: str, values: Sequence[Any]) -> None:
    """No score, time or count lies where none can lie."""
    if (bounds := range_of(name)) is None:
        return
    known = [value for value in values if isinstance(value, int | float) and value == value]
    for value in (min(known), max(known)) if known else ():
        if not bounds.holds(value):
            raise UnconfirmedError(f"{name} is {value:g}, which is {bounds.what}")


@cache
def range_of(name: str) -> Range | None:
    """The least and the greatest value that a column can have; None: it has no bounds."""
    if name in _NOT_NEGATIVE:
        return Range(0, sys.float_info.max, "negative or infinite")
    column = MetricColumn.parse(name)
    if column is None or column.kind is MetricKind.TRAIN_CURVE:
        return None
    if re.fullmatch(r"hd95(_.+)?|.+_missing", column.metric):
        return Range(0, sys.float_info.max, "negative or infinite")
    return Range(0, 1, "outside 0 to 1") if _UNIT.fullmatch(column.metric) else None


def _agree(a: Any, b: Any) -> bool:
    if a is None or b is None or isinstance(a, str):
        return a is b
    return bool(math.isclose(a, b, rel_tol=_FIGURES_AGREE, abs_tol=1e-12))


def _text(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
