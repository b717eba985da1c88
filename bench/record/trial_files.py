"""The files of one trial: where they are, what they say. Imports neither torch nor MLflow."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from bench.errors import DamagedError, StoreError
from bench.history_row import HistoryRow
from bench.masking import masked
from bench.record.columns import Failure, Status
from bench.record.files import (
    Kinds,
    check,
    damaged,
    read_json,
    read_text,
    read_yaml,
    write_json,
    write_text,
    write_yaml,
)
from bench.states import BENCH_SOURCE

_MOST_DIGITS = 18  # of a whole number in 64 bits
_TEXT = (str, type(None))
_STATUS: Mapping[str, Kinds] = {
    **dict.fromkeys(("status", "source"), str),
    **dict.fromkeys(("failure", "message", "host", "started", "updated"), _TEXT),
    "pid": (int, type(None)),
}
_CONFIG: Mapping[str, Kinds] = {
    **dict.fromkeys(("id", "experiment", "common", "arm", "source", "file"), _TEXT),
    **dict.fromkeys(("axes", "settings", "metrics", "select", "search"), (dict, type(None))),
    "seed": (int, type(None)),
    "fold": (int, type(None)),
}


@dataclass(frozen=True)
class TrialStatus:
    """status.json. Times are ISO 8601, UTC; `started` is the first start, not a resumption.

    `retries` is how often the trial was started again by itself, its worker having been killed.
    """

    status: Status
    failure: Failure | None = None
    message: str | None = None
    source: str = BENCH_SOURCE
    pid: int | None = None
    host: str | None = None
    started: str | None = None
    updated: str | None = None
    retries: int = 0


@dataclass(frozen=True)
class TrialFiles:
    """One trial's folder, `results/<experiment>/<trial id>/`, which need not exist yet."""

    folder: Path

    @property
    def id(self) -> str:
        """The trial's id: the folder's name."""
        return self.folder.name

    @property
    def experiment(self) -> str:
        """The experiment's name: the name of the folder above."""
        return self.folder.absolute().parent.name

    @property
    def config_path(self) -> Path:
        """`config.yaml`: what was asked for."""
        return self.folder / "config.yaml"

    @property
    def status_path(self) -> Path:
        """`status.json`: how far it has come."""
        return self.folder / "status.json"

    @property
    def history_path(self) -> Path:
        """`history.csv`: one row per epoch."""
        return self.folder / "history.csv"

    @property
    def summary_path(self) -> Path:
        """`summary.json`: what runs.csv says of it."""
        return self.folder / "summary.json"

    @property
    def environment_path(self) -> Path:
        """`environment.json`: machine and versions."""
        return self.folder / "environment.json"

    @property
    def log(self) -> Path:
        """`log.txt`: what the worker printed, tracebacks included."""
        return self.folder / "log.txt"

    @property
    def best(self) -> Path:
        """`best.pt`: the best epoch's weights."""
        return self.folder / "best.pt"

    @property
    def last(self) -> Path:
        """`last.pt`: what training goes on from."""
        return self.folder / "last.pt"

    @property
    def previous(self) -> Path:
        """`previous.pt`: an earlier state, should `last.pt` not be readable."""
        return self.folder / "previous.pt"

    @property
    def finished(self) -> Path:
        """`finished.pt`: the last state without its weights: makes a damaged record again."""
        return self.folder / "finished.pt"

    @property
    def states(self) -> tuple[Path, ...]:
        """What a trial can go on from, the newest first; `finished.pt` to its end only."""
        return self.last, self.previous, self.finished

    @property
    def samples(self) -> Path:
        """`samples/`: pictures."""
        return self.folder / "samples"

    @property
    def scores(self) -> Path:
        """`scores/`: scores of single images."""
        return self.folder / "scores"

    def images_path(self, images: str) -> Path:
        """Names of the images that have this hash: one file for all trials of the experiment."""
        return self.folder.parent / f"images-{images}.json"

    @property
    def mlflow_path(self) -> Path:
        """`mlflow.json`: what MLflow has of it."""
        return self.folder / "mlflow.json"

    def config(self) -> dict[str, Any]:
        """What was asked for; DamagedError where it is missing or damaged."""
        record = read_yaml(self.config_path)
        if record is None:
            raise damaged(self.config_path, "there is no such file")
        check(self.config_path, record, _CONFIG)
        if not all(isinstance(axis, str) for axis in record.get("axes") or ()):
            raise damaged(self.config_path, "the name of an axis is no text")
        return record

    def write_config(self, record: Mapping[str, Any]) -> None:
        """Keep what was asked for."""
        write_yaml(self.config_path, record)

    def status(self, *, strict: bool = False) -> TrialStatus:
        """How far it has come; without a file it is planned, with a damaged one interrupted.

        For then the next `run` goes on from the last epoch, and says anew how far that is.

        Raises:
            DamagedError: with `strict`, where the file is damaged.
            StoreError: the system does not let it be read.
        """
        try:
            return self._status()
        except DamagedError as error:
            if strict:
                raise
            return TrialStatus(Status.INTERRUPTED, message=str(error))

    def _status(self) -> TrialStatus:
        record = read_json(self.status_path)
        if record is None:
            return TrialStatus(Status.PLANNED)
        check(self.status_path, record, _STATUS)
        known = {k: v for k, v in record.items() if k in TrialStatus.__dataclass_fields__}
        try:
            for time in (known.get("started"), known.get("updated")):
                datetime.fromisoformat(time or now())
            failure = known.get("failure")
            known["failure"] = Failure(failure) if failure is not None else None
            return TrialStatus(**known | {"status": Status(known["status"])})
        except (KeyError, ValueError) as error:
            raise damaged(self.status_path, error) from error

    def write_status(self, status: TrialStatus, *, durable: bool = False) -> None:
        """Keep how far it has come; `updated` becomes now. Passwords in its message are hidden."""
        record = {name: getattr(status, name) for name in TrialStatus.__dataclass_fields__}
        message = None if status.message is None else masked(status.message)
        now_is = {"message": message, "updated": now()}
        write_json(self.status_path, record | now_is, durable=durable)

    def history(self) -> list[dict[str, float | int | None]]:
        """One dict an epoch, exact; a half-written last line is dropped, an empty cell is None."""
        text = (read_text(self.history_path) or "").removeprefix("\ufeff")  # of spreadsheets
        try:
            lines = list(csv.reader(io.StringIO(text)))
            if not lines:
                return []
            columns, rows = lines[0], lines[1:]
            if rows and (not text.endswith("\n") or len(rows[-1]) != len(columns)):
                rows = rows[:-1]
            if any(len(row) != len(columns) for row in rows):
                raise ValueError("rows of different lengths")
            parsed = [_parsed(cells) for cells in zip(*rows, strict=True)]
            found = [dict(zip(columns, row, strict=True)) for row in zip(*parsed, strict=True)]
            _check_epochs(columns, found)
        except (ValueError, csv.Error) as error:
            raise damaged(self.history_path, error) from error
        return found

    def write_history(self, rows: Sequence[HistoryRow], columns: Sequence[str]) -> None:
        """Replace the history, with `columns` in this order; floats read back equal to the bit."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
        write_text(self.history_path, text.getvalue())

    def summary(self) -> dict[str, Any]:
        """What runs.csv says of it: texts and numbers; empty where it is not finished."""
        record = read_json(self.summary_path) or {}
        for key, value in record.items():
            if isinstance(value, dict | list):
                raise damaged(self.summary_path, f"its {key} is no single value")
            if isinstance(value, int) and abs(value) >= 2**63:  # no column can hold it
                raise damaged(self.summary_path, f"its {key} has {len(str(value))} digits")
        return record

    def environment(self) -> dict[str, Any]:
        """Machine and versions; empty where it has not started."""
        return read_json(self.environment_path) or {}

    def clear(self) -> None:
        """Forget the results, for a start from nothing; config, log and MLflow's run id stay.

        Raises:
            StoreError: something cannot be deleted.
        """
        kept = {self.config_path, self.log, self.mlflow_path}
        try:
            for path in sorted(self.folder.glob("*"), key=_order_of_deletion):
                if path in kept:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{error.filename}: cannot be deleted ({error.strerror}): delete it by hand"
            ) from error


def now() -> str:
    """The time, ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _order_of_deletion(path: Path) -> tuple[bool, bool, str]:
    """Checkpoints, then the status: a trial half cleared is neither continued nor called done."""
    return path.suffix != ".pt", path.name != "status.json", path.name


def _check_epochs(columns: Sequence[str], rows: Sequence[HistoryRow]) -> None:
    """Every row is an epoch, later than the one above; a ValueError otherwise."""
    if len(set(columns)) < len(columns):
        raise ValueError("two columns of one name")
    epochs = [row.get("epoch") for row in rows]
    before: int = 0
    for epoch in epochs:
        if not isinstance(epoch, int) or epoch <= before:
            raise ValueError(f"epoch {epoch} after {before}")
        before = epoch


def _parsed(cells: Sequence[str]) -> list[float | int | None]:
    """The numbers in a column; a column of floats is read at once."""
    try:
        if not all(map(str.isdecimal, cells)):
            return list(map(float, cells))
    except ValueError:  # an empty cell, or no number
        pass
    return [_parse(cell) for cell in cells]


def _parse(cell: str) -> float | int | None:
    """The number in a cell; None where it is empty, ValueError where it is no number."""
    if cell == "":
        return None
    whole = cell.lstrip("-").isdecimal() and len(cell) <= _MOST_DIGITS
    return int(cell) if whole else float(cell)


def _cell(value: Real | float | None) -> str:
    """The shortest text that reads back as the same number."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, Integral) else repr(float(value))
