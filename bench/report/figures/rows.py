"""Figures with a row for every arm: each seed a point, the mean with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from bench.analysis.arm_summary import baseline_column, value_of
from bench.analysis.arms import Arm
from bench.analysis.stats import Interval
from bench.report.figures import plot_data
from bench.report.figures.arm_style import arm_color, arm_marker
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    INK,
    MUTED,
    PALE,
    PAPER,
    Drawing,
    RenderedFigure,
    few_ticks,
    fitted,
    frame_of,
    is_reference,
    level_colors,
    panels,
    picture,
    varying_axes,
)
from bench.report.format import numbers
from bench.report.format.folding import best_and_worst

ROWS = 40  # on one page
MOST_SHAPES = 400  # of more points the SVG has pixels
MOST_PAGES = 6


@dataclass(frozen=True)
class Panel:
    """One column of a figure by arm.

    Attributes:
        column: whose values, in `data`'s frames.
        label: of its axis.
        from_zero: whether the axis begins at 0, as that of a cost does.
        integer: whether its ticks are whole numbers.
        baseline: whether the trivial prediction's figure is drawn.
    """

    column: str
    label: str
    from_zero: bool = False
    integer: bool = False
    baseline: bool = False


def draw_rows(
    ax: Axes,
    values: pd.DataFrame,
    arms: Sequence[Arm],
    panel: Panel,
    floors: Mapping[int, float] | None = None,
) -> None:
    """A row per arm: every seed a point, the mean with its 95% t-interval, the baseline dashed.

    The interval of an arm logged elsewhere is dashed. A baseline far outside of the arms' range is
    written at the edge, not drawn.
    """
    here = values[values["column"] == panel.column]
    means = plot_data.intervals_by_arm(here, panel.column)
    places = {arm.number: place for place, arm in enumerate(arms)}
    here = here[here["arm"].isin(places)]
    left, right = frame_of([means[n] for n in places if n in means], list(here["value"]))
    floors = {n: f for n, f in (floors or {}).items() if n in places and math.isfinite(f)}
    near = {n: f for n, f in floors.items() if 2 * left - right < f < 2 * right - left}
    left, right = min([left, *near.values()]), max([right, *near.values()])
    if panel.from_zero and left >= 0:
        left = 0.0
    _draw_arms(ax, here, arms, means)
    ax.add_collection(LineCollection(
        [[(f, places[n] - 0.5), (f, places[n] + 0.5)] for n, f in near.items()],
        colors=INK, linewidths=1, linestyles=(0, (1, 1.5)), label="baseline",
    ))  # fmt: skip
    if left < 0 < right:
        ax.axvline(0, color=MUTED, lw=0.8, zorder=0.5)
    margin = 0.03 * (right - left)
    ax.set_xlim(left - margin * (left != 0 or not panel.from_zero), right + margin)
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set_xlabel(panel.label)
    few_ticks(ax, integer=panel.integer)
    far = [f for n, f in floors.items() if n not in near]
    if far:
        _tell_far(ax, far, below=far[0] < left)


def _draw_arms(
    ax: Axes, here: pd.DataFrame, arms: Sequence[Arm], means: Mapping[int, Interval]
) -> None:
    """Seeds, intervals and means of all arms: few artists, since there may be hundreds of rows."""
    places = {arm.number: place for place, arm in enumerate(arms)}
    colors = {arm.number: arm_color(arm) for arm in arms}
    markers = here["arm"].map({arm.number: arm_marker(arm) for arm in arms})
    for marker, rows in here.groupby(markers):
        ax.scatter(rows["value"], rows["arm"].map(places) + 0.22, s=13, marker=str(marker),
                   c=list(rows["arm"].map(colors)), edgecolors=PAPER, linewidths=0.4,
                   zorder=3, rasterized=len(here) > MOST_SHAPES)  # fmt: skip
    for reference in (False, True):
        shown = [a for a in arms if is_reference(a) == reference and a.number in means]
        known = [(a, means[a.number]) for a in shown if means[a.number].known]
        ax.add_collection(LineCollection(
            [[(m.low, places[a.number]), (m.high, places[a.number])] for a, m in known],
            colors=[arm_color(a) for a, _ in known], linewidths=1.8,
            linestyles=(0, (2.2, 1.2)) if reference else "-",
        ))  # fmt: skip
        x, y = [means[a.number].mean for a in shown], [places[a.number] for a in shown]
        ink = [arm_color(a) for a in shown]
        if reference:
            ax.scatter(x, y, marker="D", s=20, c=PAPER, edgecolors=ink, linewidths=1.2, zorder=4)
        else:
            ax.scatter(x, y, marker="|", s=80, c=ink, linewidths=2, zorder=4)


def _tell_far(ax: Axes, floors: Sequence[float], below: bool) -> None:
    """A remark above the axes on baselines outside of the frame."""
    decimals = numbers.decimals_for(floors)
    low, high = (numbers.fixed(f, decimals) for f in (min(floors), max(floors)))
    text = f"baseline {low}" if low == high else f"baselines {low} to {high}"
    ax.set_title(f"◂ {text}" if below else f"{text} ▸", loc="left" if below else "right",
                 fontsize=8, color=MUTED)  # fmt: skip


def label_rows(ax: Axes, experiment: ExperimentData, arms: Sequence[Arm], width: int) -> None:
    """The arms' names along y; how many of an arm's trials finished where some did not."""
    labels = []
    for arm in arms:
        done, failed, missing = (
            int(value_of(experiment.summary, arm.number, f"n_{state}"))
            for state in ("done", "failed", "missing")
        )
        lost = f" ({done} of {done + failed + missing})" if failed + missing else ""
        labels.append(fitted(arm.label, width - len(lost)) + lost)
    ax.set_yticks(range(len(arms)), labels)
    ax.tick_params(axis="y", length=0)


def row_pages(
    experiment: ExperimentData,
    values: pd.DataFrame,
    shown: Sequence[Panel],
    most_pages: int = 1,
) -> tuple[list[RenderedFigure], str]:
    """Pictures of all arms that have values, the best first where one page cannot hold them.

    Returns them with a remark on what is not in them.
    """
    having = set(values["arm"])
    arms = [arm for arm in experiment.arms if arm.number in having]
    lost = [arm for arm in experiment.arms if arm.number not in having]
    note = _counted(experiment, lost)
    if len(arms) > ROWS:
        places = {number: place for place, number in enumerate(experiment.order)}
        arms.sort(key=lambda arm: places.get(arm.number, len(places)))
        if experiment.is_large:
            best, worst = best_and_worst(arms, ROWS)
            note += (
                f" Shown: the {len(best)} best and, below the line, the {len(worst)} worst of "
                f"{len(arms)} arms; tables/ and runs.csv have the other {len(arms) - ROWS}."
            )
            return [_row_page(experiment, values, shown, [*best, *worst], line=len(best))], note
        kept = arms[: ROWS * most_pages]
        if len(kept) < len(arms):
            note += (
                f" Shown: the {len(kept)} best of {len(arms)} arms; tables/ and runs.csv have all."
            )
        arms = kept
    pages = [arms[start : start + ROWS] for start in range(0, len(arms), ROWS)]
    return [_row_page(experiment, values, shown, page) for page in pages], note


def _row_page(
    experiment: ExperimentData,
    values: pd.DataFrame,
    shown: Sequence[Panel],
    arms: Sequence[Arm],
    line: int = 0,
) -> RenderedFigure:
    """One page; a line stands above the row of this number, if it is not the first."""
    figure, axes = panels(1, len(shown), height=0.8 + 0.3 * len(arms), sharey=True)
    for ax, panel in zip(axes, shown, strict=True):
        floors = {
            arm.number: value_of(experiment.summary, arm.number, baseline_column(panel.column))
            for arm in arms
            if panel.baseline
        }
        draw_rows(ax, values, arms, panel, floors)
    label_rows(axes[0], experiment, arms, width=(44, 34, 26)[min(len(shown), 3) - 1])
    _stripes(axes, len(arms))
    for ax in axes if line else ():
        ax.axhline(line - 0.5, color=INK, lw=1)
    return picture(figure)


def _stripes(axes: Sequence[Axes], rows: int) -> None:
    """Hair lines between rows, and none through them, which would look like intervals."""
    for ax in axes:
        ax.grid(visible=False, axis="y")
        ax.hlines(np.arange(1, rows) - 0.5, 0, 1, colors=PALE, linewidths=0.3, zorder=0,
                  transform=ax.get_yaxis_transform())  # fmt: skip


def _counted(experiment: ExperimentData, lost: Sequence[Arm]) -> str:
    """A remark on trials that failed and on arms that have no figure."""
    failed = int(experiment.summary["n_failed"].sum())
    text = ""
    if failed:
        verb = "trial failed and is" if failed == 1 else "trials failed and are"
        text += f" {failed} {verb} in no number; in brackets: trials finished of those planned."
    if lost:
        names = ", ".join(arm.label for arm in lost[:4]) + (", …" if len(lost) > 4 else "")
        verb = "has" if len(lost) == 1 else "have"
        text += f" {len(lost)} of {len(experiment.arms)} arms {verb} no such figure: {names}."
    return text


def level_rows(experiment: ExperimentData, values: pd.DataFrame, column: str) -> pd.DataFrame:
    """Every arm's mean of `column` once for each of its levels: columns axis, level, arm, mean."""
    means = plot_data.intervals_by_arm(values, column)
    rows = []
    for axis in varying_axes(experiment.records, experiment.arms):
        places = {level: place for place, level in enumerate(experiment.records.axes[axis])}
        known = [a for a in experiment.arms if a.number in means and a.levels[axis] in places]
        known.sort(key=lambda arm: places[arm.levels[axis]])
        rows += [(axis, a.levels[axis], a.number, means[a.number].mean) for a in known]
    return pd.DataFrame(rows, columns=["axis", "level", "arm", "mean"])


def level_page(
    experiment: ExperimentData, values: pd.DataFrame, shown: Sequence[Panel]
) -> RenderedFigure | None:
    """A row per level of each axis: every arm's mean a point, the median of them a line."""
    frames = [level_rows(experiment, values, panel.column) for panel in shown]
    keys = list(dict.fromkeys(zip(frames[0]["axis"], frames[0]["level"], strict=True)))
    counts = pd.Series([axis for axis, _ in keys]).value_counts()
    keys = [key for key in keys if counts[key[0]] <= ROWS]
    if not keys:
        return None
    colors = level_colors(experiment.records, experiment.arms)
    figure, axes = panels(1, len(shown), height=0.9 + 0.2 * len(keys), sharey=True)
    for ax, panel, frame in zip(axes, shown, frames, strict=True):
        _draw_levels(ax, frame, keys, [colors[axis][level] for axis, level in keys],
                     pixels=experiment.is_large)  # fmt: skip
        ax.set_xlabel(panel.label)
        few_ticks(ax)
        if panel.from_zero:
            ax.set_xlim(left=0)
    several = len({axis for axis, _ in keys}) > 1
    labels = [fitted(f"{axis}: {level}" if several else level, 34) for axis, level in keys]
    axes[0].set_yticks(range(len(keys)), labels)
    axes[0].tick_params(axis="y", length=0)
    axes[0].set_ylim(len(keys) - 0.5, -0.5)
    return picture(figure)


def _draw_levels(
    ax: Axes,
    frame: pd.DataFrame,
    keys: Sequence[tuple[str, str]],
    colors: Sequence[str],
    pixels: bool,
) -> None:
    """The points are pixels also in an SVG where there are thousands of them."""
    places = {key: place for place, key in enumerate(keys)}
    rows = pd.Series(list(zip(frame["axis"], frame["level"], strict=True))).map(places)
    known, means = rows.notna().to_numpy(), frame["mean"].to_numpy()
    at = rows[known].astype(int)
    ax.scatter(means[known], at, s=9, c=[colors[i] for i in at], alpha=0.6, linewidths=0,
               rasterized=pixels)  # fmt: skip
    medians = pd.Series(means[known]).groupby(at.to_numpy()).median()
    ax.scatter(medians, medians.index, marker="|", s=80, c=INK, linewidths=1.8, zorder=3)


def by_arm(
    experiment: ExperimentData,
    name: str,
    heading: str,
    values: pd.DataFrame,
    shown: Sequence[Panel],
    caption: str,
    all_pages: bool = False,
) -> Drawing | None:
    """A figure of one row per arm; of very many arms one of their levels comes first."""
    shown = [panel for panel in shown if (values["column"] == panel.column).any()]
    values = values[values["column"].isin([panel.column for panel in shown])]
    if not shown:
        return None
    pages, note = row_pages(experiment, values, shown, MOST_PAGES if all_pages else 1)
    if values["arm"].nunique() > ROWS and (levels := level_page(experiment, values, shown)):
        pages.insert(0, levels)
        note = " First picture: every point is one arm's mean, by its levels; the line is their" \
            " median. Then the arms, best first." + note  # fmt: skip
    return Drawing(name, heading, caption + note, tuple(pages))
