"""A cumulative design or a path as a waterfall: what each step adds to the score before it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from bench.analysis.ablation import steps
from bench.analysis.contrasts import Word
from bench.analysis.explored import SETTLED
from bench.analysis.stats import Interval
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    INK,
    MUTED,
    PAPER,
    Drawing,
    few_ticks,
    fitted,
    frame_of,
    panels,
    picture,
)
from bench.report.format import numbers
from bench.report.format.display_names import title

UP, DOWN = "#0072b2", "#d55e00"
_HALF_HEIGHT = 0.3


def draw_waterfall(ax: Axes, frame: pd.DataFrame) -> None:
    """The steps from top to bottom, as `bench.analysis.ablation.steps` gives them.

    A step is a bar from the score before it to the score with it, filled where its test says that
    they differ, with the interval of the difference; the two ends are diamonds.
    """
    rows = frame.to_dict("records")
    known = [
        Interval(r["end"], r["start"] + r["low"], r["start"] + r["high"], 0)
        for r in rows
        if r["kind"] == "step"
    ]
    ax.set_xlim(*frame_of(known, [row["end"] for row in rows]))
    decimals = numbers.decimals_for(frame["end"], ((frame["high"] - frame["low"]) / 2))
    for y, row in enumerate(rows):
        if row["kind"] == "end":
            ax.plot(row["end"], y, marker="D", ms=6, color=INK)
            text = numbers.fixed(row["end"], decimals)
        else:
            _draw_step(ax, y, row)
            text = numbers.signed(row["end"] - row["start"], decimals)
        ax.annotate(text, (1.01, y), xycoords=ax.get_yaxis_transform(), va="center", fontsize=8)
        if y + 1 < len(rows):  # the score is handed on to the next row
            ax.plot([row["end"]] * 2, [y, y + 1], color=MUTED, lw=0.8, ls=(0, (2, 1.5)), zorder=0)
    ax.set_yticks(range(len(rows)), [fitted(_label(row), 36) for row in rows])
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    few_ticks(ax)


def waterfall(experiment: ExperimentData) -> Drawing | None:
    """Of a cumulative design or a path whose scores are known; else None."""
    view, design = experiment.ablation, experiment.records.design
    if view is None or design is None:
        return None
    frame = steps(view.frame, design)
    if frame.empty:
        return None
    figure, (ax,) = panels(1, 1, height=0.9 + 0.34 * len(frame))
    unsettled = {one.taken for one in experiment.records.path if one.is_unsettled}
    frame["label"] = [f"{x} (not settled)" if x in unsettled else x for x in frame["label"]]
    draw_waterfall(ax, frame)
    ax.set_title(title(view.column), loc="left")
    caption = (
        "From the first configuration to the last, a component a row: a bar reaches from the mean "
        "without it to the mean with it, the line is the 95% interval of the difference, not "
        "corrected. Filled: the test of the step is settled; hollow: it is not. The axis need not "
        "begin at 0."
    )
    if unsettled:
        caption += " Not settled: another component may have been as good a choice at this step."
    return Drawing("waterfall", "Step by step", caption, (picture(figure),))


def _draw_step(ax: Axes, y: int, row: Mapping[Hashable, Any]) -> None:
    start, end, low, high = (row[name] for name in ("start", "end", "low", "high"))
    color = UP if end >= start else DOWN
    settled = row["conclusion"] in (*map(str, SETTLED), str(Word.CLEAR))
    bar = Rectangle(
        (min(start, end), y - _HALF_HEIGHT), abs(end - start), 2 * _HALF_HEIGHT,
        facecolor=color if settled else PAPER, edgecolor=color, lw=1.2,
    )  # fmt: skip
    ax.add_patch(bar)
    ax.plot([start + low, start + high], [y] * 2, color=INK, lw=1.0, solid_capstyle="butt")


def _label(row: Mapping[Hashable, Any]) -> str:
    return str(row["label"]) if row["kind"] == "end" else f"+ {row['label']}"
