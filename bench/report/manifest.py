"""Where and with what the trials ran, as the page and manifest.json have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.environments import EnvironmentFact, environments_of, flat
from bench.analysis.records import Records
from bench.metric_columns import val_curve
from bench.report.search.search_record import SearchRecord, manifest_of
from bench.version import __version__

_OF_RUNS = (
    "data_fingerprint", "git_commit", "device", "precision", "channels_last", "deterministic",
    "memory_kind",
)  # fmt: skip


def manifest_record(records: Records, search: SearchRecord | None = None) -> dict[str, Any]:
    """manifest.json: what was asked for, and where and with what every trial ran.

    Each fact has its values and the number of trials behind each; where trials differ in it, also
    their ids. Every number of the report follows from these trials' rows in runs.csv.
    """
    return {
        "experiment": records.experiment,
        "experiments": list(records.combined_from) or [records.experiment],
        "made_by": f"bench {__version__}",
        "task": records.task,
        "select": {
            "metric": val_curve(records.select.metric),
            "mode": records.select.mode,
        },
        "metrics": records.metrics,
        "axes": records.axes,
        "hypotheses": [hypothesis.record() for hypothesis in records.hypotheses],
        "imported": [origin._asdict() for origin in records.origins],
        "left_out": [left._asdict() for left in records.left_out],
        "trials": list(records.runs["id"]),
        "facts": _by_value(records),
        "spec": records.spec,
        **({"search": manifest_of(search)} if search is not None else {}),
    }


def _by_value(records: Records) -> dict[str, list[dict[str, Any]]]:
    """Every fact of the environments and of the rows: its values, the most frequent first."""
    found: dict[str, dict[str, list[str]]] = {}
    rows = records.done.set_index("id")[list(_OF_RUNS)].astype(object).to_dict("index")
    for name, environment in environments_of(records):
        known = {str(k): v for k, v in rows[name].items() if not pd.isna(v)}
        for fact, value in flat({**known, **environment}):
            found.setdefault(fact, {}).setdefault(value, []).append(name)
    return {
        fact: [
            {"value": value, "trials": len(ids), **({"ids": ids} if len(values) > 1 else {})}
            for value, ids in sorted(values.items(), key=lambda item: -len(item[1]))
        ]
        for fact, values in found.items()
    }


def shown(facts: Sequence[EnvironmentFact]) -> list[EnvironmentFact]:
    """The facts as the page has them: what all agree in is one line a group (`packages`).

    Why images were placed where they are tells how much memory was free, which is never the same.
    """
    found: dict[str, EnvironmentFact] = {}
    for fact in facts:
        group, _, rest = fact.name.partition(".")
        if fact.name == "placement_why":
            continue
        if not rest or fact.mixed:
            found[fact.name] = fact
            continue
        value, count = fact.values[0]
        before = f"{found[group].values[0][0]}, " if group in found else ""
        found[group] = EnvironmentFact(group, [(f"{before}{rest} {value}", count)], 0)
    return list(found.values())
