"""Under which conditions time and memory were measured: only equal ones make them comparable."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pandas as pd

from bench.analysis.environments import EnvironmentFact, merge
from bench.analysis.records import Records
from bench.metric_columns import FIGURES, MetricColumn
from bench.plan.design import CONFIGURATION
from bench.states import BENCH_SOURCE

TIMES = frozenset({"epoch_seconds", "train_seconds", "seconds_to_95pct", "compile_seconds"})
MEMORY = frozenset({"peak_memory_mb"})
_OF_TIMES = ("device", "threads", "deterministic", "precision", "channels_last")
_OF_MEMORY = ("device", "memory_kind", "precision", "channels_last")
_MACHINE = ("gpu", "cpu", "trials_per_device")
_MANIFEST = (
    "data_fingerprint", "git_commit", "torch", "device", "threads", "precision", "channels_last",
    "deterministic", "compiled", "memory_kind",
)  # fmt: skip
COMPILE_AXIS = "train.compile"


def measurement_conditions(records: Records, column: str) -> pd.Series[str]:
    """A text for every run, equal where `column` was measured under the same conditions.

    What an axis decides is a question of the experiment and makes no conditions differ. Figures
    that are neither times nor memory compare always: their texts are all empty.
    """
    runs = records.runs
    conditions = pd.Series("", runs.index, dtype="str")
    if column not in TIMES | MEMORY:
        return conditions
    settings = {axis.split(".")[-1] for axis in records.decided_settings}
    for name in _OF_TIMES if column in TIMES else _OF_MEMORY:
        if name not in settings:
            conditions += f"{name} " + runs[name].astype("str").fillna("") + "; "
    if column in TIMES:
        if COMPILE_AXIS not in records.decided_settings:
            conditions += compiled(records) + "; "
        environments = [records.environments.get(name, {}) for name in runs["id"]]
        conditions += ["; ".join(f"{key} {e.get(key)}" for key in _MACHINE) for e in environments]
    return conditions


def same_conditions(records: Records, column: str) -> bool:
    """Whether all finished trials that have `column` measured it under the same conditions."""
    known = records.runs[column].notna() & records.runs["id"].isin(records.done["id"])
    return measurement_conditions(records, column)[known].nunique() <= 1


def compiled(records: Records) -> pd.Series[str]:
    """`not compiled`, `compiled (default)` or another mode; of older records `compiled` alone."""
    seconds = records.runs["compile_seconds"].notna()
    modes = [records.environments.get(name, {}).get("compile") for name in records.runs["id"]]
    descriptions = [_mode(mode, known) for mode, known in zip(modes, seconds, strict=True)]
    return pd.Series(descriptions, records.runs.index, dtype="str")


def _mode(mode: str | None, took_time: bool) -> str:
    if mode in (None, "none"):
        return "compiled" if took_time else "not compiled"
    return f"compiled ({mode})"


def run_facts(records: Records, known: Collection[str] = ()) -> list[EnvironmentFact]:
    """What runs.csv says of how the finished trials ran, but for what is `known` already."""
    done = records.done.assign(compiled=compiled(records) != "not compiled")
    done = done[done["source"] == BENCH_SOURCE]
    excluded = {*known, *(["compiled"] if "compile" in known else [])}
    names = [name for name in _MANIFEST if name not in excluded]
    rows = done[names].astype(object).to_dict("records")
    return merge([{str(k): v for k, v in row.items() if not pd.isna(v)} for row in rows])


def comparable_axes(records: Records, column: str) -> list[str]:
    """The axes along which `column` measures the same on two levels at least."""
    return [
        axis
        for axis, levels in records.axes.items()
        if len({measured_on(records, column, {axis: level}) for level in levels}) < len(levels)
    ]


def measured_on(records: Records, column: str, levels: Mapping[str, str]) -> tuple[str, ...]:
    """Equal where `column` measures the same on these levels of axes.

    Configurations of a design whose components leave the loss alone have it in common.
    """
    found: list[str] = []
    for axis in incomparable_axes(records, column):
        if axis not in levels:
            continue
        is_design = axis == CONFIGURATION and axis not in records.uncompared_axes
        if is_design and records.design is not None:
            found += records.design.loss_of(levels[axis])
        else:
            found.append(levels[axis])
    return tuple(found)


def separating_labels(records: Records, column: str, levels: Mapping[str, str]) -> dict[str, str]:
    """What keeps an arm with these levels apart from others: axes, and components of a design."""
    found: dict[str, str] = {}
    design = records.design
    for axis in incomparable_axes(records, column):
        if axis == CONFIGURATION and design is not None and design.losses:
            own = design.configurations.get(levels[axis], {})
            found |= {name: own.get(name, levels[axis]) for name in design.losses}
        else:
            found[axis] = levels[axis]
    return found


def incomparable_axes(records: Records, column: str) -> tuple[str, ...]:
    """The axes along which a column of runs.csv cannot be compared between all levels.

    Those of which some levels give the metric behind it another meaning (`measured_on`), and
    `records.uncompared_axes`.
    """
    parsed = MetricColumn.parse(column)
    metric = parsed.metric if parsed and parsed.kind in FIGURES else ""
    if column in ("overfit_gap", "final_train_loss"):
        metric = "loss"
    found = records.incomparable.get(metric, ())
    return tuple(dict.fromkeys((*records.uncompared_axes, *found)))
