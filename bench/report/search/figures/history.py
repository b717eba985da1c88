"""What a search found as it went on, and the curves by which points were pruned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bench.analysis.stats import Interval
from bench.report.figures.look import GRID, INK, Drawing, panels, picture
from bench.report.format.display_names import display_name, title
from bench.report.search.figures.look import (
    GREEN,
    INKS,
    MARKS,
    Frame,
    draw_limit,
    draw_points,
    frame_of_points,
    legend_of,
    objective_label,
    seen,
    tell_beside,
    told_outside,
    value_axis,
    write_legend,
)
from bench.report.search.search_record import (
    ObjectiveRecord,
    PointRecord,
    SearchRecord,
    best_so_far,
)


def history(search: SearchRecord) -> Drawing | None:
    """Every point in the order of its number, the best so far, and what fresh seeds confirm."""
    if not search.points:
        return None
    shown = {o.metric: seen(search, o) for o in search.objectives}
    bare = without_value(shown[search.objectives[0].metric])
    ratios = [3.0] * len(shown) + ([0.32 * len(bare) + 0.1] if bare else [])
    figure, axes = panels(len(ratios), 1, 0.85 + 0.85 * sum(ratios), ratios=ratios)
    for ax, objective in zip(axes, search.objectives, strict=False):
        draw_history(ax, search, objective, shown[objective.metric])
        ax.set_ylabel(objective_label(objective).replace(" (", "\n("))
    if bare:
        draw_without_value(axes[-1], bare)
    last = max(point.number for point in search.points)
    for ax in axes:
        ax.set_xlim(-0.6 - 0.01 * last, last + 1.2 + 0.08 * last)
        ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        if ax is not axes[len(ratios) - 1]:
            ax.tick_params(labelbottom=False)
    axes[len(ratios) - 1].set_xlabel("Point, in the order in which they were begun")
    more = [Line2D([], [], color=INK, lw=1.1, label="best so far")]
    if any(search.confirmation(number) for number in search.chosen):
        more.append(Line2D([], [], color=GREEN, marker="D", ms=5, label="fresh seeds"))
    legend_of(figure, pd.concat(shown.values()), more)
    heading = "Course of the search"
    return Drawing("search_history", heading, _history_caption(search), (picture(figure),))


def draw_history(
    ax: Axes, search: SearchRecord, objective: ObjectiveRecord, shown: pd.DataFrame
) -> None:
    """One objective over the points' numbers."""
    found = confirmed_intervals(search, objective)
    ends = [end for interval in found for end in (interval.mean, *_short(interval))]
    frame = frame_of_points(search, objective, shown, ends)
    ax.set_ylim(*frame)
    value_axis(ax.yaxis, frame)
    draw_limit(ax.axhline, search.limit(objective.metric))
    steps = best_so_far(search, objective)
    ax.step([n for n, _ in steps], [frame.clipped(v) for _, v in steps], where="post", color=INK,
            lw=1.1, zorder=2)  # fmt: skip
    draw_points(ax, shown.assign(x=shown["number"]), frame)
    tell_beside(ax, told_outside(shown, frame))
    last = max(point.number for point in search.points)
    for place, interval in enumerate(found):
        x = last + 0.6 + 0.03 * last + 0.012 * last * place
        draw_confirmed(ax, x, interval, frame)


def draw_confirmed(ax: Axes, x: float, interval: Interval, frame: Frame) -> None:
    """The mean over fresh seeds with its interval, as far as that is in the frame."""
    if interval.known:
        ax.plot([x, x], [frame.clipped(interval.low), frame.clipped(interval.high)], color=GREEN,
                lw=1.6, zorder=3)  # fmt: skip
    ax.plot([x], [interval.mean], marker="D", ms=5, color=GREEN, mec=INK, mew=0.6, zorder=4)


def confirmed_intervals(search: SearchRecord, objective: ObjectiveRecord) -> list[Interval]:
    """The objective over fresh seeds of every chosen point that has some."""
    found = [search.confirmation(number) for number in search.chosen]
    intervals = [c.interval(objective.metric) for c in found if c is not None]
    return [interval for interval in intervals if interval.n]


def _short(interval: Interval) -> Sequence[float]:
    """The ends of an interval; of two seeds none, being nine standard deviations away."""
    return (interval.low, interval.high) if interval.n > 2 else ()


def without_value(shown: pd.DataFrame) -> dict[str, list[int]]:
    """The numbers of the points that have no value, by state."""
    bare = shown[shown["value"].isna()]
    return {state: list(bare.loc[bare["state"] == state, "number"]) for state in MARKS
            if (bare["state"] == state).any()}  # fmt: skip


def draw_without_value(ax: Axes, bare: dict[str, list[int]]) -> None:
    """A row for each state, a mark for each point."""
    for row, (state, numbers) in enumerate(bare.items()):
        ax.scatter(numbers, [row] * len(numbers), s=18, marker=MARKS[state], c=INKS[state],
                   linewidths=1.1, clip_on=False)  # fmt: skip
    labels = [f"{state}: {len(numbers)}" for state, numbers in bare.items()]
    ax.set_yticks(range(len(bare)), labels)
    ax.set_ylim(len(bare) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="x")
    ax.spines["left"].set_visible(False)


def _history_caption(search: SearchRecord) -> str:
    n = len(search.seeds)
    mean = "the mean over" if n > 1 else "of"
    seeds = f"{mean} seed{'s' if n > 1 else ''} {', '.join(map(str, search.seeds))}"
    caption = f"Each mark is one point’s validation figure, {seeds}; the line is the best so far."
    caption += " A best of many is lucky in part: it rises by chance alone the longer a search is."
    if any(search.confirmation(number) for number in search.chosen):
        caption += " At the right: the chosen with fresh seeds, mean and 95% t-interval."
    if "pruned" in search.counts:
        caption += " Pruned points are drawn at what they had reached when they were ended."
    bare = {"infeasible", "failed", "running", "waiting"} & set(search.counts)
    return caption + (" Points without a figure stand below the frame." if bare else "")


def curves(search: SearchRecord) -> Drawing | None:
    """The values by which points were judged, epoch by epoch, and where they were ended."""
    known = [point for point in search.points if len(point.curve) and point.reused is None]
    if not any(len(point.curve) > 1 for point in known):
        return None
    figure, axes = panels(1, 1, 2.9)
    draw_curves(axes[0], search, known)
    handles = [Line2D([], [], color=INKS["complete"], lw=1.2, label="complete")]
    if any(point.state == "pruned" for point in known):
        handles.append(Line2D([], [], color=INKS["pruned"], lw=1.2, marker="v", ms=5,
                              label="pruned, and where"))  # fmt: skip
    if any(point.state == "failed" for point in known):
        handles.append(Line2D([], [], color=INKS["failed"], lw=1.2, marker="X", ms=5,
                              label="failed"))  # fmt: skip
    if any(point.number in search.chosen for point in known):
        handles.append(Line2D([], [], color=INK, lw=2, label="chosen"))
    write_legend(figure, handles)
    heading = "Curves of the points" if search.pruner.get("name") == "none" else "Pruning"
    return Drawing("search_curves", heading, _curves_caption(search), (picture(figure),))


def draw_curves(ax: Axes, search: SearchRecord, points: Sequence[PointRecord]) -> None:
    """A line for each point; pruned and failed ones end in their mark."""
    alpha = 0.9 if len(points) < 40 else max(0.12, 40 / len(points))
    for state in ("failed", "pruned", "complete"):
        lines = [p for p in points if p.state == state and p.number not in search.chosen]
        paths = [np.array(sorted(p.curve.items()), dtype=float) for p in lines]
        ax.add_collection(LineCollection(paths, colors=INKS[state], linewidths=0.9, alpha=alpha))
        if state != "complete" and paths:
            ends = np.array([path[-1] for path in paths])
            ax.scatter(ends[:, 0], ends[:, 1], s=14, marker=MARKS[state], c=INKS[state], zorder=3)
    for point in points:
        if point.number in search.chosen:
            path = np.array(sorted(point.curve.items()), dtype=float)
            ax.plot(path[:, 0], path[:, 1], color=INK, lw=2, zorder=4)
    ax.autoscale_view()
    ax.set_xlabel("Seed" if search.by_seed else "Epoch")
    ax.set_ylabel(_judged(search))
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ax.grid(color=GRID)


def _curves_caption(search: SearchRecord) -> str:
    name = str(search.pruner.get("name"))
    if name == "none":
        return f"{_judged(search)} of each point’s first seed, epoch by epoch."
    if search.by_seed:
        return "What each point came to seed by seed; the Wilcoxon pruner leaves the rest out."
    pruned = search.counts.get("pruned", 0)
    caption = f"{_judged(search)} of each point’s first seed, epoch by epoch."
    return caption + f" The pruner ({name}) ended {pruned} of {len(search.points)} points."


def _judged(search: SearchRecord) -> str:
    """What curves show."""
    named = search.pruner.get("metric")
    if named or search.objectives[0].metric.startswith("best_"):
        return (
            f"Best {display_name(str(named)) if named else search.objectives[0].words[5:]} so far"
        )
    return title(search.objectives[0].metric)
