"""A search's tables: what was chosen, how points ended, all points."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import pandas as pd

from bench.analysis.stats import mean_interval
from bench.report.format import numbers
from bench.report.format.cells import Cell, Column, Table, integer_column, sort_key, text_column
from bench.report.format.display_names import title
from bench.report.search.search_record import (
    ConfirmationRecord,
    ObjectiveRecord,
    PointRecord,
    RecordedState,
    SearchRecord,
)
from bench.report.search.words import decimals_of, figure_text, interval_text, param_text

_MOST_NAMED = 12
_MOST_SAID = 3
MEANINGS: dict[RecordedState, str] = {
    "complete": "Every seed was trained to its end.",
    "pruned": "Ended before, as the pruner gave it up. It has no figure.",
    "infeasible": "Never trained: beyond a constraint, or its settings do not go together.",
    "failed": "Trained, and came to nothing.",
    "running": "Being trained when this was written.",
    "waiting": "Begun by a process that is gone; the same search goes on with it.",
}


def chosen_table(search: SearchRecord) -> Table | None:
    """A row for each figure of each chosen point; None where nothing was chosen."""
    rows = [row for number in search.chosen for row in _chosen_rows(search, number)]
    if not rows:
        return None
    seeds = f"Seed{'s' if len(search.seeds) > 1 else ''} {', '.join(map(str, search.seeds))}"
    about = (
        ("Point", "Its number in the search."),
        ("Figure", "What was measured."),
        ("In the search", f"{seeds}: what it was chosen by, so lucky in part."),
        ("Fresh seeds", "Mean over seeds that the search had not seen [95% t-interval]."),
        ("Change", "Fresh seeds’ mean minus the search’s figure."),
        ("Seeds", "Fresh seeds that are done."),
    )
    columns = list(zip(*rows, strict=True))
    left = ("Figure",)
    return Table([
        Column(heading, meaning, list(cells), "left" if heading in left else "right")
        for (heading, meaning), cells in zip(about, columns, strict=True)
    ])  # fmt: skip


def chosen_frame(search: SearchRecord) -> pd.DataFrame:
    """The exact numbers of `chosen_table`."""
    rows = []
    for number in search.chosen:
        point, found = search.by_number[number], search.confirmation(number)
        for name in _figures(search, found):
            i = found.interval(name) if found is not None else mean_interval([])
            rows.append((number, name, point.value(name), i.mean, i.low, i.high, i.n))
    columns = ["point", "figure", "searched", "confirmed", "confirmed_low", "confirmed_high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _figures(search: SearchRecord, found: ConfirmationRecord | None) -> list[str]:
    names = [objective.metric for objective in search.objectives]
    return [*names, *(found.test_figures if found is not None else [])]


def _chosen_rows(search: SearchRecord, number: int) -> Iterable[list[Cell]]:
    point, found = search.by_number[number], search.confirmation(number)
    for name in _figures(search, found):
        value, decimals = point.value(name), decimals_of(search, name)
        interval = found.interval(name) if found is not None else None
        known = interval is not None and interval.n > 0
        mean = interval.mean if interval is not None else math.nan
        yield [
            Cell(str(number), number),
            Cell(title(name), name),
            _number(value, decimals),
            Cell(interval_text(interval, decimals), mean) if interval is not None and known
            else Cell(numbers.MISSING),
            _change(mean - value, decimals),
            Cell(f"{interval.n} of {len(found.seeds)}", interval.n) if interval and found
            else Cell(numbers.MISSING),
        ]  # fmt: skip


def _number(value: float, decimals: int) -> Cell:
    text = figure_text(value, decimals) if math.isfinite(value) else numbers.MISSING
    return Cell(text, sort_key(value), repr(value) if math.isfinite(value) else "")


def _change(value: float, decimals: int) -> Cell:
    if not math.isfinite(value):
        return Cell(numbers.MISSING)
    text = figure_text(value, decimals)
    return Cell(f"+{text}" if value > 0 else text, value)


def state_table(search: SearchRecord) -> Table:
    """How points ended: how many, which, and what was said of them."""
    groups = {s: [p for p in search.points if p.state == s] for s in search.counts}
    reused = [sum(p.reused is not None for p in points) for points in groups.values()]
    columns = [
        text_column("State", "How far points came.", groups),
        integer_column("Points", "How many.", [len(points) for points in groups.values()]),
    ]
    if any(reused):
        about = "Those equal to an earlier point, whose result they have: not trained again."
        columns.append(integer_column("Reused", about, reused))
    which = [_named([point.number for point in points]) for points in groups.values()]
    columns.append(text_column("Which", "Their numbers.", which, wide=True))
    meanings = [MEANINGS[state] for state in groups]
    columns.append(text_column("Meaning", "What that is.", meanings, wide=True))
    said = [_said(points) for points in groups.values()]
    if any(said):
        about = "The most frequent messages; the table of points has all."
        columns.append(text_column("Said", about, [text or None for text in said], wide=True))
    return Table(columns)


def _named(found: list[int]) -> str:
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return ", ".join(map(str, found[:_MOST_NAMED])) + more


def _said(points: list[PointRecord]) -> str:
    counts = Counter(point.message for point in points if point.message).most_common()
    messages = [f"{text} (× {n})" if n > 1 else str(text) for text, n in counts[:_MOST_SAID]]
    more = [f"{len(counts) - _MOST_SAID} other messages"] if len(counts) > _MOST_SAID else []
    return "; ".join([*messages, *more])


def point_table(search: SearchRecord) -> Table:
    """Every point: its place in the space, what became of it, what it came to."""
    points = search.points
    number = [Cell(str(p.number), p.number, " ".join(p.ids), _standing(search, p)) for p in points]
    columns = [Column("Point", "Its number; point at it for its trials.", number)]
    about = "How far it came; of reused ones the point whose result it has."
    states = [Cell(p.state, p.state, detail=_again(p)) for p in points]
    columns.append(Column("State", about, states, "left"))
    for objective in search.objectives:
        columns.append(_values(search, objective))
    for name, kind in search.space.items():
        cells = [_param(p, name) for p in points]
        columns.append(
            Column(name, f"From {kind.words}.", cells, "left" if kind.is_choice else "right")
        )
    if any(p.seconds is not None for p in points):
        about = "From its beginning to its end, waiting included; of reused ones next to nothing."
        seconds = [math.nan if p.seconds is None else p.seconds for p in points]
        columns.append(
            Column("Time", about, [Cell(numbers.seconds(s), sort_key(s)) for s in seconds])
        )
    if any(p.message for p in points):
        said = [p.message for p in points]
        columns.append(
            text_column("Message", "Why it was not trained to its end.", said, wide=True)
        )
    return Table(columns)


def _standing(search: SearchRecord, point: PointRecord) -> str:
    if point.number in search.chosen:
        return "chosen"
    return "front" if search.several and point.number in search.front else ""


def _again(point: PointRecord) -> str:
    return f"as point {point.reused}" if point.reused is not None else ""


def _values(search: SearchRecord, objective: ObjectiveRecord) -> Column:
    """Values of complete points; what pruned ones had reached stands small below a dash."""
    decimals, cells = decimals_of(search, objective.metric), []
    for point in search.points:
        value, reached = point.value(objective.metric), search.seen(point, objective.metric)
        cell = _number(value, decimals)
        if math.isnan(value) and math.isfinite(reached):
            cell = Cell(numbers.MISSING, detail=f"({figure_text(reached, decimals)} by then)")
        cells.append(cell)
    many = len(search.seeds) > 1
    about = f"{'Mean over the seeds' if many else 'Of one seed'}; in brackets what points that "
    about += "did not come to their end had reached, or were known to cost."
    return Column(title(objective.metric), about, cells)


def _param(point: PointRecord, name: str) -> Cell:
    if name not in point.params:
        return Cell(numbers.MISSING, note="not there at this point")
    value = point.params[name]
    return Cell(param_text(value), value)


def point_frame(search: SearchRecord) -> pd.DataFrame:
    """The exact numbers of `point_table`; what is missing is empty."""
    rows = [
        {
            "point": p.number,
            "state": p.state,
            "reused": p.reused,
            "chosen": p.number in search.chosen,
            "front": p.number in search.front,
            **{objective.metric: p.value(objective.metric) for objective in search.objectives},
            **{name: p.params.get(name) for name in search.space},
            "seconds": p.seconds,
            "message": p.message,
            "trials": " ".join(p.ids),
        }
        for p in search.points
    ]
    return pd.DataFrame(rows).astype({"reused": "Int64"}) if rows else pd.DataFrame()
