"""By what experiments can grow."""

from __future__ import annotations

from collections.abc import Callable

from bench.experiment.growth import Growth
from bench.experiment.path_growth import path_growth
from bench.experiment.until_settled import until_settled
from bench.plan.plan import Plan

KINDS: list[Callable[[Plan], Growth | None]] = [path_growth, until_settled]
"""Each is None for plans that do not grow by it; a path's seeds are its own affair."""


def growth_of(plan: Plan) -> Growth | None:
    """By what the plan's experiment grows; None where its trials are all known."""
    return next((found for kind in KINDS if (found := kind(plan)) is not None), None)
