"""How a search's points look in every figure, and the axes of its dimensions and objectives."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.report.figures.look import INK, MUTED, PAPER, plain_ticks
from bench.report.format import numbers
from bench.report.format.display_names import title
from bench.report.search.search_record import DimensionRecord, ObjectiveRecord, SearchRecord

BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
# Legible on both grounds.
GOOD = LinearSegmentedColormap.from_list("good", ["#b4b4b4", "#7fb2d0", "#2f8fc4", "#005a94"])

MARKS: Mapping[str, str] = {
    "complete": "o", "pruned": "v", "failed": "X", "infeasible": "x", "running": ".",
    "waiting": ".",
}  # fmt: skip
FILLED = ("complete", "pruned", "failed")
INKS: Mapping[str, str] = {
    "complete": BLUE, "pruned": ORANGE, "failed": RED, "infeasible": MUTED, "running": MUTED,
    "waiting": MUTED,
}  # fmt: skip
MANY = 20
_CROWD = 150  # points from which on they are small and let others shine through


class Frame(NamedTuple):
    """The part of an objective's axis that is shown: all values, but for few far worse ones."""

    low: float
    high: float

    def outside(self, value: float) -> bool:
        """Whether a value is written at the edge."""
        return not self.low <= value <= self.high

    def clipped(self, value: float) -> float:
        """The value, or the edge that is nearest to it."""
        return min(max(value, self.low), self.high)


def frame_for(
    values: Sequence[float], objective: ObjectiveRecord, also: Sequence[float] = ()
) -> Frame:
    """Where the better half of the values can be told apart, and always all of `also`.

    Everything is shown unless there are many points and the worst lies more than six times as far
    from the best as the median does; then the frame ends at three times the median's distance.
    """
    known = sorted(value for value in values if math.isfinite(value))
    extra = [value for value in also if math.isfinite(value)]
    if not known:
        known = sorted(extra) or [0.0, 1.0]
    best, worst = (known[-1], known[0]) if objective.mode == "max" else (known[0], known[-1])
    median = known[len(known) // 2]
    end = worst
    if len(known) >= MANY and 0 < 6 * abs(median - best) < abs(worst - best):
        end = best + 3 * (median - best)
    low, high = min(best, end, *extra), max(best, end, *extra)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.01
    return Frame(low - margin, high + margin)


def seen(search: SearchRecord, objective: ObjectiveRecord) -> pd.DataFrame:
    """A row per point: number, state, value (NaN where it has none), reused, chosen.

    A pruned point's value is what it had come to by then.
    """
    rows = [
        (p.number, p.state, search.seen(p, objective.metric), p.reused is not None,
         p.number in search.chosen)
        for p in search.points
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["number", "state", "value", "reused", "chosen"])


def frame_of_points(
    search: SearchRecord,
    objective: ObjectiveRecord,
    shown: pd.DataFrame,
    also: Sequence[float] = (),
) -> Frame:
    """`frame_for` the complete points; a cost's limit is in it.

    What pruned ones had reached is in it where that takes no more than half of the frame.
    """
    limits = [*also, search.limit(objective.metric)]
    by_state = shown["value"].groupby(shown["state"]).agg(list)
    complete, pruned = (list(by_state.get(state, [])) for state in ("complete", "pruned"))
    close = frame_for(complete, objective, limits)
    wide = frame_for([*complete, *pruned], objective, limits)
    too_wide = wide.high - wide.low > 2 * (close.high - close.low)
    return close if complete and too_wide else wide


def draw_points(ax: Axes, shown: pd.DataFrame, frame: Frame) -> None:
    """Points at `x` and `value`, each state as its mark; those outside of the frame at its edge.

    Reused ones are hollow, the chosen ones have a ring.
    """
    many = len(shown) > _CROWD
    for key, rows in shown[shown["value"].notna()].groupby("state"):
        state = str(key)
        for reused, part in rows.groupby("reused"):
            ink = INKS[state]
            hollow = reused or state == "pruned"
            edge: dict[str, Any] = (
                {"edgecolors": ink if hollow else PAPER} if state in FILLED else {}
            )
            out = part["value"].map(frame.outside)
            y = part["value"].map(frame.clipped)
            ax.scatter(part["x"][~out], y[~out], s=9 if many else 20, marker=MARKS[state],
                       c=PAPER if hollow and edge else ink, **edge,
                       linewidths=0.4 if edge and not hollow else 0.9,
                       alpha=0.75 if many else 1.0, zorder=3, clip_on=False)  # fmt: skip
            ax.scatter(part["x"][out], y[out], s=16, marker="_" if state == "complete" else
                       MARKS[state], c=ink, linewidths=1.2, zorder=3, clip_on=False)  # fmt: skip
    ringed = shown[shown["chosen"] & shown["value"].notna()]
    ax.scatter(ringed["x"], ringed["value"].map(frame.clipped), s=70, marker="o", c="none",
               edgecolors=INK, linewidths=1.2, zorder=4, clip_on=False)  # fmt: skip


def draw_limit(line: Callable[..., object], limit: float) -> None:
    """A constraint on the objective itself; `line` is `ax.axhline` or `ax.axvline`."""
    if math.isfinite(limit):
        line(limit, color=MUTED, lw=0.9, ls=(0, (4, 2)), zorder=1)


def tell_beside(ax: Axes, remarks: Sequence[str]) -> None:
    """Remarks above an axes, at its right end."""
    if remarks:
        ax.set_title(" · ".join(remarks), loc="right", fontsize=7, color=MUTED, pad=4)


def told_outside(shown: pd.DataFrame, frame: Frame) -> list[str]:
    """How many points lie beyond the frame."""
    known = shown["value"].dropna()
    counts = {"below": int((known < frame.low).sum()), "above": int((known > frame.high).sum())}
    return [f"{count} {way} the frame" for way, count in counts.items() if count]


def legend_of(figure: Figure, shown: pd.DataFrame, more: Sequence[Line2D] = ()) -> None:
    """What the marks stand for, of those that there are."""
    handles = []
    valued = shown[shown["value"].notna()]
    for state in [state for state in MARKS if state in set(valued["state"])]:
        hollow = state == "pruned"
        handles.append(_handle(state, MARKS[state], INKS[state], hollow=hollow))
    if valued["reused"].any():
        handles.append(_handle("reused", "o", BLUE, hollow=True))
    if valued["chosen"].any():
        handles.append(Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec=INK, mew=1.2,
                              label="chosen"))  # fmt: skip
    if handles or more:
        write_legend(figure, [*handles, *more])


def write_legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """One line above the figure; two where there are very many."""
    figure.legend(handles=list(handles), loc="outside upper left", frameon=False, fontsize=7.5,
                  ncols=min(len(handles), 7), labelcolor=INK, handletextpad=0.4,
                  columnspacing=1.2, handlelength=1.6)  # fmt: skip


def _handle(label: str, marker: str, ink: str, hollow: bool) -> Line2D:
    return Line2D([], [], ls="", marker=marker, ms=5, color=ink, mfc=PAPER if hollow else ink,
                  mec=ink, label=label)  # fmt: skip


def objective_label(objective: ObjectiveRecord) -> str:
    """Of an axis."""
    arrow = "higher" if objective.mode == "max" else "lower"
    return f"{title(objective.metric)} ({arrow} is better)"


def dimension_axis(ax: Axes, axis: Axis, kind: DimensionRecord, most: int = 4) -> None:
    """Limits, scale and ticks of a dimension along an axis of `ax`."""
    horizontal = axis is ax.xaxis
    limits = ax.set_xlim if horizontal else ax.set_ylim
    low, high = kind.ends
    if kind.is_choice:
        crowded = len(kind.levels) > 3 or sum(map(len, kind.levels)) > 22
        labels = [shortened(label, 14) if crowded else label for label in kind.levels]
        axis.set_ticks(range(len(labels)), labels)
        limits(-0.6, len(labels) - 0.4)
        if horizontal and crowded:
            ax.tick_params(axis="x", labelrotation=35)
            for text in axis.get_ticklabels():
                text.set(ha="right", rotation_mode="anchor")
        return
    if kind.log:
        (ax.set_xscale if horizontal else ax.set_yscale)("log")
        margin = (high / low) ** 0.04
        limits(low / margin, high * margin)
        if math.log10(high / low) < 1:
            axis.set_major_locator(FixedLocator([low, math.sqrt(low * high), high]))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
        else:
            plain_ticks(axis)
        axis.set_minor_locator(NullLocator())
    else:
        margin = 0.04 * (high - low)
        limits(low - margin, high + margin)
        axis.set_major_locator(
            MaxNLocator(most, integer=kind.whole is not None, steps=[1, 2, 2.5, 5, 10])
        )


def value_axis(axis: Axis, frame: Frame) -> None:
    """Ticks of an objective: large numbers with a prefix, 150 M."""
    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if max(abs(frame.low), abs(frame.high)) >= 1e4:
        axis.set_major_formatter(FuncFormatter(lambda value, _: round_number(value)))


def round_number(value: float) -> str:
    """`5 G`: as `numbers.scaled`, without zeros at the end."""
    return re.sub(r"\.?0+(?= )", "", text) if "." in (text := numbers.scaled(value)) else text


def shortened(label: str, most: int) -> str:
    """A label of at most so many characters."""
    return label if len(label) <= most else f"{label[: most - 1]}…"


def short_names(search: SearchRecord) -> dict[str, str]:
    """Each dimension's last word where that is clear (`lr`), else its whole name."""
    lasts = [name.rsplit(".", 1)[-1] for name in search.space]
    return {
        name: last if lasts.count(last) == 1 else name
        for name, last in zip(search.space, lasts, strict=True)
    }
