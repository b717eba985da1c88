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


def listed(names: Sequence[str]) -> str:
    """`train, val and test`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
