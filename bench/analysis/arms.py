"""Arms and how each looks in every figure: colour, line style and marker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench.analysis.records import Records
from bench.states import BENCH_SOURCE

NO_LABEL = "–"

# Okabe and Ito's colours, which colour-blind readers can tell apart; the pale ones come last.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#8A6D00")
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (4.0, 1.6),
    (1.2, 1.2),
    (6.0, 1.5, 1.2, 1.5),
    (2.5, 1.0),
    (6.0, 1.2, 1.2, 1.2, 1.2, 1.2),
)
# Arms logged elsewhere are drawn in these, never solid.
FOREIGN_DASHES: tuple[tuple[float, ...], ...] = (
    (7.0, 3.0),
    (3.0, 3.0),
    (9.0, 3.0, 2.0, 3.0),
    (5.0, 2.0, 1.2, 2.0, 1.2, 2.0),
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
# How far each style's colour is mixed with white: a second cue beside dashes and markers.
_TINTS = (0.0, 0.25, 0.45)


@dataclass(frozen=True)
class Arm:
    """One level of every axis, logged by one source.

    Attributes:
        number: its position among the arms.
        label: what tells it from the others, for people.
        levels: its label on every axis.
        source: `bench`, or where the histories were logged.
        color, dashes, marker: its look in every figure; dashes `()` is a solid line.
    """

    number: int
    label: str
    levels: dict[str, str]
    source: str
    color: str
    dashes: tuple[float, ...]
    marker: str


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
        style = styles.setdefault(tuple(levels[axis] for axis in others), len(styles))
        place = order[hue].get(levels[hue], 0) if hue else 0
        found.append(
            Arm(
                number=number,
                label=_label(records, levels, key[-1], varying, several),
                levels=levels,
                source=key[-1],
                color=_tinted(PALETTE[place % len(PALETTE)], _TINTS[style % len(_TINTS)]),
                dashes=_dashes(style, key[-1]),
                marker=MARKERS[style % len(MARKERS)],
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


def _dashes(style: int, source: str) -> tuple[float, ...]:
    kinds = DASHES if source == BENCH_SOURCE else FOREIGN_DASHES
    return kinds[style % len(kinds)]


def _tinted(color: str, white: float) -> str:
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [math.floor(part + (255 - part) * white + 0.5) for part in parts]
    return "#" + "".join(f"{part:02x}" for part in mixed)
