"""What each dimension of a search's space does: importances, and slices along each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from bench.report.figures.look import INK, Drawing, RenderedFigure, fitted, panels, picture
from bench.report.format.display_names import title
from bench.report.search.figures.look import (
    BLUE,
    INKS,
    MARKS,
    Frame,
    dimension_axis,
    draw_limit,
    draw_points,
    frame_of_points,
    legend_of,
    objective_label,
    seen,
    short_names,
    tell_beside,
    told_outside,
    value_axis,
)
from bench.report.search.search_record import ObjectiveRecord, SearchRecord, most_important

COLUMNS = 3
_GOLDEN = 0.6180339887498949


def importances(search: SearchRecord) -> Drawing | None:
    """How much of each objective's variance each dimension explains, with its uncertainty."""
    known = [o for o in search.objectives if search.importances.get(o.metric)]
    if not known:
        return None
    rows = max(len(most_important(search, objective)) for objective in known)
    figure, axes = panels(1, len(known), 0.75 + 0.27 * rows)
    for ax, objective in zip(axes, known, strict=True):
        draw_importances(ax, search, objective)
        if len(known) > 1:
            ax.set_title(title(objective.metric), loc="left")
    return Drawing(
        "search_importances",
        "What matters",
        _importance_caption(search, known),
        (picture(figure),),
    )


def draw_importances(ax: Axes, search: SearchRecord, objective: ObjectiveRecord) -> None:
    """A row per dimension, the most important on top: mean and range over the repeats."""
    shares = search.importances[objective.metric] or {}
    names = most_important(search, objective)
    for row, name in enumerate(names):
        share = shares[name]
        ax.plot([share.low, share.high], [row, row], color=BLUE, lw=5, alpha=0.3,
                solid_capstyle="butt")  # fmt: skip
        ax.plot([share.mean], [row], marker="o", ms=6, color=BLUE)
    ax.set_yticks(range(len(names)), [fitted(name, 26) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(-0.015, min(1.02, 1.08 * max(share.high for share in shares.values())))
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    ax.set_xlabel("Share of the variance explained")


def _importance_caption(search: SearchRecord, known: Sequence[ObjectiveRecord]) -> str:
    count = len(search.complete)
    caption = (
        f"fANOVA on the {count} complete points: how much of the spread between points each "
        "dimension explains, over the whole space. Dot: mean; band: range over ten repeats, each "
        "with points drawn anew with replacement and another seed of the forest. Where bands "
        "overlap, the order of the dimensions is not known. The search looks where values are "
        "good, so a dimension that it settled early counts for less than it would elsewhere."
    )
    left_out = [name for name, kind in search.space.items() if kind.when]
    if left_out:
        caption += f" Not among them, as not every point has them: {', '.join(left_out)}."
    lacking = [o.words for o in search.objectives if o not in known]
    return caption + (f" Nothing can be said of {', '.join(lacking)}." if lacking else "")


def slices(search: SearchRecord) -> Drawing | None:
    """Each objective along each dimension."""
    known = [o for o in search.objectives if seen(search, o)["value"].notna().any()]
    if not known:
        return None
    pages = tuple(_slice_page(search, objective) for objective in known)
    caption = (
        "Every point along each dimension. The others vary along with it, and the search went "
        "where values were good: a picture of where points lie, not of what one dimension does by "
        "itself."
    )
    bare = [s for s in ("infeasible", "failed") if s in search.counts]
    if bare:
        caption += f" Marks below the frame: {' and '.join(bare)} points, which have no value."
    if any(kind.when for kind in search.space.values()):
        caption += " Points that lack a dimension are not in its panel, which says how many."
    if len(pages) > 1:
        caption += f" One picture per objective: {', '.join(o.words for o in known)}."
    return Drawing("search_slices", "Along each dimension", caption, pages)


def slice_data(search: SearchRecord, objective: ObjectiveRecord, name: str) -> pd.DataFrame:
    """`seen`, with `x`: where each point lies on a dimension; those that lack it are left out.

    Labels of a choice are spread a little about their place, the same way every time.
    """
    kind = search.space[name]
    places = {p.number: kind.place(p.params[name]) for p in search.points if name in p.params}
    shown = seen(search, objective)
    shown = shown[shown["number"].isin(places)].copy()
    spread = (shown["number"] * _GOLDEN % 1 - 0.5) * 0.5 if kind.is_choice else 0.0
    shown["x"] = shown["number"].map(places).astype("float64") + spread
    return shown


def _slice_page(search: SearchRecord, objective: ObjectiveRecord) -> RenderedFigure:
    columns = min(COLUMNS, len(search.space))
    rows = math.ceil(len(search.space) / columns)
    figure, axes = panels(rows, columns, 0.5 + 2.0 * rows)
    everything = seen(search, objective)
    frame = frame_of_points(search, objective, everything)
    short = short_names(search)
    for place, (ax, name) in enumerate(zip(axes, search.space, strict=False)):
        draw_slice(ax, search, objective, name, frame)
        ax.set_xlabel(short[name])
        if place % columns == 0:
            ax.set_ylabel(objective_label(objective).replace(" (", "\n("), fontsize=8)
        else:
            ax.tick_params(labelleft=False)
    for ax in axes[len(search.space) :]:
        ax.set_axis_off()
    legend_of(figure, everything)
    return picture(figure)


def draw_slice(
    ax: Axes, search: SearchRecord, objective: ObjectiveRecord, name: str, frame: Frame
) -> None:
    """One dimension against the objective; below the frame the points that have no value."""
    kind, shown = search.space[name], slice_data(search, objective, name)
    ax.set_ylim(*frame)
    value_axis(ax.yaxis, frame)
    draw_limit(ax.axhline, search.limit(objective.metric))
    dimension_axis(ax, ax.xaxis, kind, most=3)
    draw_points(ax, shown, frame)
    if kind.is_choice:
        complete = shown[shown["state"] == "complete"]
        medians = complete["value"].groupby(complete["x"].round()).median().map(frame.clipped)
        ax.scatter(medians.index, medians, marker="_", s=420, c=INK, linewidths=1.4, zorder=3.5)
        ax.grid(visible=False, axis="x")
    bare = shown[shown["value"].isna()]
    for state, rows in bare.groupby("state"):
        ax.scatter(rows["x"], [-0.035] * len(rows), s=11, marker=MARKS[str(state)],
                   c=INKS[str(state)], linewidths=0.8, transform=ax.get_xaxis_transform(),
                   clip_on=False)  # fmt: skip
    absent = search.absent(name)
    remarks = [f"{absent} of {len(search.points)} have none"] if absent else []
    tell_beside(ax, remarks or told_outside(shown, frame))
