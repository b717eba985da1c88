"""Where and with what the trials ran: facts, and how many trials agree in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.records import Records
from bench.nested import flatten
from bench.states import BENCH_SOURCE

MOST_VALUES = 4


@dataclass(frozen=True)
class EnvironmentFact:
    """One entry of the environments: its dotted name and its values, the most frequent first."""

    name: str
    values: list[tuple[str, int]]
    more: int

    @property
    def mixed(self) -> bool:
        """Whether trials differ in it."""
        return len(self.values) > 1


def environment_facts(records: Records) -> list[EnvironmentFact]:
    """What every environment.json says, with the number of trials behind each value."""
    return merge([environment for _, environment in environments_of(records)])


def environments_of(records: Records) -> list[tuple[str, Mapping[str, Any]]]:
    """Id and environment.json of our own finished trials; those of others have none."""
    done = records.done
    unread = {"environment.json": "cannot be read"}
    ids = done.loc[done["source"] == BENCH_SOURCE, "id"]
    return [(name, records.environments.get(name, unread)) for name in ids]


def merge(environments: Sequence[Mapping[str, Any]]) -> list[EnvironmentFact]:
    """Nested mappings as facts, in the order in which names first appear."""
    counts: dict[str, Counter[str]] = {}
    for environment in environments:
        for name, value in flat(environment):
            counts.setdefault(name, Counter())[value] += 1
    return [
        EnvironmentFact(name, found.most_common(MOST_VALUES), max(0, len(found) - MOST_VALUES))
        for name, found in counts.items()
    ]


def flat(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every entry of a nested mapping with its dotted name; None is left out."""
    for name, value in flatten(tree):
        if isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value))
        elif value is not None:
            yield name, str(value) or "(empty)"
