"""Where things are under `results/`: no other module knows. Imports neither torch nor MLflow."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import StoreError, nearest
from bench.record.files import read_json, write_json
from bench.record.trial_files import Row, TrialFiles, TrialStatus, now

__all__ = ["Holder", "Row", "Store", "TrialFiles", "TrialStatus", "now"]

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_RESERVED = frozenset({"mlartifacts"})


@dataclass(frozen=True)
class Holder:
    """Who runs an experiment just now.

    Attributes:
        pid: process id on `host`.
        host: the machine's name.
        since: ISO 8601, UTC.
    """

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@dataclass(frozen=True)
class Store:
    """Everything under one results folder. Picklable; nothing is created before it is written."""

    root: Path

    @property
    def mlflow_uri(self) -> str:
        """The tracking URI of this store's own MLflow database."""
        return f"sqlite:///{self.root.resolve() / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Where this store's own MLflow keeps artifacts."""
        return self.root / "mlartifacts"

    @property
    def mlflow_lock(self) -> Path:
        """Locked by the one process that writes to MLflow."""
        return self.root / ".mlflow.lock"

    def experiments(self) -> list[str]:
        """Names of the experiments that have a plan or a trial, sorted."""
        return sorted(
            path.name
            for path in _folders(self.root)
            if path.name not in _RESERVED and _is_experiment(path)
        )

    def experiment(self, name: str) -> Path:
        """The folder of an experiment, there or not; StoreError where `name` cannot be one."""
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise StoreError(
                f"experiment name {name!r}: use letters, digits, '_', '-' and '.' (and not "
                f"{', '.join(sorted(_RESERVED))})"
            )
        return self.root / name

    def existing(self, name: str) -> str:
        """`name`, if there are records of it; else a StoreError with the nearest name."""
        names = self.experiments()
        if name in names:
            return name
        hint = nearest(name, names) if names else ""
        raise StoreError(f"{self.root}: no experiment {name!r}{hint or ' (there is none yet)'}")

    def trials(self, experiment: str) -> list[TrialFiles]:
        """The trials that have a folder, sorted by id; planned ones without are in the plan."""
        folders = _folders(self.experiment(experiment))
        return [TrialFiles(p) for p in folders if _NAME.fullmatch(p.name) and _is_trial(p)]

    def trial(self, experiment: str, trial_id: str) -> TrialFiles:
        """The files of a trial, there or not."""
        if not _NAME.fullmatch(trial_id):
            raise StoreError(f"trial id {trial_id!r}: not a name")
        return TrialFiles(self.experiment(experiment) / trial_id)

    def find(self, text: str) -> TrialFiles:
        """A recorded trial by id, unique beginning of an id, `experiment/id`, or path.

        Raises:
            StoreError: none or several match; says which, or the nearest.
        """
        path = Path(text)
        if text and _is_trial(path):
            return TrialFiles(path.absolute())
        experiment, _, trial_id = text.strip("/").rpartition("/")
        names = [self.existing(experiment)] if experiment else self.experiments()
        trials = [trial for name in names for trial in self.trials(name)]
        matches = [t for t in trials if t.id == trial_id] or [
            t for t in trials if trial_id and t.id.startswith(trial_id)
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            found = ", ".join(f"{t.experiment}/{t.id}" for t in matches[:5])
            more = f" and {len(matches) - 5} more" if len(matches) > 5 else ""
            raise StoreError(f"trial {text!r} is ambiguous: {found}{more}")
        hint = nearest(trial_id, (t.id for t in trials)) if trials else " (there is none yet)"
        raise StoreError(f"{self.root}: no trial {text!r}{hint[:400]}")

    def plan_path(self, experiment: str) -> Path:
        """`plan.json` of an experiment."""
        return self.experiment(experiment) / "plan.json"

    def plan(self, experiment: str) -> dict[str, Any] | None:
        """The latest plan, or None."""
        return read_json(self.plan_path(experiment))

    def write_plan(self, experiment: str, record: Mapping[str, Any]) -> None:
        """Keep the plan; `written` is added."""
        write_json(self.plan_path(experiment), {**record, "written": now()})

    def holder(self, experiment: str) -> Holder | None:
        """Who runs the experiment just now; None: nobody, so a `running` trial was interrupted."""
        path = self.experiment(experiment) / ".lock"
        if not path.exists():
            return None
        try:
            with FileLock(path, timeout=0):
                return None
        except (Timeout, OSError):
            return self._read_holder(experiment)

    @contextlib.contextmanager
    def lock(self, experiment: str) -> Iterator[None]:
        """Hold the experiment for one `run`; the system frees it when the process dies.

        Raises:
            StoreError: somebody else holds it, and who; or the folder is not writable.
        """
        folder = self.experiment(experiment)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / ".lock", timeout=0)
            lock.acquire()
        except Timeout as error:
            raise StoreError(
                f"experiment {experiment!r} is being run by {self._read_holder(experiment)}: "
                "wait for it, or stop it first"
            ) from error
        except OSError as error:
            raise StoreError(
                f"{folder}: cannot be written ({error.strerror}): choose another --results folder"
            ) from error
        try:
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now()}
            write_json(folder / ".holder.json", holder)
            yield
        finally:
            lock.release()

    def _read_holder(self, experiment: str) -> Holder:
        record = None
        with contextlib.suppress(StoreError):
            record = read_json(self.experiment(experiment) / ".holder.json")
        record = record or {}
        return Holder(
            int(record.get("pid", 0)), str(record.get("host", "?")), str(record.get("since", "?"))
        )


def _folders(path: Path) -> list[Path]:
    """Visible folders in `path`, sorted; none where it is not there."""
    try:
        return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}): check its owner") from error


def _is_trial(path: Path) -> bool:
    return (path / "config.yaml").is_file()


def _is_experiment(path: Path) -> bool:
    return (path / "plan.json").is_file() or any(map(_is_trial, _folders(path)))
