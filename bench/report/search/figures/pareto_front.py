"""What a search with several objectives found: one against the other, and the Pareto front."""

from __future__ import annotations

import itertools
import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from bench.analysis.stats import Interval
from bench.report.figures.look import INK, PALE, PAPER, Drawing, panels, picture, plain_ticks
from bench.report.search.figures.look import (
    BLUE,
    GREEN,
    INKS,
    MARKS,
    Frame,
    draw_limit,
    frame_for,
    objective_label,
    round_number,
    value_axis,
    write_legend,
)
from bench.report.search.search_record import ObjectiveRecord, SearchRecord

MOST = 6  # pairs of objectives


def front(search: SearchRecord) -> Drawing | None:
    """Nothing for one objective."""
    if not search.several or not search.complete:
        return None
    pairs = list(itertools.combinations(reversed(search.objectives), 2))[:MOST]
    columns = min(2, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    figure, axes = panels(rows, columns, 0.5 + 3.1 * rows)
    for ax, (x, y) in zip(axes, pairs, strict=False):
        draw_pair(ax, search, x, y)
    for ax in axes[len(pairs) :]:
        ax.set_axis_off()
    write_legend(figure, _handles(search))
    return Drawing("search_front", "Pareto front", _caption(search, pairs), (picture(figure),))


def front_data(search: SearchRecord, x: ObjectiveRecord, y: ObjectiveRecord) -> pd.DataFrame:
    """The complete points: number, x, y, member (of the front over all objectives), chosen."""
    rows = [
        (p.number, p.value(x.metric), p.value(y.metric), p.number in search.front,
         p.number in search.chosen)
        for p in search.complete
    ]  # fmt: skip
    columns = ["number", "x", "y", "member", "chosen"]
    return pd.DataFrame(rows, columns=columns).sort_values("x", kind="stable")


def draw_pair(ax: Axes, search: SearchRecord, x: ObjectiveRecord, y: ObjectiveRecord) -> None:
    """Two objectives: complete points, the front, the chosen, and what fresh seeds confirm."""
    found = front_data(search, x, y)
    confirmed = _confirmed(search, x, y)
    frames = [
        frame_for(
            found[c].tolist(), o, [search.limit(o.metric), *(p[k].mean for _, p in confirmed)]
        )
        for k, (c, o) in enumerate((("x", x), ("y", y)))
    ]
    _scale(ax, found["x"], frames[0])
    ax.set_ylim(*frames[1])
    value_axis(ax.yaxis, frames[1])
    draw_limit(ax.axhline, search.limit(y.metric))
    draw_limit(ax.axvline, search.limit(x.metric))
    inside = found.assign(x=found["x"].map(frames[0].clipped), y=found["y"].map(frames[1].clipped))
    others, members = inside[~inside["member"]], inside[inside["member"]]
    size = 14 if len(found) < 200 else 7
    ax.scatter(others["x"], others["y"], s=size, c=PALE, zorder=2, clip_on=False)
    if len(search.objectives) == 2:
        where = "post" if (x.mode == "min") == (y.mode == "max") else "pre"
        ax.step(members["x"], members["y"], where=where, color=BLUE, lw=1, zorder=2.5)  # type: ignore[arg-type]  # a plain str is one of three
    ax.scatter(members["x"], members["y"], s=26, c=BLUE, edgecolors=PAPER, linewidths=0.5, zorder=3,
               clip_on=False)  # fmt: skip
    ringed = inside[inside["chosen"]]
    ax.scatter(ringed["x"], ringed["y"], s=80, c="none", edgecolors=INK, linewidths=1.2, zorder=4)
    places = inside.set_index("number")
    for number, pair in confirmed:
        start = [float(places["x"].loc[number]), float(places["y"].loc[number])]
        _draw_confirmed(ax, start, pair, frames)
    for k, objective in enumerate((x, y)):
        _draw_unmeasured(ax, search, objective, along_x=k == 0, frame=frames[k])
    ax.set_xlabel(objective_label(x))
    ax.set_ylabel(objective_label(y))


def _scale(ax: Axes, values: pd.Series[float], frame: Frame) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high > 20 * low:
        ax.set_xscale("log")
        ax.set_xlim(low / 1.25, frame.high * 1.1)
        plain_ticks(ax.xaxis)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: round_number(value)))
    else:
        ax.set_xlim(*frame)
        value_axis(ax.xaxis, frame)


def _confirmed(
    search: SearchRecord, x: ObjectiveRecord, y: ObjectiveRecord
) -> list[tuple[int, tuple[Interval, Interval]]]:
    found = [(number, search.confirmation(number)) for number in search.chosen]
    pairs = [(n, (c.interval(x.metric), c.interval(y.metric))) for n, c in found if c is not None]
    return [(n, pair) for n, pair in pairs if pair[0].n and pair[1].n]


def _draw_confirmed(
    ax: Axes, start: list[float], pair: tuple[Interval, Interval], frames: list[Frame]
) -> None:
    """The mean over fresh seeds with its intervals, tied to what the search had measured."""
    x, y = pair
    ax.plot([start[0], x.mean], [start[1], y.mean], color=GREEN, lw=0.9, ls=":", zorder=3.5)
    if x.known:
        ax.plot([frames[0].clipped(x.low), frames[0].clipped(x.high)], [y.mean] * 2, color=GREEN,
                lw=1.4, zorder=3.6)  # fmt: skip
    if y.known:
        ax.plot([x.mean] * 2, [frames[1].clipped(y.low), frames[1].clipped(y.high)], color=GREEN,
                lw=1.4, zorder=3.6)  # fmt: skip
    ax.plot([x.mean], [y.mean], marker="D", ms=5, color=GREEN, mec=INK, mew=0.6, zorder=5)


def _draw_unmeasured(
    ax: Axes, search: SearchRecord, objective: ObjectiveRecord, *, along_x: bool, frame: Frame
) -> None:
    """Points without the other figure, at the edge, by the one that a constraint tells of them."""
    for state in ("infeasible", "pruned", "failed"):
        points = [point for point in search.points if point.state == state]
        at = [search.known_cost(point, objective.metric) for point in points]
        at = [frame.clipped(value) for value in at if math.isfinite(value)]
        edge = [0.015] * len(at)
        places = (at, edge) if along_x else (edge, at)
        transform = ax.get_xaxis_transform() if along_x else ax.get_yaxis_transform()
        ax.scatter(*places, s=22, marker=MARKS[state], c=INKS[state], linewidths=1, zorder=3,
                   transform=transform, clip_on=False)  # fmt: skip


def _handles(search: SearchRecord) -> list[Line2D]:
    found = [
        Line2D([], [], ls="", marker="o", ms=4, color=PALE, label="complete"),
        Line2D([], [], color=BLUE, marker="o", ms=5, lw=1, label="Pareto front"),
    ]
    if search.chosen:
        found.append(Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec=INK, label="chosen"))
    if any(search.confirmation(number) for number in search.chosen):
        found.append(Line2D([], [], color=GREEN, marker="D", ms=5, ls=":", label="fresh seeds"))
    for state in ("infeasible", "pruned", "failed"):
        points = [point for point in search.points if point.state == state]
        costs = [search.known_cost(p, o.metric) for p in points for o in search.objectives]
        if any(map(math.isfinite, costs)):
            found.append(Line2D([], [], ls="", marker=MARKS[state], ms=5, color=INKS[state],
                                label=f"{state}, at the edge"))  # fmt: skip
    return found


def _caption(search: SearchRecord, pairs: list[tuple[ObjectiveRecord, ObjectiveRecord]]) -> str:
    caption = (
        f"The {len(search.complete)} complete points; {len(search.front)} of them no other one "
        "beats in every objective. Diamonds: the chosen with fresh seeds, mean and 95% t-interval, "
        "tied to what the search had measured."
    )
    if len(search.objectives) > 2:
        caption += " A front over all objectives need not look like one in a pair of them."
    bare = {state: n for state, n in search.counts.items() if state != "complete"}
    if bare:
        names = ", ".join(f"{count} {state}" for state, count in bare.items())
        caption += (
            f" Without figures and so on no front: {names}; at the edge those of which a "
            "constraint tells a cost."
        )
    every = math.comb(len(search.objectives), 2)
    if len(pairs) < every:
        caption += f" Shown: {len(pairs)} of {every} pairs of objectives."
    return caption
