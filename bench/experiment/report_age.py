"""Whether a report is of what is recorded now."""

from __future__ import annotations

import time
from pathlib import Path

from bench.record.store import Store


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
