"""Which finished trials were found whole, so that their records need not be read again.

A cache and nothing more: `.confirmed.json` in the experiment's folder holds a fingerprint of what
the file system says of each trial's files (size, both times of change, inode), which no copying and
no editing keeps. It may be deleted, and whatever it does not know is read.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from bench.errors import DamagedError, StoreError
from bench.plan.trial import digest
from bench.record.confirm import checked_config, verified_status
from bench.record.files import read_json, write_text
from bench.record.trial_files import TrialFiles, TrialStatus
from bench.states import Status
from bench.version import __version__

SETTLED_NS = 3_000_000_000
"""A file younger than this may change again within what its times can tell apart."""
_RECORD, _PLAN = Path(__file__).parent, Path(__file__).parents[1] / "plan"
_MODULES = ("confirm", "summary", "trial_files", "files", "directions", "columns", "quick_yaml")
_CHECKS = (
    *(_RECORD / f"{name}.py" for name in (*_MODULES, "confirmed_index")),
    *(_PLAN / f"{name}.py" for name in ("recorded", "trial")),
)
"""Where it is decided whether a record is whole: another program reads everything again."""


class ConfirmedIndex:
    """The finished trials of one experiment whose records were read and found whole.

    Args:
        folder: the experiment's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".confirmed.json"
        self._experiment = folder.name
        self._before = self._read()
        self._known: dict[str, list[str]] = {}

    def verified_status(self, files: TrialFiles) -> TrialStatus:
        """As `bench.record.confirm.verified_status`; a known finished trial is not read again."""
        now = fingerprint(files)
        known = self._before.get(files.id)
        if now is not None and known is not None and known[0] == now:
            self._known[files.id] = known
            return TrialStatus(Status.DONE)
        config: Mapping[str, Any] | None = None
        with suppress(DamagedError):
            config = checked_config(files)
        found = verified_status(files, config)
        if found.status is Status.DONE and now is not None and config is not None:
            data = (config.get("settings") or {}).get("data")
            self._known[files.id] = [now, digest(data)]
        return found

    def data_digest(self, trial: str) -> str | None:
        """`digest` of the data settings that a trial was recorded with, where that is known."""
        return self._known[trial][1] if trial in self._known else None

    def save(self) -> None:
        """Keep what was found, where anything is new; where that cannot be, it is read again."""
        if any(self._before.get(trial) != known for trial, known in self._known.items()):
            record = {"program": _program(), "experiment": self._experiment}
            kept = json.dumps(record | {"trials": self._before | self._known})
            with suppress(StoreError):
                write_text(self._path, kept)

    def _read(self) -> dict[str, list[str]]:
        record: Mapping[str, Any] = {}
        with suppress(StoreError):
            record = read_json(self._path) or {}
        trials = record.get("trials")
        ours = (record.get("program"), record.get("experiment")) == (_program(), self._experiment)
        if not (ours and isinstance(trials, dict)):
            return {}
        return {trial: known for trial, known in trials.items() if _is_entry(known)}


def _is_entry(known: object) -> bool:
    return (
        isinstance(known, list) and len(known) == 2 and all(isinstance(text, str) for text in known)
    )


def fingerprint(files: TrialFiles) -> str | None:
    """Of what the file system says of a trial's records; None: one is missing, or just written."""
    parts = []
    youngest = time.time_ns() - SETTLED_NS
    needed = (files.config_path, files.status_path, files.history_path, files.summary_path)
    for path in (*needed, files.environment_path):
        try:
            found = path.lstat()
        except OSError:
            if path in needed:
                return None
            continue
        if max(found.st_mtime_ns, found.st_ctime_ns) > youngest:
            return None
        parts += [found.st_mode, found.st_dev, found.st_ino, found.st_size]
        parts += [found.st_mtime_ns, found.st_ctime_ns]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@cache
def _program() -> str:
    """The version of this program, and of its checks."""
    found = hashlib.sha256(__version__.encode())
    for path in _CHECKS:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]
