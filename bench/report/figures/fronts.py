"""Pareto fronts: the selected metric against what it costs."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from bench.analysis.arm_summary import interval_of, value_of
from bench.analysis.arms import Arm
from bench.analysis.measurement_conditions import incomparable_axes
from bench.analysis.pareto import COSTS, pareto_members
from bench.report.figures.arm_style import arm_color, arm_marker
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    INK,
    MOST_LABELLED,
    MUTED,
    PALE,
    PAPER,
    Drawing,
    frame_of,
    is_reference,
    legend,
    legend_height,
    panels,
    picture,
    plain_ticks,
)
from bench.report.format.display_names import incomparable_note, title
from bench.report.format.folding import LARGE

_SIZES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def cost_points(experiment: ExperimentData, cost: str, members: pd.Series[bool]) -> pd.DataFrame:
    """The arms that know a cost and the selected metric, cheapest first.

    Columns: arm; cost; mean, low, high (95% t-interval of the figure that ranks arms) and n;
    member: whether it is on the front; group: equal for arms that compete.
    """
    column = experiment.records.best_column
    group_columns = [f"axis.{axis}" for axis in incomparable_axes(experiment.records, column)]
    groups = (
        experiment.summary.groupby(group_columns, sort=False).ngroup() if group_columns else None
    )
    rows = []
    for arm in experiment.arms:
        price = value_of(experiment.summary, arm.number, cost)
        found = interval_of(experiment.summary, arm.number, column)
        if math.isfinite(price) and math.isfinite(found.mean):
            group = 0 if groups is None else int(groups[arm.number])
            rows.append((arm.number, price, *found, bool(members[arm.number]), group))
    columns = ["arm", "cost", "mean", "low", "high", "n", "member", "group"]
    return pd.DataFrame(rows, columns=columns).sort_values("cost", kind="stable")


def draw_front(ax: Axes, points: pd.DataFrame, arms: Sequence[Arm], named: set[int]) -> None:
    """A cost against the metric: a point an arm, with its interval, and the front as steps.

    Arms on the front have a ring; those that are not `named` are pale.
    """
    for _, group in points[points["member"]].groupby("group"):
        ax.step(group["cost"], group["mean"], where="post", color=INK, lw=0.9, zorder=2)
    pale = points[~points["arm"].isin(named)]
    many = len(pale) > LARGE  # then as pixels, also in an SVG
    ink = {"color": MUTED, "alpha": 0.5} if many else {"color": PALE}
    ax.scatter(pale["cost"], pale["mean"], s=9, zorder=1.5, rasterized=many, **ink)
    rows = {int(row["arm"]): row for row in points.to_dict("records") if row["arm"] in named}
    shifts = _shifts({number: float(row["cost"]) for number, row in rows.items()})
    for arm in (arm for arm in arms if arm.number in rows):
        _draw_point(ax, arm, rows[arm.number], shifts[arm.number])
    _scale(ax, points["cost"])


def _draw_point(ax: Axes, arm: Arm, row: Mapping[Hashable, Any], shift: float) -> None:
    """One arm, moved aside by so many points of the page."""
    color = arm_color(arm)
    shifted = ax.transData + ScaledTranslation(shift / 72, 0, ax.figure.dpi_scale_trans)
    style = (0, (2.2, 1.2)) if is_reference(arm) else "-"
    ax.plot([row["cost"]] * 2, [row["low"], row["high"]], color=color, lw=1, ls=style,
            alpha=0.8, zorder=2.5, transform=shifted)  # fmt: skip
    face = PAPER if is_reference(arm) else color
    edge = INK if row["member"] else (color if is_reference(arm) else PAPER)
    ax.plot(row["cost"], row["mean"], marker=arm_marker(arm), color=color, ms=6, mfc=face, mec=edge,
            mew=1.1 if row["member"] else 0.5, zorder=3, ls="", transform=shifted)  # fmt: skip


def _shifts(prices: Mapping[int, float]) -> dict[int, float]:
    """Points of the page to move each arm sideways, so that arms of the same cost stand apart."""
    span = max(prices.values(), default=0.0)
    clusters: list[list[int]] = []
    for number in sorted(prices, key=lambda n: (prices[n], n)):
        if clusters and prices[number] - prices[clusters[-1][0]] <= 0.03 * span:
            clusters[-1].append(number)
        else:
            clusters.append([number])
    return {
        number: min(7.0, 24.0 / len(cluster)) * (place - (len(cluster) - 1) / 2)
        for cluster in clusters
        for place, number in enumerate(sorted(cluster))
    }


def _scale(ax: Axes, costs: pd.Series[float]) -> None:
    cheapest, dearest = float(costs.min()), float(costs.max())
    if cheapest > 0 and dearest > 8 * cheapest:
        ax.set_xscale("log")
        ax.set_xlim(cheapest / 1.5, dearest * 1.5)
        plain_ticks(ax.xaxis)
        return
    start = 0.0 if cheapest < 0.6 * dearest else cheapest  # far from 0 there is nothing to see
    margin = max(0.12 * (dearest - start), 0.02 * dearest)
    ax.set_xlim(start - margin * (start > 0), dearest + margin)
    ax.xaxis.set_major_locator(MaxNLocator(5))


def fronts(experiment: ExperimentData) -> Drawing | None:
    """The figure that ranks arms against each cost that was measured under the same conditions."""
    members = pareto_members(experiment.records, experiment.summary)
    column = experiment.records.best_column
    points = {
        cost: found
        for cost in COSTS
        if cost in members and len(found := cost_points(experiment, cost, members[cost].eq(True)))
    }
    if not points:
        return None
    drawn = {int(number) for found in points.values() for number in found["arm"]}
    on_front = {int(n) for found in points.values() for n in found.loc[found["member"], "arm"]}
    named = drawn if len(drawn) <= MOST_LABELLED else _most_named(experiment, on_front)
    shown = [arm for arm in experiment.arms if arm.number in named]
    behind = len(drawn) - len(shown)
    rows = math.ceil(len(points) / 2)
    height = 2.4 * rows + legend_height(shown, behind)
    figure, axes = panels(rows, min(2, len(points)), height=height, sharey=True)
    for ax, (cost, found) in zip(axes, points.items(), strict=False):
        unit, label = _unit(cost, float(found["cost"].max()))
        draw_front(ax, found.assign(cost=found["cost"] / unit), experiment.arms, named)
        ax.set_xlabel(label)
    for ax in axes[len(points) :]:
        ax.set_axis_off()
    axes[0].set_ylim(*frame_of([interval_of(experiment.summary, n, column) for n in drawn]))
    for ax in axes[:: min(2, len(points))]:
        ax.set_ylabel(title(column))
    legend(figure, shown, lines=False, behind=behind)
    caption = _caption(experiment, [cost for cost in COSTS if cost not in points], behind)
    heading = f"{title(experiment.metric)} against cost"
    return Drawing("pareto", heading, caption, (picture(figure),))


def _most_named(experiment: ExperimentData, on_front: set[int]) -> set[int]:
    """The arms on fronts; of very many those with the best values."""
    ranked = [number for number in experiment.order if number in on_front]
    return set(ranked[:MOST_LABELLED])


def _caption(experiment: ExperimentData, missing: Sequence[str], behind: int) -> str:
    best = "Up" if experiment.records.select.mode == "max" else "Down"
    caption = (
        f"{best} is better and left is cheaper. The steps are the Pareto front, of ringed arms: "
        "no other is as good at as low a cost, by means and medians. Bars are 95% "
        "t-intervals over seeds; arms of the same cost stand side by side."
    )
    if behind:
        caption += " Arms on no front are pale."
    unlike = [
        c for c in missing if not experiment.comparable(c) and experiment.done[c].notna().any()
    ]
    names = {"epoch_seconds": "epoch times", "peak_memory_mb": "memory"}
    if unlike:
        excluded = " and ".join(names[c] for c in unlike)
        caption += f" Without {excluded}, not measured under the same conditions."
    return caption + incomparable_note(experiment.records.incomparable, [experiment.metric])


def _unit(cost: str, largest: float) -> tuple[float, str]:
    if cost == "epoch_seconds":
        return 1.0, "Seconds per training epoch"
    if cost == "peak_memory_mb":
        return (1e3, "Peak memory (GB)") if largest >= 1e4 else (1.0, "Peak memory (MB)")
    name = {"macs": "MACs for one image", "params": "Parameters"}[cost]
    size, prefix = next(((s, p) for s, p in _SIZES if largest >= s), (1.0, ""))
    return size, f"{name} ({prefix})" if prefix else name
