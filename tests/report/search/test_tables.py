from __future__ import annotations

import math

from bench.report.search.tables import (
    chosen_frame,
    chosen_table,
    point_frame,
    point_table,
    state_table,
)
from tests.builders.search_records import read, record, two_objectives


def cells(table):
    return [[cell.text for cell in row] for row in table.rows]


def column(table, title):
    return next(c.cells for c in table.columns if c.title == title)


def test_what_was_chosen(tmp_path):
    search = read(tmp_path)
    assert cells(chosen_table(search)) == [
        ["2", "Best val Dice", "0.800", "0.700 [0.650, 0.750]", "−0.100", "3 of 3"],
        ["2", "Test Dice", "–", "0.600 [0.550, 0.650]", "–", "3 of 3"],
    ]
    frame = chosen_frame(search)
    assert frame["searched"].tolist()[0] == 0.8
    assert math.isnan(frame["searched"].tolist()[1])
    assert chosen_table(read(tmp_path / "n", record(chosen=[], confirmations=[]))) is None


def test_what_was_chosen_and_not_confirmed_has_dashes(tmp_path):
    rows = cells(chosen_table(read(tmp_path, two_objectives())))
    assert rows[0] == ["2", "Best val Dice", "0.800", "–", "–", "–"]
    assert rows[3] == ["0", "MACs", "1.00 G", "1.00 G", "0", "1 of 2"]


def test_states_with_their_messages(tmp_path):
    table = state_table(read(tmp_path))
    assert [row[:4] for row in cells(table)] == [
        ["complete", "4", "1", "0, 1, 2, 6"],
        ["pruned", "1", "0", "3"],
        ["infeasible", "1", "0", "4"],
        ["failed", "1", "0", "5"],
    ]
    said = [cell.text for cell in column(table, "Said")]
    assert said == ["–", "pruned after epoch 2", "macs is 6e+09, but …", "diverged: in epoch 2"]


def test_all_points_with_what_they_lack(tmp_path):
    search = read(tmp_path)
    table = point_table(search)
    dice = column(table, "Best val Dice")
    assert [cell.text for cell in dice] == ["0.600", "0.500", "0.800", "–", "–", "–", "0.800"]
    assert dice[3].detail == "(0.400 by then)"
    assert [c.text for c in column(table, "train.momentum")] == [
        "–",
        "0.9",
        "–",
        "–",
        "–",
        "0.9",
        "–",
    ]
    assert column(table, "State")[6].detail == "as point 2"
    assert column(table, "Point")[2].detail == "chosen"
    frame = point_frame(search)
    assert frame["best_val_dice"].isna().tolist() == [False, False, False, True, True, True, False]
    assert frame["train.momentum"].isna().sum() == 5
