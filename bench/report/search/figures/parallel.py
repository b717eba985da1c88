"""Every point of a search as a line across its dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from bench.report.figures.look import INK, MUTED, PALE, PAPER, Drawing, fitted, panels, picture
from bench.report.format import numbers
from bench.report.format.display_names import title
from bench.report.search.figures.look import (
    GOOD,
    INKS,
    RED,
    Frame,
    frame_for,
    short_names,
    shortened,
    write_legend,
)
from bench.report.search.search_record import DimensionRecord, ObjectiveRecord, SearchRecord

ABSENT = -0.13  # where lines pass an axis on which their point has no value
BEST = 20  # points that have a colour
_LONG = 9  # labels of a choice from which on only some are written
Shares = npt.NDArray[np.float64]


def parallel(search: SearchRecord) -> Drawing | None:
    """Nothing for a single dimension, of which a slice says all."""
    if not search.complete or len(search.space) < 2:
        return None
    figure, axes = panels(1, 1, 3.7)
    draw_parallel(axes[0], search)
    first = search.objectives[0]
    handles = [Line2D([], [], color=RED, lw=2, label="chosen")] if search.chosen else []
    words = {"pruned": "pruned", "infeasible": "infeasible", "failed": "failed"}
    handles += [
        Line2D([], [], color=INKS[s], lw=0.9, ls=_DASHES[s], label=words[s])
        for s in words
        if s in search.counts
    ]
    best = min(BEST, len(search.complete))
    more = len(search.complete) > best
    handles += [Line2D([], [], color=GOOD(1.0), lw=1.2, label=f"the best {best}")] if more else []
    handles += [Line2D([], [], color=PALE, lw=1.2, label="other complete ones")] if more else []
    if handles:
        write_legend(figure, handles)
    caption = "One line per point, from dimension to dimension to what it came to; "
    caption += f"of the {best} best the bluer, " if more else "the bluer, "
    caption += f"the better its {first.words}. Lines of points without a figure end before it."
    if any(kind.when for kind in search.space.values()):
        caption += " At the dash below an axis, a point has no value on that dimension."
    return Drawing("search_parallel", "All dimensions at once", caption, (picture(figure),))


_DASHES = {"pruned": (0, (4, 2)), "infeasible": (0, (1, 1.5)), "failed": (0, (4, 1.5, 1, 1.5))}


def parallel_data(search: SearchRecord) -> Shares:
    """(points, dimensions + objectives): from 0 to 1 along each axis; NaN where there is no value.

    An objective's axis goes over its frame; values beyond lie at its end.
    """
    kinds = search.space
    found = np.full((len(search.points), len(kinds) + len(search.objectives)), np.nan)
    for row, point in enumerate(search.points):
        for column, (name, kind) in enumerate(kinds.items()):
            if name in point.params:
                found[row, column] = kind.share(point.params[name])
    for k, objective in enumerate(search.objectives):
        low, high = frame = _frame(search, objective)
        values = [point.value(objective.metric) for point in search.points]
        known = [v if math.isnan(v) else (frame.clipped(v) - low) / (high - low) for v in values]
        found[:, len(kinds) + k] = known
    return found


def _frame(search: SearchRecord, objective: ObjectiveRecord) -> Frame:
    return frame_for([point.value(objective.metric) for point in search.complete], objective)


def _colors(objective: ObjectiveRecord) -> object:
    return GOOD if objective.mode == "max" else GOOD.reversed()


def draw_parallel(ax: Axes, search: SearchRecord) -> None:
    """All lines and axes."""
    shares, first = parallel_data(search), search.objectives[0]
    _draw_incomplete(ax, search, shares)
    _draw_complete(ax, search, shares, first)
    width = shares.shape[1]
    ax.set_xlim(-0.15, width - 0.85)
    ax.set_ylim(ABSENT - 0.06, 1.04)
    ax.set_yticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    names = list(short_names(search).values()) + [title(o.metric) for o in search.objectives]
    room = max(9, 78 // width)
    tight = any(len(name) > room for name in names)
    ax.set_xticks(range(width), [shortened(n, 20) if tight else n for n in names],
                  rotation=25 if tight else 0, ha="right" if tight else "center",
                  rotation_mode="anchor")  # fmt: skip
    ax.tick_params(axis="x", length=0, labelsize=7.5)
    kinds: Sequence[DimensionRecord | ObjectiveRecord] = [
        *search.space.values(),
        *search.objectives,
    ]
    for place, kind in enumerate(kinds):
        last = place == width - 1
        _draw_axis(ax, place, _ticks(search, kind, room), last=last)
        if isinstance(kind, DimensionRecord) and kind.when:
            ax.plot([place - 0.06, place + 0.06], [ABSENT] * 2, color=MUTED, lw=1.2, zorder=5)


def _draw_incomplete(ax: Axes, search: SearchRecord, shares: Shares) -> None:
    """Lines of points without a figure, across the dimensions only."""
    dimensions = len(search.space)
    for state, dashes in _DASHES.items():
        rows = [k for k, point in enumerate(search.points) if point.state == state]
        ax.add_collection(LineCollection(
            _paths(shares[rows, :dimensions]), colors=INKS[state], linewidths=0.7,
            linestyles=[dashes], alpha=max(0.15, min(0.7, 20 / (len(rows) or 1))), zorder=1,
        ))  # fmt: skip


def _draw_complete(ax: Axes, search: SearchRecord, shares: Shares, first: ObjectiveRecord) -> None:
    """Lines in the colour of the first objective, the better above the worse."""
    known = [k for k, p in enumerate(search.points) if not math.isnan(p.value(first.metric))]
    if not known:
        return
    values = {k: search.points[k].value(first.metric) for k in known}
    order = sorted(known, key=lambda k: values[k], reverse=first.mode == "min")
    best, others = order[-BEST:], order[:-BEST]
    ends = sorted((values[best[0]], values[best[-1]]))
    scale = (
        Normalize(ends[0], ends[1])
        if ends[0] < ends[1]
        else Normalize(ends[0] - 0.5, ends[0] + 0.5)
    )
    ax.add_collection(LineCollection(_paths(shares[others]), colors=PALE, linewidths=0.5,
                                     alpha=max(0.15, min(0.8, 60 / (len(others) or 1))),
                                     zorder=1.5))  # fmt: skip
    plain = [k for k in best if search.points[k].number not in search.chosen]
    ax.add_collection(LineCollection(_paths(shares[plain]), array=[values[k] for k in plain],
                                     cmap=_colors(first), norm=scale, linewidths=1.1,
                                     zorder=2))  # fmt: skip
    chosen = [k for k in order if search.points[k].number in search.chosen]
    ax.add_collection(LineCollection(_paths(shares[chosen]), colors=RED, linewidths=2, zorder=3))


def _paths(shares: Shares) -> list[Shares]:
    """Each row as a line; what is missing passes below."""
    across = np.arange(shares.shape[1], dtype=float)
    return [np.column_stack([across, np.where(np.isnan(row), ABSENT, row)]) for row in shares]


def _ticks(
    search: SearchRecord, kind: DimensionRecord | ObjectiveRecord, room: int
) -> list[tuple[float, str]]:
    """Shares of an axis with what is written there."""
    if isinstance(kind, ObjectiveRecord):
        low, high = frame = _frame(search, kind)
        values = [v for p in search.complete if not frame.outside(v := p.value(kind.metric))]
        decimals = numbers.decimals_for(values)
        ends = dict.fromkeys((min(values), max(values)))
        return [((v - low) / (high - low), _number(v, decimals)) for v in ends]
    if kind.is_choice:
        labels = list(kind.levels)
        step = math.ceil(len(labels) / _LONG)
        return [(kind.share(v), fitted(v, room + 2)) for v in labels[::step]]
    low, high = kind.ends
    middle = math.sqrt(low * high) if kind.log else (low + high) / 2
    labelled = [low, high] if kind.whole else [low, middle, high]
    return [(kind.share(v), f"{v:.2g}" if v == middle else f"{v:g}") for v in labelled]


def _number(value: float, decimals: int) -> str:
    return numbers.scaled(value) if abs(value) >= 1e4 else numbers.fixed(value, decimals)


def _draw_axis(ax: Axes, place: int, ticks: list[tuple[float, str]], *, last: bool) -> None:
    ax.plot([place, place], [0, 1], color=MUTED if not last else INK, lw=0.9, zorder=4)
    box = {"boxstyle": "round,pad=0.12", "fc": PAPER, "ec": PALE, "lw": 0.4, "alpha": 0.85}
    for share, text in ticks:
        ax.text(place, share, text, ha="center", va="center", fontsize=6.5, color=INK, zorder=6,
                bbox=box)  # fmt: skip
