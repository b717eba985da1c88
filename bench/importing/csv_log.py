"""Histories logged elsewhere, as a CSV file: read, checked, and split into trials."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench.errors import BenchError, did_you_mean, first_line
from bench.importing.row import WrongCellError, is_number, read_row
from bench.metric_columns import MetricKind, curve_metric
from bench.record.columns import HISTORY
from bench.tasks.settings import SUPPORT
from bench.texts import LONGEST_LABEL, fault_of

MOST_BYTES = 64_000_000
MOST_TRIALS = 5_000
MOST_NUMBERS = 20
"""An axis of more levels than this, all of them numbers, is a metric under a wrong name."""

_METRIC = re.compile(r"(train|val)/[A-Za-z0-9][\w.-]*")
_CURVES = frozenset(HISTORY) - {"epoch", "<metrics>"}

Key = tuple[tuple[str, ...], int | None]
Line = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class LoggedTrial:
    """One trial's history.

    Attributes:
        axes: its label on each axis, written as in a plan.
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

    def error(self, message: str, line: int | None = None, column: str | None = None) -> BenchError:
        location = f"{self.path}:{line}" if line else str(self.path)
        return BenchError(f"{location}: {f'column {column!r}: ' if column else ''}{message}")


def read_log(path: Path, first_epoch: int = 1) -> Logged:
    """Read and check a file: columns as in history.csv, perhaps `seed`; the others are axes.

    `first_epoch` is the number of the file's first epoch, which becomes epoch 1.

    Raises:
        BenchError: it cannot be used as it is; names the line, the column and what to do.
    """
    file = _File(path)
    cells = _read_cells(file)
    header = _header(file, cells.index[0], cells.iloc[0])
    if len(cells) == 1:
        raise file.error("has no line below the columns' names")
    columns, axes = _columns(file, header)
    trials: dict[Key, dict[int, Line]] = {}
    for line, found in zip(cells.index[1:], cells.to_numpy()[1:], strict=True):
        try:
            row = read_row(dict(zip(header, found, strict=True)), axes, columns, first_epoch)
        except WrongCellError as error:
            raise file.error(str(error), line, error.column) from None
        labels = tuple(row.labels.values())
        epochs = trials.setdefault((labels, row.seed), {})
        if row.epoch in epochs:
            name = ", ".join(filter(None, labels)) or "the only trial"
            message = f"epoch {row.epoch - 1 + first_epoch} of {name} stands in line"
            remedy = "if these are repeats, tell them apart by a column `seed`"
            raise file.error(f"{message} {epochs[row.epoch][0]} too; {remedy}", line)
        epochs[row.epoch] = (line, row.numbers | {"epoch": str(row.epoch)})
    _check_axes(file, axes, trials)
    made = [_trial(file, axes, key, epochs) for key, epochs in trials.items()]
    return Logged(columns, axes, tuple(made))


def _read_cells(file: _File) -> pd.DataFrame:
    """Every line's cells as text without spaces around them, by the line's number in the file.

    The first line is that of the columns' names; lines without anything in them are left out.
    """
    text = _text(file)
    begin = len(text) - len(text.lstrip())  # pandas counts columns in the first line
    try:
        # no header: pandas would rename columns of one name, and take a first one for the index
        cells: pd.DataFrame = pd.read_csv(
            io.StringIO(text[begin:]),
            engine="python",  # it refuses text after a closing quote, and leaves short lines short
            header=None,
            dtype=str,
            na_filter=False,
            skip_blank_lines=False,
        )
    except pd.errors.EmptyDataError as error:
        raise file.error("is empty: a line with the columns' names comes first") from error
    except pd.errors.ParserError as error:
        raise _unparsed(file, error) from error
    # a quoted cell may go on in the next line
    line_ends = cells.apply(lambda column: column.str.count("\n")).fillna(0).sum(axis=1)
    before = text[:begin].count("\n") + 1
    cells.index = pd.Index((before + np.arange(len(cells)) + line_ends.cumsum()).astype(int))
    cells = cells.apply(lambda column: column.str.strip())
    cells = cells.loc[(cells.fillna("") != "").any(axis=1)]
    for line, missing in zip(cells.index, cells.isna().sum(axis=1), strict=True):
        if missing:
            raise _unequal(file, line, cells.shape[1] - missing, cells.shape[1])
    return cells


def _text(file: _File) -> str:
    try:
        size = file.path.stat().st_size
        if size > MOST_BYTES:
            most = f"{MOST_BYTES // 1_000_000} MB"
            raise file.error(f"has {size / 1e6:,.0f} MB; import parts of at most {most} each")
        return file.path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise file.error(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise file.error(f"is no text in UTF-8 ({error.reason}); save it as such") from error


def _unparsed(file: _File, error: pd.errors.ParserError) -> BenchError:
    text = str(error)
    if found := re.fullmatch(r"Expected (\d+) fields in line (\d+), saw (\d+).*", text, re.DOTALL):
        columns, line, cells = map(int, found.groups())
        return _unequal(file, line, cells, columns)
    return file.error(f"is no CSV ({first_line(error)})")


def _unequal(file: _File, line: int, cells: int, columns: int) -> BenchError:
    message = f"has {cells} cells, and there are {columns} columns"
    return file.error(f"{message}; separate cells by commas, quote those with one", line)


def _header(file: _File, line: int, names: Iterable[str]) -> list[str]:
    header = list(names)
    for name in header:
        if fault := fault_of(name):
            raise file.error(f"{name[:LONGEST_LABEL]!r} is no name of a column: it {fault}", line)
        if header.count(name) > 1:
            raise file.error("appears twice; remove or rename one", line, name)
    return header


def _columns(file: _File, header: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns of history.csv, and the axes."""
    if "epoch" not in header:
        only = "; separate columns by commas" if len(header) == 1 else did_you_mean("epoch", header)
        raise file.error(f"no column `epoch`, which counts from 1{only}", 1)
    columns, axes = [], []
    for name in header:
        if name in _CURVES or _METRIC.fullmatch(name):
            columns.append(name)
        elif name not in ("epoch", "seed"):
            _refuse_misspelt(file, name)
            axes.append(name)
    if not any(name.startswith(MetricKind.CURVE) for name in columns):
        message = "no column of a validation metric; call them val/loss, val/dice, …"
        raise file.error(message, 1)
    return tuple(columns), tuple(axes)


def _refuse_misspelt(file: _File, name: str) -> None:
    """`Val_Loss` would be an axis; an axis named `train.lr` is none of that."""
    known = {re.sub(r"\W|_", "", curve): curve for curve in (*HISTORY, "seed", "val/loss")}
    plain = re.sub(r"\W|_", "", re.sub(r"valid(ation)?", "val", name.lower()))
    intended = known.get(plain)
    if intended:
        raise file.error(f"would be an axis; call it {intended}", 1, name)
    if "/" in name:
        message = "would be an axis; metrics are called train/… or val/…, in letters and digits"
        raise file.error(message, 1, name)


def _check_axes(file: _File, axes: Sequence[str], trials: Iterable[Key]) -> None:
    keys = [labels for labels, _ in trials]
    for at, axis in enumerate(axes):
        levels = {labels[at] for labels in keys}
        if len(levels) > MOST_NUMBERS and all(map(is_number, levels)):
            message = (
                f"takes {len(levels)} numbers, so it hardly is an axis; a metric is called "
                f"val/{re.sub(r'[^A-Za-z0-9]', '_', axis)}, for example; else remove it"
            )
            raise file.error(message, 1, axis)
    if len(keys) > MOST_TRIALS:
        found = f"has {len(keys):,} trials; import parts of at most {MOST_TRIALS:,} each"
        raise file.error(found)


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
            raise file.error(f"{message}; {remedy}", epochs[epoch][0])
    return trial


_ADD_EPOCH = "add it, with empty cells for what is not known"


def _metric_taken_for_axis(trial: LoggedTrial) -> str | None:
    """What to do where a column of numbers became an axis, if there is one.

    A metric has another number in each epoch, so that each epoch is a trial of its own.
    """
    numbers = [axis for axis, label in trial.axes.items() if is_number(label)]
    if len(trial.rows) > 1 or not numbers:
        return None
    columns = " and ".join(f"`{axis}`" for axis in numbers)
    verb = "is an axis" if len(numbers) == 1 else "are axes"
    called = re.sub(r"[^A-Za-z0-9]", "_", numbers[0])
    return (
        f"{columns} {verb}, since only train/… and val/… are metrics: call it "
        f"train/{called} or val/{called} if it is one; else add the epoch"
    )
