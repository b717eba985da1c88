"""The data sets behind an experiment's trials."""

from __future__ import annotations

from collections.abc import Set

from bench.errors import StoreError
from bench.record.data_file import DataSetRecord
from bench.record.store import Store


def data_of(
    store: Store, experiment: str, members: Set[str]
) -> tuple[tuple[DataSetRecord, ...], tuple[str, ...]]:
    """The data sets of the trials with these ids, and why they cannot be read."""
    try:
        found = store.data(experiment)
    except StoreError as error:
        return (), (str(error),)
    return tuple(d for d in found if not d.trials or members & set(d.trials)), ()
