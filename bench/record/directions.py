"""Which way metrics are better that no plan declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Literal

from bench.tasks.settings import TASKS

Mode = Literal["min", "max"]


def known_direction(metric: str) -> Mode | None:
    """A task's metric, also of one class (`dice_cat`); a loss or an error. None: nobody says."""
    known = _declared()
    if metric in known:
        return known[metric]
    if "loss" in metric or "error" in metric:
        return "min"
    return "max" if re.fullmatch(r"top[0-9]+", metric) else known.get(metric.split("_")[0])


@cache
def _declared() -> Mapping[str, Mode]:
    """The metrics of all tasks, with two classes."""
    known: dict[str, Mode] = {}
    for name in TASKS.names():
        known |= TASKS.entry(name).settings().metrics(("background", "foreground"))
    return known


def direction(metric: str) -> Mode:
    """As `known_direction`; what nobody says is taken for better the higher."""
    return known_direction(metric) or "max"


def default_metric(metrics: Mapping[str, Mode]) -> str:
    """The metric that chooses the best epoch where nobody says: Dice, else the first but loss."""
    return next((name for name in ("dice", *metrics) if name in metrics and name != "loss"), "loss")
