"""Histories logged elsewhere, as a CSV file: read, checked, and split into trials."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, did_you_mean
from bench.metric_columns import MetricKind, curve_metric
from bench.plan.axes import canonical_label
from bench.record.columns import HISTORY
from bench.record.confirm import range_of
from bench.tasks.settings import SUPPORT
from bench.texts import LONGEST_LABEL, fault_of

MOST_BYTES = 64_000_000
MOST_TRIALS = 5_000
MOST_NUMBERS = 20
"""An axis of more levels than this, all of them numbers, is a metric under a wrong name."""

_FRACTION = re.compile(r"val/(acc|f1)(_.*)?")  # bench has no such metrics
_METRIC = re.compile(r"(train|val)/[A-Za-z0-9][\w.-]*")
_CURVES = frozenset(HISTORY) - {"epoch", "<metrics>"}
_MISSING = ("", "nan", "na")

Key = tuple[tuple[str, ...], int | None]
Line = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class LoggedTrial:
    """One trial's history.

    Attributes:
        axes: its label on each axis, spelt as a plan spells it.
        seed: None where the file names none.
        rows: the file's cells by column, an epoch after the other; a missing value is empty.
    """

    axes: Mapping[str, str]
    seed: int | None
    rows: tuple[Mapping[str, str], ...]

    @property
    def name(self) -> str:
        """For people: `model unet, augment none, seed 3`."""
        parts = [f"{axis} {label}" for axis, label in self.axes.items()]
        return ", ".join([*parts, *([] if self.seed is None else [f"seed {self.seed}"])])


@dataclass(frozen=True)
class Logged:
    """A whole file.

    Attributes:
        columns: those of history.csv that it has, in its own order.
        axes: the names of its other columns, in their order.
        trials: in the order in which they first appear.
    """

    columns: tuple[str, ...]
    axes: tuple[str, ...]
    trials: tuple[LoggedTrial, ...]

    @property
    def metrics(self) -> list[str]:
        """The validation metrics, without `val/`; the loss first."""
        found = [curve_metric(name) for name in self.columns if name.startswith(MetricKind.CURVE)]
        metrics = [name for name in found if name not in SUPPORT]  # of a history.csv of ours
        return sorted(metrics, key=lambda name: name != "loss")


class _File:
    """A file and where in it something is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wrong(self, message: str, line: int | None = None, column: str | None = None) -> BenchError:
        place = f"{self.path}:{line}" if line else str(self.path)
        return BenchError(f"{place}: {f'column {column!r}: ' if column else ''}{message}")


def read_log(path: Path, first_epoch: int = 1) -> Logged:
    """Read and check a file: columns as in history.csv, perhaps `seed`; the others are axes.

    `first_epoch` is the number of the file's first epoch, which becomes epoch 1.

    Raises:
        BenchError: it cannot be used as it is; names the line, the column and what to do.
    """
    file = _File(path)
    header, lines = _table(file)
    columns, axes = _columns(file, header)
    trials: dict[Key, dict[int, Line]] = {}
    for line, cells in lines:
        labels = tuple(_label(file, line, axis, cells[axis]) for axis in axes)
        key = (labels, _seed(file, line, cells.get("seed", "")))
        epochs = trials.setdefault(key, {})
        epoch = _epoch(file, line, cells["epoch"], first_epoch)
        if epoch in epochs:
            name = ", ".join(map(str, filter(None, labels))) or "the only trial"
            message = f"epoch {cells['epoch']} of {name} stands in line {epochs[epoch][0]} too"
            remedy = "if these are repeats, tell them apart by a column `seed`"
            raise file.wrong(f"{message}; {remedy}", line)
        found = {name: _number(file, line, name, cells[name]) for name in columns}
        epochs[epoch] = (line, found | {"epoch": str(epoch)})
    _check_axes(file, axes, trials)
    made = [_trial(file, axes, key, epochs) for key, epochs in trials.items()]
    return Logged(columns, axes, tuple(made))


def _table(file: _File) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The header, and every line's number and cells by column."""
    rows = _rows(file)
    first = next(rows, None)
    if first is None:
        raise file.wrong("is empty: a line with the columns' names comes first")
    header = [name.strip() for name in first[1]]
    for name in header:
        if fault := fault_of(name):
            raise file.wrong(f"{name[:LONGEST_LABEL]!r} is no name of a column: it {fault}", 1)
        if header.count(name) > 1:
            raise file.wrong("stands twice; remove or rename one", 1, name)
    found = []
    for line, cells in rows:
        if len(cells) != len(header):
            message = f"has {len(cells)} cells, and there are {len(header)} columns"
            raise file.wrong(f"{message}; separate cells by commas, quote those with one", line)
        found.append((line, dict(zip(header, map(str.strip, cells), strict=True))))
    if not found:
        raise file.wrong("has no line below the columns' names")
    return header, found


def _rows(file: _File) -> Iterator[tuple[int, list[str]]]:
    """Every line that is not blank, with its number."""
    try:
        size = file.path.stat().st_size
        if size > MOST_BYTES:
            most = f"{MOST_BYTES // 1_000_000} MB"
            raise file.wrong(f"has {size / 1e6:,.0f} MB; import parts of at most {most} each")
        text = file.path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise file.wrong(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise file.wrong(f"is no text in UTF-8 ({error.reason}); save it as such") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise file.wrong(f"is no CSV ({error})", reader.line_num) from error


def _columns(file: _File, header: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of history.csv, and the axes."""
    if "epoch" not in header:
        only = "; separate columns by commas" if len(header) == 1 else did_you_mean("epoch", header)
        raise file.wrong(f"no column `epoch`, which counts from 1{only}", 1)
    columns, axes = [], []
    for name in header:
        if name in _CURVES or _METRIC.fullmatch(name):
            columns.append(name)
        elif name not in ("epoch", "seed"):
            _refuse_misspelt(file, name)
            axes.append(name)
    if not any(name.startswith(MetricKind.CURVE) for name in columns):
        message = "no column of a validation metric; call them val/loss, val/dice, …"
        raise file.wrong(message, 1)
    return tuple(columns), tuple(axes)


def _refuse_misspelt(file: _File, name: str) -> None:
    """`Val_Loss` would be an axis; an axis named `train.lr` is none of that."""
    known = {re.sub(r"\W|_", "", curve): curve for curve in (*HISTORY, "seed", "val/loss")}
    plain = re.sub(r"\W|_", "", re.sub(r"valid(ation)?", "val", name.lower()))
    meant = known.get(plain)
    if meant:
        raise file.wrong(f"would be an axis; call it {meant}", 1, name)
    if "/" in name:
        message = "would be an axis; metrics are called train/… or val/…, in letters and digits"
        raise file.wrong(message, 1, name)


def _check_axes(file: _File, axes: Sequence[str], trials: Iterable[Key]) -> None:
    keys = [labels for labels, _ in trials]
    for at, axis in enumerate(axes):
        levels = {labels[at] for labels in keys}
        if len(levels) > MOST_NUMBERS and all(map(_is_number, levels)):
            message = (
                f"takes {len(levels)} numbers, so it hardly is an axis; a metric is called "
                f"val/{re.sub(r'[^A-Za-z0-9]', '_', axis)}, for example; else remove it"
            )
            raise file.wrong(message, 1, axis)
    if len(keys) > MOST_TRIALS:
        found = f"has {len(keys):,} trials; import parts of at most {MOST_TRIALS:,} each"
        raise file.wrong(found)


def _trial(file: _File, axes: Sequence[str], key: Key, epochs: Mapping[int, Line]) -> LoggedTrial:
    """The trial, if its epochs have no hole."""
    trial = LoggedTrial(
        dict(zip(axes, key[0], strict=True)),
        key[1],
        tuple(epochs[epoch][1] for epoch in sorted(epochs)),
    )
    for wanted, epoch in enumerate(sorted(epochs), start=1):
        if epoch != wanted:
            where = f" of {trial.name}" if trial.name else ""
            message = f"epoch {wanted}{where} is missing before epoch {epoch}"
            remedy = _metric_taken_for_axis(trial) or _ADD_EPOCH
            raise file.wrong(f"{message}; {remedy}", epochs[epoch][0])
    return trial


_ADD_EPOCH = "add it, with empty cells for what is not known"


def _metric_taken_for_axis(trial: LoggedTrial) -> str | None:
    """What to do where a column of numbers became an axis, if there is one.

    A metric has another number in each epoch, so that each epoch is a trial of its own.
    """
    numbers = [axis for axis, label in trial.axes.items() if _is_number(label)]
    if len(trial.rows) > 1 or not numbers:
        return None
    columns = " and ".join(f"`{axis}`" for axis in numbers)
    verb = "is an axis" if len(numbers) == 1 else "are axes"
    called = re.sub(r"[^A-Za-z0-9]", "_", numbers[0])
    return (
        f"{columns} {verb}, since only train/… and val/… are metrics: call it "
        f"train/{called} or val/{called} if it is one; else add the epoch"
    )


def _label(file: _File, line: int, axis: str, cell: str) -> str:
    if not cell:
        raise file.wrong("no label; every trial has one on every axis", line, axis)
    if fault := fault_of(cell):
        raise file.wrong(f"{cell[:20]!r} is no label: it {fault}", line, axis)
    return canonical_label(cell)


def _seed(file: _File, line: int, cell: str) -> int | None:
    if cell.lower() in _MISSING:
        return None
    return _whole(file, line, "seed", cell, least=0)


def _epoch(file: _File, line: int, cell: str, first: int) -> int:
    """The epoch, counted from 1."""
    if first == 1 and _is_number(cell) and float(cell) == 0:
        message = "epochs count from 1 here; --first-epoch 0 reads a log that counts from 0"
        raise file.wrong(message, line, "epoch")
    return _whole(file, line, "epoch", cell, least=first) - first + 1


def _whole(file: _File, line: int, column: str, cell: str, least: int) -> int:
    """A whole number; `3.0` is one, as pandas writes them where some are missing."""
    value = float(cell) if _is_number(cell) else math.nan
    if not value.is_integer() or not least <= value < 2**53:
        raise file.wrong(f"{cell[:20]!r} is no whole number from {least} on", line, column)
    return int(value)


def _number(file: _File, line: int, column: str, cell: str) -> str:
    """The cell as it stands; empty where it is missing."""
    if cell.lower() in _MISSING:
        return ""
    if not _is_number(cell):
        remedy = "a missing one is empty, decimals have a point"
        raise file.wrong(f"{cell[:20]!r} is no number; {remedy}", line, column)
    value = float(cell)
    if bounds := range_of(column):
        if not bounds.holds(value):
            fraction = "is not between 0 and 1; divide percentages by 100"
            other = f"is {bounds.what}; correct it, or leave the cell empty"
            message = f"{cell[:20]} {fraction if bounds.high == 1 else other}"
            raise file.wrong(message, line, column)
    elif _FRACTION.fullmatch(column) and not 0 <= value <= 1:
        message = f"{cell[:20]} is not between 0 and 1; divide percentages by 100"
        raise file.wrong(message, line, column)
    return cell


def _is_number(cell: str) -> bool:
    """Whether Python and everybody else read a number; `1_000` is none."""
    try:
        return cell.isascii() and "_" not in cell and not math.isnan(float(cell))
    except ValueError:
        return False
