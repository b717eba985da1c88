"""What is shown of very many arms, rows or pictures: the best and the worst, and links to the rest.

Files (CSV, LaTeX, Markdown tables, figures) are always whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice
from typing import TypeVar

from bench.report.format.cells import Column, Table

LARGE = 100
"""A study of more arms, or points of a search, is shown in part."""
LONG = 400
"""Up to so many rows are shown whole in a study of fewer arms."""
INLINE = 1_400_000
"""Bytes of pictures that the page of a large study holds itself; the others it links."""

T = TypeVar("T")


@dataclass(frozen=True)
class FoldedTable:
    """A table as the page shows it.

    Attributes:
        table: the rows that are shown: all in their order, or of very many the best first.
        row_indices: which rows of the whole table these are.
        note: what is shown and how much is not; empty where all of it is shown.
        file: where all rows are, relative to the page; empty where they are here.
    """

    table: Table
    row_indices: list[int]
    note: str = ""
    file: str = ""


def best_and_worst(ranked: Sequence[T], most: int) -> tuple[list[T], list[T]]:
    """The best and the worst of a ranking, best first: `most` together, all where there are fewer.

    Of an odd number the best are one more.
    """
    if len(ranked) <= most:
        return list(ranked), []
    worst = most // 2
    return list(ranked[: most - worst]), list(ranked[len(ranked) - worst :])


def evenly_spaced(ranked: Sequence[T], most: int) -> list[T]:
    """At most so many of a ranking at equal steps, the last always among them."""
    if len(ranked) <= most:
        return list(ranked)
    return [ranked[round((i + 1) * len(ranked) / most) - 1] for i in range(most)]


def ranked_by(column: Column, best: str = "max") -> list[int]:
    """The rows that have a number in this column, best first; ties keep their order."""
    known = [(cell.key, row) for row, cell in enumerate(column.cells)]
    sign = -1 if best == "max" else 1
    found = [(sign * key, row) for key, row in known if isinstance(key, int | float)]
    return [row for _, row in sorted(found)]


def fold_table(
    table: Table,
    ranked: Sequence[int],
    noun: str,
    file: str,
    *,
    order: str = "",
    words: tuple[str, str] = ("best", "worst"),
    kept: Collection[int] = (),
    limit: int = LARGE,
) -> FoldedTable:
    """A table of more than `limit` rows with the best and the worst `LARGE` of them only.

    Args:
        table: the whole.
        ranked: rows, best first. Those that are missing here are shown where there is room.
        noun: what its rows are: `arms`.
        file: where all of them are.
        order: how they are ranked: `by best val Dice`.
        words: what the first and the last of `ranked` are.
        kept: rows that are shown in any case.
        limit: the most rows that are shown whole.
    """
    count = len(table.columns[0].cells) if table.columns else 0
    if count <= limit:
        return FoldedTable(table, list(range(count)))
    first, last = best_and_worst(ranked, LARGE)
    chosen = {*first, *last, *kept}
    rest = (row for row in range(count) if row not in chosen)
    middle = [*(row for row in kept if row not in {*first, *last}),
              *islice(rest, max(0, LARGE - len(chosen)))]  # fmt: skip
    row_indices = [*first, *middle, *last]
    columns = [replace(c, cells=[c.cells[row] for row in row_indices]) for c in table.columns]
    more = len(middle)
    parts = [f"the {len(first)} {words[0]}", f"the {len(last)} {words[1]}"] if last else []
    parts += [f"{more} more" if last else str(len(row_indices))] if more or not last else []
    note = f"Shown: {' and '.join(parts)} of {count} {noun}{', ' * bool(order)}{order}"
    return FoldedTable(
        Table(columns),
        row_indices,
        f"{note}; {count - len(row_indices)} are not on this page.",
        file,
    )


def within_budget(sizes: Sequence[int], budget: int = INLINE) -> list[bool]:
    """Which pictures of these sizes, in order, the page holds itself: until the budget is spent."""
    return [spent <= budget for spent in accumulate(sizes)]
