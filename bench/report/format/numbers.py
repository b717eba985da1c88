"""Numbers as people read them: as many digits as mean something; what is missing is an en dash."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pandas as pd

from bench.analysis.stats import Interval

MISSING = "–"
MINUS = "−"

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def fixed(value: float, decimals: int) -> str:
    """`value` with that many decimals and a true minus sign."""
    if not math.isfinite(value):
        return MISSING if math.isnan(value) else ("∞" if value > 0 else f"{MINUS}∞")
    text = f"{abs(value):.{decimals}f}"
    negative = value < 0 and float(text) != 0
    return MINUS + text if negative else text


def signed(value: float, decimals: int) -> str:
    """`fixed`, with a plus sign for what is above zero."""
    text = fixed(value, decimals)
    return f"+{text}" if value > 0 and math.isfinite(value) else text


def decimals_for(values: Iterable[float], half_widths: Iterable[float] = ()) -> int:
    """Decimals for one column of a metric.

    Three for values below ten, fewer for larger ones, more where the typical interval is so narrow
    that its half-width would show no digit; at most five.
    """
    sizes = [abs(v) for v in values if math.isfinite(v)]
    largest = max(sizes, default=0.0)
    base = 3 if largest < 10 else max(0, 3 - math.floor(math.log10(largest)))
    widths = sorted(w for w in half_widths if math.isfinite(w) and w > 0)
    if not widths:
        return base
    typical = widths[len(widths) // 2]
    return min(5, max(base, -math.floor(math.log10(typical))))


def metric_decimals(summary: pd.DataFrame, column: str) -> int:
    """Decimals for a metric's column of `arm_summary`."""
    half = (summary[f"{column}_high"] - summary[f"{column}_low"]) / 2
    return decimals_for(summary[column], half)


def bounds(found: Interval, decimals: int) -> str:
    """`[0.871, 0.895]`; nothing where there is no interval."""
    if not found.known:
        return ""
    return f"[{fixed(found.low, decimals)}, {fixed(found.high, decimals)}]"


def interval(found: Interval, decimals: int) -> str:
    """`0.883 [0.871, 0.895]`; without an interval only the mean."""
    return f"{fixed(found.mean, decimals)} {bounds(found, decimals)}".rstrip()


def significant(value: float, digits: int = 3) -> str:
    """`value` with so many significant digits, without an exponent in everyday ranges."""
    if not math.isfinite(value) or value == 0:
        return "0" if value == 0 else fixed(value, 0)
    value = float(f"{value:.{digits - 1}e}")  # rounding may reach the next power of ten
    exponent = math.floor(math.log10(abs(value)))
    if not -5 <= exponent < 6:
        return f"{value:.{digits - 1}e}".replace("-", MINUS)
    return fixed(value, max(0, digits - 1 - exponent))


def scaled(value: float, unit: str = "") -> str:
    """`13.4 M`, `31.0 G`: three significant digits and a decimal prefix before the unit."""
    if not math.isfinite(value):
        return MISSING
    for size, prefix in _PREFIXES:
        # What would round up to 1000 belongs to the next prefix.
        if abs(value) >= size * 0.9995:
            return f"{significant(value / size)} {prefix}{unit}"
    return f"{significant(value)} {unit}".rstrip()


def plural(count: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def exact(value: float) -> str:
    """A count with thousands set apart, for example `13,395,394`."""
    return MISSING if not math.isfinite(value) else f"{round(value):,}"


def seconds(value: float) -> str:
    """`0.42 s`, `12.3 s`, `4 min 05 s`, `2 h 03 min`."""
    if not math.isfinite(value):
        return MISSING
    if value < 99.95:
        return f"{significant(value)} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(value / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
