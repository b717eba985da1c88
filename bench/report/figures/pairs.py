"""Pairs: frozen against unfrozen, and the levels of two axes against each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.analysis.effects import grid, summarized
from bench.analysis.measurement_conditions import comparable_axes
from bench.analysis.records import NO_LABEL
from bench.analysis.stats import Interval, mean_interval
from bench.report.figures.arm_style import MARKERS
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    INK,
    MUTED,
    PAPER,
    Drawing,
    RenderedFigure,
    fitted,
    frame_of,
    hue_axis,
    level_colors,
    panels,
    picture,
)
from bench.report.format import numbers
from bench.report.format.display_names import display_name, incomparable_note, title
from bench.states import BENCH_SOURCE

MOST_LINES = 6  # levels that stand as lines; more of them make a map
MOST_PLACES = 12  # levels beside each other
MOST_PAGES = 3
MOST_CELLS = 150  # numbers that a map has room for


@dataclass(frozen=True)
class Frozen:
    """An axis that freezes something: its levels that freeze nothing, and those that do."""

    axis: str
    free: list[str]
    frozen: list[str]


def frozen_axes(experiment: ExperimentData) -> list[Frozen]:
    """Axes of which some levels train fewer parameters than others of the same model have."""
    done = experiment.done.dropna(subset=["params", "trainable_params"])
    frozen = done["trainable_params"] < done["params"]
    found = []
    for axis, levels in experiment.records.axes.items():
        rest = [f"axis.{a}" for a in experiment.records.axes if a != axis]
        keys = [done[c].fillna(NO_LABEL) for c in rest]
        if len(levels) < 2 or (keys and done.groupby(keys)["params"].nunique().gt(1).any()):
            continue  # another model altogether
        if not keys and done["params"].nunique() > 1:
            continue
        share = frozen.groupby(done[f"axis.{axis}"]).mean()
        free = [level for level in levels if share.get(level) == 0]
        held = [level for level in levels if share.get(level) == 1]
        if free and held:
            found.append(Frozen(axis, free, held))
    return found


def level_pairs(
    experiment: ExperimentData, axis: str, levels: Sequence[str], column: str
) -> pd.DataFrame:
    """Finished trials side by side that differ on one axis only.

    Indexed by the other axes (`axis.<name>`), source and seed; a column for each level. Rows with
    fewer than two values drop out.
    """
    done = experiment.done
    others = [f"axis.{a}" for a in experiment.records.axes if a != axis]
    keys = [*others, "source", "seed"]
    rows = done[done[f"axis.{axis}"].isin(levels) & done["seed"].notna()]
    rows = rows.fillna(dict.fromkeys([*others, "source"], NO_LABEL))
    table = rows.pivot_table(
        index=keys, columns=f"axis.{axis}", values=column, aggfunc="first", observed=True
    )
    table = table.reindex(columns=list(levels))
    return table[table.notna().sum(axis=1) >= 2].astype("float64")


def draw_pairs(ax: Axes, table: pd.DataFrame, colors: Mapping[str, str], hue: str | None) -> None:
    """A line for every pair of trials, in the colour of its level on the axis `hue`."""
    places = range(len(table.columns))
    for key, row in zip(table.index, table.to_numpy(), strict=True):
        levels = dict(
            zip(table.index.names, key if isinstance(key, tuple) else (key,), strict=True)
        )
        color = colors.get(str(levels.get(f"axis.{hue}")), MUTED)
        ax.plot(places, row, color=color, lw=0.8, alpha=0.75, marker="o", ms=3.5, mec=PAPER,
                mew=0.4)  # fmt: skip
    _label_places(ax, list(map(str, table.columns)))
    ax.set_xlim(-0.35, len(table.columns) - 0.65)


def pair_difference(
    experiment: ExperimentData, column: str, axis: str, free: str, frozen: str
) -> Interval:
    """Frozen minus free with its interval, as the table of differences has it where it does."""
    for effect in experiment.effects:
        frame = effect.frames.get("differences")
        if effect.column != column or frame is None:
            continue
        for a, b, sign in ((frozen, free, 1), (free, frozen, -1)):
            rows = frame[(frame["axis"] == axis) & (frame["a"] == a) & (frame["b"] == b)]
            if len(rows):
                mean, low, high, n = rows.iloc[0][["estimate", "low", "high", "n"]]
                low, high = (low, high) if sign > 0 else (-high, -low)
                return Interval(sign * mean, low, high, int(n))
    places = {level: place for place, level in enumerate(experiment.records.axes[axis])}
    cells = np.array([(places[frozen], places[free])])
    frame = summarized(*grid(experiment.records, column, [axis]).contrasts(cells, (1, -1)))
    (row,) = frame[["estimate", "low", "high", "n"]].itertuples(index=False)
    return Interval(*row)


def frozen_pairs(experiment: ExperimentData) -> list[Drawing]:
    """For each axis that freezes something: what freezing changes, pair by pair."""
    columns = {
        experiment.records.best_column: title(experiment.records.best_column),
        "epoch_seconds": "Seconds per epoch",
        "peak_memory_mb": "Peak memory (MB)",
    }
    drawings = [_frozen(experiment, found, columns) for found in frozen_axes(experiment)]
    return [drawing for drawing in drawings if drawing is not None]


def _frozen(
    experiment: ExperimentData, found: Frozen, columns: Mapping[str, str]
) -> Drawing | None:
    levels = [*found.free, *found.frozen][:MOST_PLACES]
    tables = {
        column: level_pairs(experiment, found.axis, levels, column)
        for column in columns
        if experiment.comparable(column) or column == experiment.records.best_column
    }
    tables = {column: table for column, table in tables.items() if len(table)}
    if not tables:
        return None
    hue = next((a for a in _by_color(experiment) if a != found.axis), None)
    colors = level_colors(experiment.records, experiment.arms).get(hue, {}) if hue else {}
    shown = {level: color for level, color in colors.items() if len(colors) <= MOST_LINES * 2}
    figure, axes = panels(1, len(tables), height=2.9 + 0.25 * bool(shown))
    for ax, (column, table) in zip(axes, tables.items(), strict=True):
        draw_pairs(ax, table, shown, hue)
        ax.set_ylabel(columns[column])
        amount = pair_difference(experiment, column, found.axis, found.free[0], found.frozen[0])
        decimals = numbers.decimals_for([amount.mean], [(amount.high - amount.low) / 2])
        text = f"{numbers.signed(amount.mean, decimals)} {numbers.bounds(amount, decimals)}"
        if amount.n:
            ax.set_title(text, loc="left", fontsize=8)
    if shown:
        handles = [Line2D([], [], color=c, marker="o", ms=4, label=fitted(level, 40))
                   for level, c in shown.items()]  # fmt: skip
        figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False)
    caption = (
        f"Each line joins the trials of one seed that differ in {found.axis} only. Above: "
        f"{found.frozen[0]} minus {found.free[0]}, the mean over the seeds with all planned pairs "
        "and its 95% interval."
    )
    if len(tables) < len(columns):
        caption += " What was not measured under the same conditions, or not at all, is left out."
    heading = f"Frozen against unfrozen: {found.axis}"
    return Drawing(f"frozen_{_plain(found.axis)}", heading, caption, (picture(figure),))


def _by_color(experiment: ExperimentData) -> list[str]:
    """The axes in the order in which they get colours."""
    return list(level_colors(experiment.records, experiment.arms))


def two_axes(experiment: ExperimentData, column: str, one: str, other: str) -> pd.DataFrame:
    """The finished values of `column` by the levels of two axes, every seed's mean over the rest.

    A seed counts in a cell where it has all that the plan has of it.

    Columns: one, other (labels), seed, value.
    """
    found = grid(experiment.records, column, [one, other])
    values = found.means()
    seeds = np.unique(found.seeds)
    cells = list(itertools.product(experiment.records.axes[one], experiment.records.axes[other]))
    rows = [
        (*cell, int(seed), float(values[i, j]))
        for j, cell in enumerate(cells)
        for i, seed in enumerate(seeds)
        if math.isfinite(values[i, j])
    ]
    return pd.DataFrame(rows, columns=["one", "other", "seed", "value"])


def contrasts(experiment: ExperimentData, column: str, one: str, other: str) -> pd.DataFrame:
    """The second level of `one` minus its first at each level of `other`: as `summarized`."""
    width = len(experiment.records.axes[other])
    cells = np.array([(width + i, i) for i in range(width)])
    frame = summarized(*grid(experiment.records, column, [one, other]).contrasts(cells, (1, -1)))
    return frame.assign(other=experiment.records.axes[other])


def draw_levels(
    ax: Axes, values: pd.DataFrame, lines: Sequence[str], places: Sequence[str],
    colors: Mapping[str, str], style: str = "-",
) -> None:  # fmt: skip
    """One axis's levels as lines over the other's: seeds as points, means with 95% t-intervals."""
    found = []
    for row, line in enumerate(lines):
        shift = (row - (len(lines) - 1) / 2) * min(0.16, 0.6 / len(lines))
        means = []
        for place, level in enumerate(places):
            here = values[(values["one"] == line) & (values["other"] == level)]["value"]
            means.append(mean_interval(here))
            ax.scatter([place + shift + 0.05] * len(here), here, s=9, color=colors[line],
                       edgecolors=PAPER, linewidths=0.3, alpha=0.8, zorder=2)  # fmt: skip
        at = [place + shift for place in range(len(places))]
        for x, mean in zip(at, means, strict=True):
            ax.plot([x] * 2, [mean.low, mean.high], color=colors[line], lw=1.4, zorder=2.5)
        marker = MARKERS[row % len(MARKERS)]
        ax.plot(at, [mean.mean for mean in means], color=colors[line], lw=1, ls=style, ms=5.5,
                marker=marker, mec=PAPER, mew=0.5, label=fitted(line, 40))  # fmt: skip
        found += means
    ax.set_ylim(*frame_of(found, list(values["value"])))
    _label_places(ax, places)


def _label_places(ax: Axes, places: Sequence[str]) -> None:
    ax.set_xticks(range(len(places)), [fitted(level, 18) for level in places])
    spec = ax.get_subplotspec()
    room = 66 // (1 if spec is None else spec.get_gridspec().ncols)
    if len(places) * (2 + max(min(len(level), 18) for level in places)) > room:
        ax.tick_params(axis="x", rotation=35)
        for text in ax.get_xticklabels():
            text.set_horizontalalignment("right")
            text.set_rotation_mode("anchor")
    ax.set_xlim(-0.5, len(places) - 0.5)
    ax.grid(visible=False, axis="x")


def _draw_contrasts(ax: Axes, frame: pd.DataFrame, places: Sequence[str]) -> None:
    for place, row in enumerate(frame.to_dict("records")):
        ax.plot([place] * 2, [row["low"], row["high"]], color=INK, lw=1.4)
        ax.plot(place, row["estimate"], marker="D", ms=4.5, color=INK)
    known = [Interval(r["estimate"], r["low"], r["high"], int(r["n"])) for r in
             frame.to_dict("records")]  # fmt: skip
    ax.set_ylim(*frame_of(known, [0.0]))
    ax.axhline(0, color=MUTED, lw=0.9)
    _label_places(ax, places)


def by_two(experiment: ExperimentData) -> list[Drawing]:
    """The levels of the model axis (or of the first) by every other axis, three at most."""
    column = experiment.records.best_column
    if not experiment.done[column].notna().any():
        return []
    axes = [a for a in _by_color(experiment) if a in comparable_axes(experiment.records, column)]
    one = hue_axis(experiment.records, experiment.arms)
    if one not in axes:
        return []
    others = [axis for axis in axes if axis != one][:MOST_PAGES]
    return [_by_two(experiment, column, one, other) for other in others]


def _by_two(experiment: ExperimentData, column: str, one: str, other: str) -> Drawing:
    lines, places = experiment.records.axes[one], experiment.records.axes[other]
    values = two_axes(experiment, column, one, other)
    heading = f"{title(one)} by {display_name(other)}"
    name = f"{_plain(one)}_by_{_plain(other)}"
    caption = (
        f"{title(column)}, averaged over any other axes within a "
        "seed; a seed counts where it has all their planned levels. "
    )
    if len(lines) > MOST_LINES or len(places) > MOST_PLACES:
        caption += "Means over seeds; an empty field has no finished trial."
        pages: tuple[RenderedFigure, ...] = (_map(experiment, values, one, other),)
    else:
        caption += "Small points are seeds, bars 95% t-intervals over them."
        pages = (_line_page(experiment, values, column, one, other),)
        if len(lines) == 2:
            caption += f" Right: {lines[1]} minus {lines[0]}, paired by seed, with its interval."
    caption += incomparable_note(experiment.records.incomparable, [experiment.metric])
    return Drawing(name, heading, caption, pages)


def _line_page(
    experiment: ExperimentData, values: pd.DataFrame, column: str, one: str, other: str
) -> RenderedFigure:
    lines, places = experiment.records.axes[one], experiment.records.axes[other]
    colors = level_colors(experiment.records, experiment.arms)[one]
    figure, axes = panels(1, 2 if len(lines) == 2 else 1, height=3.2)
    style = "-" if experiment.records.protocol == BENCH_SOURCE else "--"
    draw_levels(axes[0], values, lines, places, colors, style)
    axes[0].set_ylabel(title(column))
    if len(lines) == 2:
        _draw_contrasts(axes[1], contrasts(experiment, column, one, other), places)
        axes[1].set_ylabel(f"{fitted(lines[1], 20)} − {fitted(lines[0], 20)}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=4,
                  frameon=False)  # fmt: skip
    return picture(figure)


def _map(experiment: ExperimentData, values: pd.DataFrame, one: str, other: str) -> RenderedFigure:
    """Means of every pair of levels as shades, the longer axis downwards."""
    down, across = sorted((one, other), key=lambda axis: -len(experiment.records.axes[axis]))
    names = {"one": one, "other": other}
    means = values.rename(columns=names).groupby([down, across])["value"].mean().unstack()
    means = means.reindex(
        index=experiment.records.axes[down][:60], columns=experiment.records.axes[across][:30]
    )
    figure, axes = panels(1, 1, height=1.1 + 0.22 * len(means))
    decimals = numbers.decimals_for(means.to_numpy().ravel())
    small = means.shape[1] <= 12
    sns.heatmap(means, ax=axes[0], cmap="cividis", annot=small, fmt=f".{decimals}f", linewidths=0.4,
                annot_kws={"fontsize": 6.5},
                cbar_kws={"label": title(experiment.records.best_column)},
                xticklabels=True, yticklabels=True)  # fmt: skip
    axes[0].set_xlabel(title(across))
    axes[0].set_ylabel(title(down))
    axes[0].set_xticklabels([fitted(str(c), 14) for c in means.columns], rotation=40, ha="right",
                            rotation_mode="anchor")  # fmt: skip
    axes[0].set_yticklabels([fitted(str(i), 20) for i in means.index], rotation=0)
    return picture(figure)


def _plain(axis: str) -> str:
    """An axis's name as part of a file's."""
    return "".join(c if c.isalnum() else "_" for c in axis)
