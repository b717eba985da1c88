"""Arms: what each is called, and by what figures tell it from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis.records import NO_LABEL, Records
from bench.plan.arms import ArmLabels
from bench.states import BENCH_SOURCE


@dataclass(frozen=True)
class Arm:
    """One level of every axis, logged by one source.

    Attributes:
        number: its position among the arms.
        label: what tells it from the others, for people.
        levels: its label on every axis.
        source: `bench`, or where the histories were logged.
        hue: the index of its level on the axis that figures show by colour.
        style: the index of its combination of levels on the other axes, shown by style.
    """

    number: int
    label: str
    levels: ArmLabels
    source: str
    hue: int
    style: int


def arms_of(records: Records) -> list[Arm]:
    """All arms that have a row in `records.runs`, in the order of their levels."""
    keys = list(dict.fromkeys(_keys(records)))
    order = {axis: {level: i for i, level in enumerate(ls)} for axis, ls in records.axes.items()}
    places = list(order.values())

    def position(key: tuple[str, ...]) -> tuple[object, ...]:
        *levels, source = key
        ranks = [places[i].get(level, len(places[i])) for i, level in enumerate(levels)]
        return (source != BENCH_SOURCE, source, *ranks)

    keys.sort(key=position)
    hue, others = _roles(records, keys)
    varying = [hue, *others] if hue else []
    several = len({key[-1] for key in keys}) > 1
    styles: dict[tuple[str, ...], int] = {}
    found = []
    for number, key in enumerate(keys):
        levels = dict(zip(records.axes, key, strict=False))
        style = tuple(levels[axis] for axis in others)
        found.append(
            Arm(
                number=number,
                label=_label(records, levels, key[-1], varying, several),
                levels=levels,
                source=key[-1],
                hue=order[hue].get(levels[hue], 0) if hue else 0,
                style=styles.setdefault(style, len(styles)),
            )
        )
    return found


def arm_numbers(records: Records, arms: Sequence[Arm]) -> pd.Series[int]:
    """The number of each run's arm, with the index of `records.runs`."""
    numbers = {(*arm.levels.values(), arm.source): arm.number for arm in arms}
    return pd.Series([numbers[key] for key in _keys(records)], records.runs.index, dtype="int64")


def _keys(records: Records) -> list[tuple[str, ...]]:
    """Each run's labels and source."""
    columns = [f"axis.{axis}" for axis in records.axes] + ["source"]
    return list(records.runs[columns].fillna(NO_LABEL).itertuples(index=False, name=None))


def _roles(records: Records, keys: list[tuple[str, ...]]) -> tuple[str | None, list[str]]:
    """The axis shown by colour (`model`, if it varies) and those shown by style, in order."""
    axes = list(records.axes)
    levels = {axis: {key[i] for key in keys} - {NO_LABEL} for i, axis in enumerate(axes)}
    varying = [axis for axis in axes if len(levels[axis]) > 1]
    if not varying:
        return None, []
    hue = "model" if "model" in varying else varying[0]
    return hue, [axis for axis in varying if axis != hue]


def _label(
    records: Records, levels: dict[str, str], source: str, varying: list[str], several: bool
) -> str:
    """The levels on the axes that vary, and the source where there are several."""
    names = [levels[a] for a in records.axes if a in varying] or list(levels.values())
    label = " · ".join(name for name in names if name != NO_LABEL) or records.experiment
    return f"{label} ({source})" if several and source != BENCH_SOURCE else label
