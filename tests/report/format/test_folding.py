from __future__ import annotations

from bench.report.format.cells import Cell, Column, Table
from bench.report.format.folding import (
    LARGE,
    LONG,
    best_and_worst,
    evenly_spaced,
    fold_table,
    ranked_by,
    within_budget,
)


def made(values):
    """A table of one column; a missing value has no key."""
    cells = [Cell("–") if v is None else Cell(str(v), float(v)) for v in values]
    return Table([Column("Dice", "", cells)])


def test_ends_of_a_ranking():
    assert best_and_worst(range(10), 4) == ([0, 1], [8, 9])
    assert best_and_worst(range(10), 5) == ([0, 1, 2], [8, 9])
    assert best_and_worst(range(5), 5) == ([0, 1, 2, 3, 4], [])
    assert best_and_worst([], 4) == ([], [])
    assert best_and_worst(range(3), 1) == ([0], [])


def test_spread_ends_with_the_last():
    assert evenly_spaced(range(100), 4) == [24, 49, 74, 99]
    assert evenly_spaced(range(3), 4) == [0, 1, 2]
    found = evenly_spaced(range(472), LARGE)
    assert len(set(found)) == LARGE
    assert found[-1] == 471


def test_ranked_by_a_column():
    column = made([0.5, None, 0.9, 0.5, 0.1]).columns[0]
    assert ranked_by(column) == [2, 0, 3, 4]
    assert ranked_by(column, "min") == [4, 0, 3, 2]


def test_a_short_table_is_whole():
    table = made(range(LARGE))
    found = fold_table(table, range(LARGE), "arms", "tables/arms.csv")
    assert found.table is table
    assert (found.row_indices, found.note, found.file) == (list(range(LARGE)), "", "")
    assert fold_table(made(range(LONG)), [], "rows", "x.csv", limit=LONG).note == ""


def test_a_long_table_shows_its_ends_the_best_first():
    ranked = list(range(480))[::-1]  # the last row is the best
    found = fold_table(
        made(range(480)), ranked, "arms", "tables/arms.csv", order="by best val Dice"
    )
    assert found.row_indices == [*range(479, 429, -1), *range(49, -1, -1)]
    assert [cell.text for cell in found.table.columns[0].cells] == [
        str(p) for p in found.row_indices
    ]
    assert found.note == (
        "Shown: the 50 best and the 50 worst of 480 arms, by best val Dice; 380 are not on this "
        "page."
    )
    assert found.file == "tables/arms.csv"


def test_rows_that_must_be_seen_are_there():
    found = fold_table(made(range(300)), list(range(300)), "points", "p.csv", kept=[150, 3])
    assert len(found.row_indices) == LARGE + 1
    assert found.row_indices[50] == 150
    assert "the 50 worst and 1 more of 300 points; 199 are" in found.note


def test_unranked_rows_fill_up():
    """Of 300 arms 10 have a figure: these, and the first of the others."""
    found = fold_table(made([None] * 300), list(range(290, 300)), "arms", "a.csv")
    assert found.row_indices == [*range(290, 300), *range(90)]
    assert found.note == "Shown: 100 of 300 arms; 200 are not on this page."


def test_pictures_are_held_until_the_budget_is_spent():
    assert within_budget([5, 5, 1], budget=10) == [True, True, False]
    assert within_budget([11], budget=10) == [False]
    assert within_budget([]) == []
