"""looks.json of an experiment: a log of its looks, and which reports have tested its hypotheses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from bench.errors import StoreError
from bench.record.store import Store


def remember_report(store: Store, experiment: str, seeds: Mapping[str, int]) -> None:
    """Remember that a report has tested hypotheses (by id) on so many seeds.

    Where the results cannot be written, nothing is remembered.
    """
    before = store.looks(experiment)
    known = before.get("reports")
    reports = [one for one in known if isinstance(one, dict)] if isinstance(known, list) else []
    if not seeds or dict(seeds) in reports:
        return
    with suppress(StoreError):
        store.write_looks(experiment, {**before, "reports": [*reports, dict(seeds)]})
