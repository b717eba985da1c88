"""Figures: what each shows as data, how each is drawn on axes, and the set that a report has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.atomic_files import write_bytes
from bench.report.figures import (
    by_arm,
    curves,
    forest,
    fronts,
    images,
    pairs,
    predictions,
    waterfall,
)
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import Drawing, RenderedFigure, theme
from bench.stages import each
from bench.states import BENCH_SOURCE

__all__ = ["Drawing", "ExperimentData", "RenderedFigure", "draw_all", "write_figures"]

Maker = Callable[[ExperimentData], Drawing | list[Drawing] | None]

MAKERS: tuple[Maker, ...] = (
    forest.verdicts,
    waterfall.waterfall,
    by_arm.scores,
    forest.differences,
    pairs.by_two,
    curves.learning_curves,
    fronts.fronts,
    by_arm.convergence,
    by_arm.overfitting,
    pairs.frozen_pairs,
    by_arm.equal_budgets,
    curves.budgets,
    by_arm.throughput,
    predictions.predictions,
    images.worst,
    images.differences,
)


def draw_all(experiment: ExperimentData) -> list[Drawing]:
    """Every figure that the experiment has something to show in, in the report's order."""
    with theme():
        makers = each("drawing figures", MAKERS)
        made = [drawing for make in makers for drawing in _several(make(experiment))]
    return [_with_sources(experiment, drawing) for drawing in made]


def write_figures(drawings: Iterable[Drawing], folder: Path) -> None:
    """Write every picture as PNG and SVG, and remove those of an earlier report that are gone."""
    written = set()
    for drawing in drawings:
        for name, picture in drawing.files.items():
            write_bytes(folder / f"{name}.png", picture.png)
            write_bytes(folder / f"{name}.svg", picture.svg)
            written |= {f"{name}.png", f"{name}.svg"}
    for path in folder.glob("*"):
        if path.suffix in (".png", ".svg") and path.name not in written:
            path.unlink()


def _several(made: Drawing | list[Drawing] | None) -> list[Drawing]:
    if made is None:
        return []
    return made if isinstance(made, list) else [made]


def _with_sources(experiment: ExperimentData, drawing: Drawing) -> Drawing:
    """The figure with a word on arms that were logged elsewhere."""
    sources = sorted({arm.source for arm in experiment.arms} - {BENCH_SOURCE})
    if not sources or drawing.name in ("hypotheses", "differences"):
        return drawing
    note = f" Dashed or hollow: logged elsewhere ({', '.join(sources)})."
    return dataclasses.replace(drawing, caption=drawing.caption + note)
