"""What the page shows of its tables, pictures and lists of trials: all, or of a large study a part.

It is made from what the templates get otherwise, and goes to them as `shown`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.arm_summary import ranking
from bench.analysis.arms import Arm
from bench.analysis.records import Records
from bench.record.columns import Status
from bench.report.figures.look import Drawing
from bench.report.format.cells import Table
from bench.report.format.display_names import display_name
from bench.report.format.folding import (
    LARGE,
    LONG,
    FoldedTable,
    fold_table,
    ranked_by,
    within_budget,
)
from bench.report.search.search_record import SearchRecord
from bench.report.tables.effects import EffectTables

HEIGHTS = {"differences": "Difference", "interactions": "Change", "effects": "Effect"}
TROUBLES = ("failures", "unfinished", "remarks")
MOST_REMARKS = 10
"""In a large study so many remarks on the marks of arms are on the page."""
MOST_NAMED = 200
"""In a large study a list names so many trials; of a longer one it says where all are."""


@dataclass(frozen=True)
class PageView:
    """What of it is on the page.

    Attributes:
        arms, learning, trials: the large tables.
        listed: the arms in the tables of arms.
        effects: the tables of each of the context's effects.
        strata: by hypothesis.
        troubles: the failed trials, the unfinished ones, those with a remark.
        points: of a search.
        rows: ids of the trials that have a row, which links lead to.
        linked: names of the figures' pictures that the page does not hold itself.
        is_large: whether pictures are linked.
        most_named: how many trials a list names.
        most_remarks: how many remarks on marks there are.
    """

    arms: FoldedTable
    learning: FoldedTable
    trials: FoldedTable
    listed: list[Arm]
    effects: list[dict[str, FoldedTable]]
    strata: Mapping[str, FoldedTable]
    troubles: Mapping[str, FoldedTable]
    points: FoldedTable | None
    rows: frozenset[str]
    linked: frozenset[str]
    is_large: bool
    most_named: int
    most_remarks: int


def page_view(
    context: Mapping[str, Any],
    summary: pd.DataFrame,
    subject: Records,
    search: SearchRecord | None = None,
) -> PageView:
    """What the page shows of the context; `subject` are the trials of the tables of arms."""
    records: Records = context["records"]
    limit = LARGE if (large := is_large(context, search)) else LONG
    ranked = ranking(summary, subject.best_column, subject.select.mode)
    order = f"by {display_name(subject.best_column)}"

    def whole(name: str, file: str) -> FoldedTable:
        return fold_table(context[name], ranked, "arms", file, order=order, limit=limit)

    arms = whole("arm_table", "tables/arms.csv")
    of_trials = _ranked_trials(records)
    trials = fold_table(
        context["trial_table"], of_trials, "trials", "runs.csv", order=order, limit=limit
    )
    return PageView(
        arms=arms,
        learning=whole("learning_table", "tables/learning.csv"),
        trials=trials,
        listed=[context["arms"][i] for i in arms.row_indices],
        effects=[_effect(effect, limit) for effect in context["effects"]],
        strata={
            card.id: _by_height(card.strata, "a − b", "strata", "verdicts.json", limit)
            for card in context["cards"]
            if card.strata is not None
        },
        troubles={
            name: fold_table(context[name], [], "trials", "runs.csv", limit=limit)
            for name in TROUBLES
            if context[name] is not None
        },
        points=_points(context["search"].point_table, search, limit)
        if search is not None
        else None,
        rows=frozenset(row[0].text for row in trials.table.rows),
        linked=_linked(context["drawings"]) if large else frozenset(),
        is_large=large,
        most_named=MOST_NAMED if large else len(records.runs),
        most_remarks=MOST_REMARKS if large else len(context["mark_notes"]),
    )


def is_large(context: Mapping[str, Any], search: SearchRecord | None) -> bool:
    """Whether there are so many arms, or points of a search, that pictures are linked."""
    return len(context["arms"]) > LARGE or (search is not None and len(search.points) > LARGE)


def _ranked_trials(records: Records) -> list[int]:
    """Indices of the finished trials in `records.runs`, best first."""
    runs = records.runs.reset_index(drop=True)
    return ranking(
        runs[runs["status"] == Status.DONE],
        records.best_column,
        records.select.mode,
    )


def _effect(effect: EffectTables, limit: int) -> dict[str, FoldedTable]:
    """Its tables; differences that a hypothesis tests are always there."""
    return {
        name: _by_height(
            table, HEIGHTS[name], name, f"tables/{name}.csv", limit, _tested(effect, name)
        )
        for name, table in effect.tables.items()
    }


def _tested(effect: EffectTables, name: str) -> list[int]:
    if name != "differences":
        return []
    return [row for row, tested in enumerate(effect.frames[name]["hypothesis"]) if tested]


def _by_height(
    table: Table, heading: str, noun: str, file: str, limit: int, kept: Sequence[int] = ()
) -> FoldedTable:
    """The highest and the lowest figures in the column of that heading."""
    column = next(column for column in table.columns if column.title == heading)
    return fold_table(
        table, ranked_by(column), noun, file, words=("highest", "lowest"), kept=kept, limit=limit
    )


def _points(table: Table, search: SearchRecord, limit: int) -> FoldedTable:
    """By the first objective; the chosen and those on the front are always there."""
    first = search.objectives[0]
    values = [point.value(first.metric) for point in search.points]
    known = [i for i, value in enumerate(values) if not math.isnan(value)]
    known.sort(key=lambda i: values[i], reverse=first.mode == "max")
    always = {*search.chosen, *search.front}
    kept = [i for i, point in enumerate(search.points) if point.number in always]
    order = f"by {first.words}"
    return fold_table(
        table, known, "points", "tables/points.csv", order=order, kept=kept, limit=limit
    )


def _linked(drawings: Iterable[Drawing]) -> frozenset[str]:
    """The pictures that are too much for one page; every figure's first picture goes first."""
    found = [
        (page, *each) for drawing in drawings for page, each in enumerate(drawing.files.items())
    ]
    found.sort(key=lambda each: each[0] > 0)
    kept = within_budget([len(picture.adaptive) * 4 // 3 for _, _, picture in found])
    return frozenset(name for (_, name, _), here in zip(found, kept, strict=True) if not here)
