"""An experiment's report: whether it can be written, is of what is recorded now; writing it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.errors import BenchError
from bench.record.store import Store
from bench.spec.hypotheses import Hypothesis


def is_current(store: Store, experiment: str, reports: Path) -> bool:
    """Whether the report is younger than everything that it reports on."""
    page = reports / experiment / "report.html"
    if not page.exists():
        return False
    made = page.stat().st_mtime
    if made > time.time():  # the clock was set back since: nothing follows from it
        return False
    sources = [store.plan_path(experiment), store.data_path(experiment)]
    sources.append(store.experiment(experiment) / "search.json")
    sources += [trial.status_path for trial in store.trials(experiment)]
    return all(path.stat().st_mtime <= made for path in sources if path.exists())


def check_writable(folder: Path, option: str = "--out") -> None:
    """Make the folder, which `option` chooses, and a file in it for a moment.

    Raises:
        BenchError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchError(
            f"{folder}: cannot be written ({error.strerror}): choose another {option} folder"
        ) from error


def make_report(
    store: Store,
    experiment: str,
    reports: Path,
    hypotheses: tuple[Hypothesis, ...] | None = None,
) -> Path:
    """Write the experiment's report; returns the path of its page.

    `hypotheses` stand instead of those that were planned.
    """
    from bench.report.page import write_report

    changed = {} if hypotheses is None else {experiment: hypotheses}
    return write_report(store, [experiment], reports, changed)
