"""What a table is made of, and columns of common kinds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from bench.analysis.leaderboard import Mark
from bench.report.format import numbers

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what it shows.
        key: what it sorts by; None: it comes last.
        note: a remark behind it.
        detail: a second, smaller line.
        mark: whether it is the best of its column, or not significantly different from it.
    """

    text: str
    key: float | str | None = None
    note: str = ""
    detail: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title, meaning: its heading, and what it says.
        cells: from top to bottom.
        align: of its texts.
        trials: whether its cells are trials' ids.
        wide: whether its texts are sentences, which wrap.
        spare: whether a narrow screen leaves it out.
    """

    title: str
    meaning: str
    cells: list[Cell]
    align: Align = "right"
    trials: bool = False
    wide: bool = False
    spare: bool = False


@dataclass(frozen=True)
class Table:
    """Columns of equal length."""

    columns: list[Column]

    @property
    def rows(self) -> list[list[Cell]]:
        """The cells row by row."""
        return [list(row) for row in zip(*(c.cells for c in self.columns), strict=True)]


def text_column(
    heading: str, about: str, values: Iterable[Any], trials: bool = False, wide: bool = False
) -> Column:
    """Texts, sorted as such; missing ones are dashes."""
    cells = [
        Cell(numbers.MISSING) if pd.isna(value) else Cell(str(value), str(value))
        for value in values
    ]
    return Column(heading, about, cells, "left", trials, wide)


def integer_column(heading: str, about: str, values: Iterable[Any]) -> Column:
    """Whole numbers; missing ones are dashes."""
    cells = [
        Cell(numbers.MISSING) if pd.isna(value) else Cell(str(int(value)), float(value))
        for value in values
    ]
    return Column(heading, about, cells)


def p_value_column(heading: str, about: str, values: Iterable[float]) -> Column:
    """p-values."""
    return Column(heading, about, [Cell(format_p(p), sort_key(p)) for p in values])


def format_p(p: float) -> str:
    """`0.034`, `<0.001`; a dash where nothing was tested."""
    if math.isnan(p):
        return numbers.MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def sort_key(value: float) -> float | None:
    """What a number sorts by: nothing where it is missing."""
    return float(value) if math.isfinite(value) else None
