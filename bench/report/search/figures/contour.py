"""An objective over the two dimensions that matter most."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from bench.report.figures.look import INK, Drawing, RenderedFigure, panels, picture
from bench.report.format import numbers
from bench.report.format.display_names import title
from bench.report.search.figures.look import (
    INKS,
    MANY,
    MARKS,
    Frame,
    dimension_axis,
    frame_for,
    legend_of,
    seen,
    value_axis,
)
from bench.report.search.search_record import ObjectiveRecord, SearchRecord, most_important

Grid = npt.NDArray[np.float64]

GRID = 61  # points along each side of the surface
LEAST_WEIGHT = 0.6  # of the points near a place, below which nothing is said of it
MAP = "cividis"
# Over coloured areas, which do not change with the reader's scheme: neither do these.
DARK, LIGHT = "#111111", "#fefefe"


def contours(search: SearchRecord) -> Drawing | None:
    """A page for each objective of which importances are known."""
    pairs = {o.metric: most_important(search, o)[:2] for o in search.objectives}
    known = [o for o in search.objectives if len(pairs[o.metric]) == 2]
    if not known:
        return None
    pages = tuple(_page(search, o, pairs[o.metric][0], pairs[o.metric][1]) for o in known)
    pairs_text = "; ".join(f"{o.words} by {' and '.join(pairs[o.metric])}" for o in known)
    caption = f"The two dimensions with the largest shares: {pairs_text}." + _legend_words(
        search, pairs
    )
    return Drawing("search_contour", "The two that matter most", caption, pages)


def _legend_words(search: SearchRecord, pairs: Mapping[str, Sequence[str]]) -> str:
    """How to read the pages that there are."""
    kinds = {sum(search.space[name].is_choice for name in pair) for pair in pairs.values() if pair}
    caption = ""
    if kinds & {0, 1}:
        caption += " Dots are complete points in the colour of their own value."
    if 0 in kinds and len(search.complete) >= MANY:
        caption += (
            " The ground is a local mean of the points around each place, without regard to the "
            "other dimensions; where too few are near it is left blank."
        )
    if 2 in kinds:
        caption += (
            " In each cell: the median of its complete points, and how many of those tried there "
            "are complete."
        )
    return caption


def _page(search: SearchRecord, objective: ObjectiveRecord, a: str, b: str) -> RenderedFigure:
    figure, axes = panels(1, 1, 3.8)
    x, y = (a, b) if not search.space[b].is_choice or search.space[a].is_choice else (b, a)
    draw_contour(axes[0], search, objective, x, y)
    if not (search.space[x].is_choice and search.space[y].is_choice):
        legend_of(figure, seen(search, objective).assign(value=0.0, reused=False))
    return picture(figure)


def pair_data(search: SearchRecord, objective: ObjectiveRecord, a: str, b: str) -> pd.DataFrame:
    """The points that have both dimensions: `seen`, and `x`, `y` from 0 to 1 along them."""
    space = search.space
    rows = {
        p.number: (space[a].share(p.params[a]), space[b].share(p.params[b]))
        for p in search.points
        if a in p.params and b in p.params
    }
    places = pd.DataFrame.from_dict(rows, orient="index", columns=["x", "y"])
    return seen(search, objective).merge(places, left_on="number", right_index=True)


def surface(x: Grid, y: Grid, values: Grid, at: Grid) -> Grid:
    """The local mean at all places (`at` × `at`), rows along y; NaN where few points are near.

    Nadaraya and Watson's estimate with a Gaussian kernel of Scott's width, n^(−1/6) times the
    points' standard deviation, at most a sixth of the side.
    """
    width = [max(0.03, min(1 / 6, len(x) ** (-1 / 6) * float(np.std(v)))) for v in (x, y)]
    near = [
        np.exp(-0.5 * ((at[:, None] - v[None, :]) / w) ** 2)
        for v, w in zip((x, y), width, strict=True)
    ]
    weight = np.einsum("jk,ik->ij", near[0], near[1])
    total = np.einsum("jk,ik,k->ij", near[0], near[1], values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight >= LEAST_WEIGHT, total / weight, np.nan)


def draw_contour(
    ax: Axes, search: SearchRecord, objective: ObjectiveRecord, a: str, b: str
) -> None:
    """One objective over two dimensions: a surface for two ranges, cells for two choices."""
    space, shown = search.space, pair_data(search, objective, a, b)
    known = shown[(shown["state"] == "complete") & shown["value"].notna()]
    frame = frame_for(known["value"].tolist(), objective)
    scale = Normalize(*_tight(known["value"].tolist(), frame))
    dimension_axis(ax, ax.xaxis, space[a])
    dimension_axis(ax, ax.yaxis, space[b])
    ax.grid(visible=False)
    choices = space[a].is_choice, space[b].is_choice
    if not any(choices) and len(known) >= MANY:
        at = np.linspace(0, 1, GRID)
        x, y, values = (known[c].to_numpy(dtype=float) for c in ("x", "y", "value"))
        found = surface(x, y, values, at)
        levels = np.linspace(scale.vmin, scale.vmax, 13)  # type: ignore[arg-type]  # set by what is drawn above
        if np.isfinite(found).any():
            ax.contourf(unshared(search, a, at), unshared(search, b, at),
                        np.clip(found, scale.vmin, scale.vmax), levels, cmap=MAP,
                        alpha=0.75, zorder=0.5)  # fmt: skip
    if all(choices):
        _draw_cells(ax, search, shown, a, b, scale)
    else:
        _draw_dots(ax, search, shown, known, a, b, scale)
    ax.set_xlabel(a)
    ax.set_ylabel(b)
    outside = any(frame.outside(value) for value in known["value"])
    bar = ax.figure.colorbar(ScalarMappable(scale, MAP), ax=ax, fraction=0.05, pad=0.02,
                             extend=_extended(objective) if outside else "neither")  # fmt: skip
    value_axis(bar.ax.yaxis, frame)
    bar.set_label(title(objective.metric))
    bar.outline.set_visible(False)


def _tight(values: list[float], frame: Frame) -> tuple[float, float]:
    """The range of the colours: the values that are in the frame."""
    inside = [value for value in values if not frame.outside(value)]
    low, high = min(inside), max(inside)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _extended(objective: ObjectiveRecord) -> str:
    return "min" if objective.mode == "max" else "max"


def unshared(search: SearchRecord, name: str, shares: Grid) -> Grid:
    """Values of a dimension at shares of its axis, the inverse of `Dimension.share`."""
    low, high = search.space[name].ends
    if search.space[name].log:
        return np.exp(math.log(low) + shares * (math.log(high) - math.log(low)))
    return low + shares * (high - low)


def _draw_dots(
    ax: Axes,
    search: SearchRecord,
    shown: pd.DataFrame,
    known: pd.DataFrame,
    a: str,
    b: str,
    scale: Normalize,
) -> None:
    """Points at their places; across a choice they are spread a little."""
    size = 26 if len(known) < 150 else 10
    for key, rows in shown[shown["state"] != "complete"].groupby("state"):
        state = str(key)
        ax.scatter(*_places(search, rows, a, b), s=0.7 * size, marker=MARKS[state],
                   facecolors="none" if state == "pruned" else INKS[state],
                   edgecolors=INKS[state] if state == "pruned" else None, linewidths=0.8,
                   zorder=2)  # fmt: skip
    ax.scatter(*_places(search, known, a, b), s=size, c=known["value"], cmap=MAP, norm=scale,
               edgecolors=LIGHT, linewidths=0.5, zorder=3)  # fmt: skip
    ringed = known[known["chosen"]]
    ax.scatter(*_places(search, ringed, a, b), s=90, marker="o", c="none", edgecolors=DARK,
               linewidths=2.6, zorder=4)  # fmt: skip
    ax.scatter(*_places(search, ringed, a, b), s=90, marker="o", c="none", edgecolors=LIGHT,
               linewidths=1.1, zorder=5)  # fmt: skip


def _places(search: SearchRecord, rows: pd.DataFrame, a: str, b: str) -> tuple[Grid, Grid]:
    spread = (rows["number"].to_numpy() * 0.618034 % 1 - 0.5) * 0.5
    found = []
    for name, column in ((a, "x"), (b, "y")):
        at = unshared(search, name, rows[column].to_numpy(dtype=float))
        found.append(at + spread if search.space[name].is_choice else at)
    return found[0], found[1]


def _draw_cells(
    ax: Axes, search: SearchRecord, shown: pd.DataFrame, a: str, b: str, scale: Normalize
) -> None:
    """The median of each pair of labels, and how many of the points tried there are complete."""
    columns, rows = (len(search.space[name].levels) for name in (a, b))
    cells = np.full((rows, columns), np.nan)
    complete = shown["state"] == "complete"
    decimals = numbers.decimals_for(shown.loc[complete, "value"])
    at = [(shown[c] * (n - 1)).round().astype(int) for c, n in (("y", rows), ("x", columns))]
    for place, part in shown.groupby(at):
        row, column = map(int, cast("tuple[int, int]", place))
        values = part.loc[complete[part.index], "value"]
        cells[row, column] = values.median()
        light = len(values) and scale(values.median()) < 0.55
        text = f"{numbers.fixed(float(values.median()), decimals)}\n{len(values)} of {len(part)}"
        text += "\nchosen" if part["chosen"].any() else ""
        ax.text(column, row, text, ha="center", va="center", fontsize=7.5,
                color=LIGHT if light else DARK if len(values) else INK)  # fmt: skip
    ax.imshow(cells, cmap=MAP, norm=scale, aspect="auto", origin="lower", zorder=0.5)
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(-0.5, rows - 0.5)
