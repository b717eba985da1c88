"""Where and with what the trials ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench import __version__
from bench.report.load import Records
from bench.report.search import manifest_of
from bench.states import BENCH_SOURCE

MOST_VALUES = 4
_OF_RUNS = (
    "data_fingerprint", "git_commit", "device", "precision", "channels_last", "deterministic",
    "memory_kind",
)  # fmt: skip


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
    return merge([told for _, told in environments_of(records)])


def environments_of(records: Records) -> list[tuple[str, Mapping[str, Any]]]:
    """Id and environment.json of our own finished trials; those of others have none."""
    done = records.done
    unread = {"environment.json": "cannot be read"}
    ids = done.loc[done["source"] == BENCH_SOURCE, "id"]
    return [(name, records.environments.get(name, unread)) for name in ids]


def manifest_record(records: Records) -> dict[str, Any]:
    """manifest.json: what was asked for, and where and with what every trial ran.

    Each fact has its values and the number of trials behind each; where trials differ in it, also
    their ids. Every number of the report follows from these trials' rows in runs.csv.
    """
    return {
        "experiment": records.experiment,
        "experiments": list(records.parts) or [records.experiment],
        "made_by": f"bench {__version__}",
        "task": records.task,
        "select": {"metric": f"val/{records.select.metric}", "mode": records.select.mode},
        "metrics": records.metrics,
        "axes": records.axes,
        "hypotheses": [hypothesis.record() for hypothesis in records.hypotheses],
        "imported": [origin._asdict() for origin in records.origins],
        "left_out": [left._asdict() for left in records.left_out],
        "trials": list(records.runs["id"]),
        "facts": _by_value(records),
        "spec": records.spec,
        **({"search": manifest_of(records.search)} if records.search is not None else {}),
    }


def _by_value(records: Records) -> dict[str, list[dict[str, Any]]]:
    """Every fact of the environments and of the rows: its values, the most frequent first."""
    found: dict[str, dict[str, list[str]]] = {}
    rows = records.done.set_index("id")[list(_OF_RUNS)].astype(object).to_dict("index")
    for name, environment in environments_of(records):
        known = {str(k): v for k, v in rows[name].items() if not pd.isna(v)}
        for fact, value in _flat({**known, **environment}):
            found.setdefault(fact, {}).setdefault(value, []).append(name)
    return {
        fact: [
            {"value": value, "trials": len(ids), **({"ids": ids} if len(values) > 1 else {})}
            for value, ids in sorted(values.items(), key=lambda item: -len(item[1]))
        ]
        for fact, values in found.items()
    }


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


def shown(facts: Sequence[Fact]) -> list[Fact]:
    """The facts as the page has them: what all agree in is one line a group (`packages`).

    Why images were placed where they are tells how much memory was free, which is never the same.
    """
    found: dict[str, Fact] = {}
    for fact in facts:
        group, _, rest = fact.name.partition(".")
        if fact.name == "placement_why":
            continue
        if not rest or fact.mixed:
            found[fact.name] = fact
            continue
        value, count = fact.values[0]
        before = f"{found[group].values[0][0]}, " if group in found else ""
        found[group] = Fact(group, [(f"{before}{rest} {value}", count)], 0)
    return list(found.values())


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", ", ".join(map(str, value))
        elif value is not None:
            yield f"{prefix}{key}", str(value) or "(empty)"
