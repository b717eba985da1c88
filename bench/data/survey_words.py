"""A survey in words and tables, the same for the terminal and the report."""

from __future__ import annotations

from collections.abc import Sequence

MISSING = "–"


def percent(share: float | None) -> str:
    """`6.8%`; what is not nothing is not `0.0%`, what is not all is not `100%`."""
    if share is None:
        return MISSING
    if share in (0, 1):
        return f"{share:.0%}"
    if share < 0.001:
        return "<0.1%"
    return ">99.9%" if share > 0.999 else f"{share:.1%}"


def number(value: float) -> str:
    """`4,080`; `0.0123` where it is no whole number."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def span(low: float, high: float) -> str:
    """`0–255`; `-1 to 1`, where a dash would be read as a minus."""
    return f"{number(low)} to {number(high)}" if low < 0 else f"{number(low)}–{number(high)}"


def listed(names: Sequence[str]) -> str:
    """`train, val and test`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
