from __future__ import annotations

import math

import pandas as pd
import pytest

from bench.report.format.cells import (
    format_p,
    integer_column,
    p_value_column,
    sort_key,
    text_column,
)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0342, "0.034"), (0.0004, "<0.001"), (0.001, "0.001"), (1.0, "1.000"), (math.nan, "–")],
)
def test_p_values_below_a_thousandth_are_a_bound(p, text):
    assert format_p(p) == text


def test_what_is_missing_is_a_dash_that_sorts_last():
    for column in (
        text_column("T", "", ["a", None]),
        integer_column("I", "", pd.Series([1, None], dtype="Int64")),
        p_value_column("p", "", [0.5, math.nan]),
    ):
        assert column.cells[0].key is not None
        assert (column.cells[1].text, column.cells[1].key) == ("–", None)


def test_sort_key():
    assert sort_key(0.5) == 0.5
    assert sort_key(math.inf) is None
