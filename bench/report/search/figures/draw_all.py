"""The figures of a search's report."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.figures import curves, predictions
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import Drawing, theme
from bench.report.search.figures import history as search_history
from bench.report.search.figures import pareto_front as search_front
from bench.report.search.figures.contour import contours
from bench.report.search.figures.parallel import parallel
from bench.report.search.figures.slices import importances, slices
from bench.report.search.search_record import SearchRecord
from bench.stages import each

MAKERS: tuple[Callable[[SearchRecord], Drawing | None], ...] = (
    search_history.history,
    search_front.front,
    importances,
    slices,
    contours,
    parallel,
    search_history.curves,
)
OF_CHOSEN: tuple[Callable[[ExperimentData], Drawing | list[Drawing] | None], ...] = (
    curves.learning_curves,
    predictions.predictions,
)
"""Of the figures of other experiments those that say something of one arm or a few."""


def draw_search(search: SearchRecord, chosen: ExperimentData | None) -> list[Drawing]:
    """Every figure that the search has something to show in; `chosen` are the chosen's trials."""
    with theme():
        found = [make(search) for make in each("drawing figures", MAKERS)]
        more = [make(chosen) for make in OF_CHOSEN] if chosen is not None else []
    for made in more:
        found += made if isinstance(made, list) else [made]
    return [drawing for drawing in found if drawing is not None]
