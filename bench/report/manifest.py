"""Where and with what the trials ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import StoreError
from bench.record.store import TrialFiles
from bench.report.load import Records

MOST_VALUES = 4


@dataclass(frozen=True)
class Fact:
    """One entry of the environments: its dotted name and its values, the most frequent first."""

    name: str
    values: list[tuple[str, int]]
    more: int

    @property
    def mixed(self) -> bool:
        """Whether trials differ in it."""
        return len(self.values) > 1


def environment_facts(records: Records) -> list[Fact]:
    """What every environment.json says, with the number of trials behind each value."""
    environments = []
    for name in records.done["id"]:
        try:
            environments.append(TrialFiles(records.folders[name]).environment())
        except (KeyError, StoreError):
            environments.append({"environment.json": "cannot be read"})
    return merge(environments)


def merge(environments: Sequence[Mapping[str, Any]]) -> list[Fact]:
    """Nested mappings as facts, in the order in which names first appear."""
    counts: dict[str, Counter[str]] = {}
    for environment in environments:
        for name, value in _flat(environment):
            counts.setdefault(name, Counter())[value] += 1
    return [
        Fact(name, found.most_common(MOST_VALUES), max(0, len(found) - MOST_VALUES))
        for name, found in counts.items()
    ]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        elif value is not None:
            yield f"{prefix}{key}", str(value)
