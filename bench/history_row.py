"""One epoch of a trial's history."""

from __future__ import annotations

from collections.abc import Mapping

HistoryRow = Mapping[str, float | int | None]
"""A row of history.csv by column; None is an empty cell."""
