from __future__ import annotations

import math

import pytest

from bench.analysis.stats import Interval
from bench.report.format import numbers


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.8834, 3, "0.883"),
        (-0.25, 2, "−0.25"),
        (-0.0001, 2, "0.00"),
        (math.nan, 3, "–"),
        (math.inf, 3, "∞"),
        (-math.inf, 3, "−∞"),
    ],
)
def test_fixed(value, decimals, text):
    assert numbers.fixed(value, decimals) == text


def test_signed():
    assert numbers.signed(0.01, 3) == "+0.010"
    assert numbers.signed(-0.01, 3) == "−0.010"
    assert numbers.signed(math.nan, 3) == "–"


@pytest.mark.parametrize(
    ("values", "widths", "decimals"),
    [
        ([0.88, 0.9], [], 3),
        ([0.88, 0.9], [0.0087], 3),
        ([0.88, 0.9], [0.0004, 0.0005, 0.3], 4),
        ([12.98, 0.2], [], 2),
        ([1234.0], [], 0),
        ([math.nan], [math.nan], 3),
        ([0.5], [1e-9], 5),
        ([0.5], [0.0], 3),
    ],
)
def test_decimals(values, widths, decimals):
    assert numbers.decimals_for(values, widths) == decimals


def test_interval():
    assert numbers.interval(Interval(0.883, 0.871, 0.895, 5), 3) == "0.883 [0.871, 0.895]"
    assert numbers.interval(Interval(0.883, math.nan, math.nan, 1), 3) == "0.883"
    assert numbers.interval(Interval(math.nan, math.nan, math.nan, 0), 3) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (13_395_394, "13.4 M"),
        (31_012_159_488, "31.0 G"),
        (999_999, "1.00 M"),
        (950, "950"),
        (0, "0"),
        (math.nan, "–"),
    ],
)
def test_scaled(value, text):
    assert numbers.scaled(value) == text


def test_scaled_with_a_unit():
    assert numbers.scaled(7_400_500_000, "B") == "7.40 GB"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.4213, "0.421 s"),
        (21.26, "21.3 s"),
        (245, "4 min 05 s"),
        (7380, "2 h 03 min"),
        (math.nan, "–"),
    ],
)
def test_seconds(value, text):
    assert numbers.seconds(value) == text


def test_exact():
    assert numbers.exact(13395394.0) == "13,395,394"


def test_significant_extremes():
    assert numbers.significant(1.234e-7) == "1.23e−07"
    assert numbers.significant(0) == "0"
