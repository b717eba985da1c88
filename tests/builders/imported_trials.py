"""Trials imported from logs of other programs."""

from __future__ import annotations

from pathlib import Path

from bench.importing.import_log import ImportRequest, import_log
from bench.record.store import Store

LOGGED = Path(__file__).parents[1] / "importing" / "logged.csv"


def imported(root: Path, file: Path = LOGGED, **changes: object) -> list[str]:
    request = {"experiment": "exp", "source": "a paper", **changes}
    return import_log(Store(root), file, ImportRequest(**request))  # type: ignore[arg-type]
