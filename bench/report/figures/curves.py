"""Curves: every metric over the epochs, and the best so far over what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from bench.analysis.arms import Arm
from bench.metric_columns import val_curve
from bench.report.figures import plot_data
from bench.report.figures.arm_style import arm_color, arm_marker
from bench.report.figures.by_arm import UNEQUAL
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    MOST_LABELLED,
    MUTED,
    PALE,
    PAPER,
    Drawing,
    RenderedFigure,
    dashes,
    few_ticks,
    legend,
    legend_height,
    panels,
    picture,
    plain_ticks,
)
from bench.report.format.display_names import display_name, incomparable_note, title

PANELS = 8  # metrics on one page
HIGHLIGHTED = 8  # arms in colour where not all can be
FEWEST_FOR_BAND = 3  # seeds
MARKS = 5  # markers along a curve


def draw_curves(
    ax: Axes, curves: pd.DataFrame, arms: Sequence[Arm], metric: str, behind: Sequence[Arm] = ()
) -> None:
    """One metric's means with bands over the epochs; those of `behind` pale and without bands.

    Arms logged elsewhere are dashed. Losses that span decades stand on a log scale.
    """
    here = curves[curves["metric"] == metric]
    shown = [arm for arm in arms if (here["arm"] == arm.number).any()]
    _draw_behind(ax, here, behind, "epoch")
    for arm in shown:
        curve = here[here["arm"] == arm.number]
        # two seeds' intervals reach nine deviations to either side: they would hide the rest
        curve = curve.assign(low=curve["low"].where(curve["n"] >= FEWEST_FOR_BAND))
        ax.fill_between(
            curve["epoch"], curve["low"], curve["high"], color=arm_color(arm), alpha=0.12, lw=0
        )
    _draw_lines(ax, here, shown, "epoch")
    if here["epoch"].nunique() == 1:
        ax.set_xlim(here["epoch"].iloc[0] - 1, here["epoch"].iloc[0] + 1)
    ours = here[here["arm"].isin([arm.number for arm in [*shown, *behind]])]
    _limit(ax, ours, metric)
    ax.set_title(title(metric), loc="left")
    ax.set_xlabel("Epoch")
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel("")


def _draw_behind(ax: Axes, here: pd.DataFrame, behind: Sequence[Arm], along: str) -> None:
    """Pale lines, all at once and as pixels also in an SVG: there may be hundreds."""
    rows = here[here["arm"].isin([arm.number for arm in behind])].sort_values("arm", kind="stable")
    starts = np.flatnonzero(np.diff(rows["arm"].to_numpy())) + 1
    lines = np.split(rows[[along, "mean"]].to_numpy(dtype=float), starts)
    if len(rows):  # pixels keep their ink on a dark page: a half-transparent grey suits both
        ax.add_collection(
            LineCollection(
                lines, colors=MUTED, alpha=0.4, linewidths=0.5, zorder=1, rasterized=True
            )
        )


def _draw_lines(ax: Axes, here: pd.DataFrame, shown: Sequence[Arm], along: str) -> None:
    """One line an arm in its colour, with a few of its markers, not all at the same place."""
    sns.lineplot(
        data=here[here["arm"].isin([arm.number for arm in shown])],
        x=along,
        y="mean",
        hue="arm",
        style="arm",
        palette={arm.number: arm_color(arm) for arm in shown},
        dashes={arm.number: dashes(arm) for arm in shown},
        markers={arm.number: arm_marker(arm) for arm in shown},
        estimator=None,
        errorbar=None,
        linewidth=1.3,
        markersize=4,
        markeredgecolor=PAPER,
        markeredgewidth=0.4,
        legend=False,
        ax=ax,
    )
    for place, line in enumerate(ax.lines):
        step = math.ceil(np.size(line.get_xdata()) / MARKS)
        line.set_markevery((place * step // len(ax.lines), step))


def _limit(ax: Axes, here: pd.DataFrame, metric: str) -> None:
    """The frame spans the seeds' own values; an infinite loss leaves it."""
    ends = here[["lowest", "highest"]].replace([math.inf, -math.inf], math.nan)
    lowest, highest = ends["lowest"].min(), ends["highest"].max()
    if "loss" in metric and lowest > 0 and highest > 20 * lowest:
        ax.set_yscale("log")
        ax.set_ylim(lowest / 1.15, highest * 1.15)
        plain_ticks(ax.yaxis)
    elif math.isfinite(highest - lowest):
        margin = 0.04 * (highest - lowest) or 0.01
        ax.set_ylim(lowest - margin, highest + margin)


def learning_curves(experiment: ExperimentData) -> Drawing | None:
    """Every metric over the epochs."""
    curves = plot_data.curve_data(experiment)
    if curves.empty:
        return None
    drawn = sorted(curves["arm"].unique())
    shown, others = experiment.leading(drawn, _most(len(drawn)))
    behind = experiment.backdrop(others)
    first = ["train/loss", "val/loss", val_curve(experiment.metric)]
    known = list(curves["metric"].unique())
    metrics = [m for m in dict.fromkeys([*first, *known]) if m in known]
    pages = [metrics[start : start + PANELS] for start in range(0, len(metrics), PANELS)]
    caption = (
        "Mean over the finished seeds; the band is the mean's 95% t-interval at each epoch (none "
        "under three seeds) and may leave the frame, which spans the seeds' own values."
    )
    if (curves.groupby("arm")["n"].nunique() > 1).any():
        caption += " Some seeds stopped earlier: later means are over those that went on."
    caption += _behind_note(shown, behind, len(others)) + incomparable_note(
        experiment.records.incomparable, experiment.records.metrics
    )
    pictures = tuple(_curve_page(curves, shown, behind, page) for page in pages)
    return Drawing("learning_curves", "Learning curves", caption, pictures)


def _curve_page(
    curves: pd.DataFrame, shown: Sequence[Arm], behind: Sequence[Arm], metrics: Sequence[str]
) -> RenderedFigure:
    rows = math.ceil(len(metrics) / 2)
    height = 2.3 * rows + legend_height(shown, len(behind))
    figure, axes = panels(rows, min(2, len(metrics)), height=height)
    for ax, metric in zip(axes, metrics, strict=False):
        draw_curves(ax, curves, shown, metric, behind)
    for ax in axes[len(metrics) :]:
        ax.set_axis_off()
    legend(figure, shown, behind=len(behind))
    return picture(figure)


def _most(arms: int) -> int:
    return MOST_LABELLED if arms <= MOST_LABELLED else HIGHLIGHTED


def _behind_note(shown: Sequence[Arm], behind: Sequence[Arm], others: int) -> str:
    if not behind:
        return ""
    text = f" In colour: the {len(shown)} best of {len(shown) + others} arms; pale: "
    if len(behind) == others:
        return f"{text}the others."
    return (
        f"{text}{len(behind)} others, at equal steps of the ranking down to the worst; "
        f"{others - len(behind)} are not shown."
    )


def budgets(experiment: ExperimentData) -> Drawing | None:
    """The best so far over epochs, seconds and multiply-adds."""
    running = plot_data.running_best(experiment)
    common = {cost: plot_data.common_budget(running, cost) for cost in plot_data.BUDGETS}
    known = [cost for cost in plot_data.BUDGETS if math.isfinite(common[cost])]
    note = ""
    if "seconds" in known and not experiment.same_timing_conditions(set(running["id"])):
        known.remove("seconds")
        note = UNEQUAL
    numbers = [int(number) for number in running["arm"].unique()]
    first, others = experiment.leading(numbers, _most(len(numbers)))
    kept = {arm.number for arm in [*first, *experiment.backdrop(others)]}
    running = running[running["arm"].isin(kept)]
    curves = {cost: plot_data.budget_curves(running, cost) for cost in known}
    curves = {cost: found for cost, found in curves.items() if found["budget"].nunique() > 1}
    if not curves:
        return None
    drawn = sorted({int(number) for found in curves.values() for number in found["arm"]})
    shown, behind = experiment.leading(drawn, _most(len(drawn)))
    height = 2.5 + legend_height(shown, len(behind))
    figure, axes = panels(1, len(curves), height=height, sharey=True)
    for ax, (cost, found) in zip(axes, curves.items(), strict=True):
        draw_budget(ax, found, shown, cost, common[cost], behind)
    low, high = _zoomed(list(curves.values()), experiment.records.select.mode)
    axes[0].set_ylim(low, high)
    axes[0].set_ylabel(f"Best val {display_name(experiment.metric)} so far")
    legend(figure, shown, behind=len(behind))
    caption = (
        "Mean over seeds of the best so far, against what it had cost by then; multiply-adds are "
        "those of forward passes on training images. The vertical line is the most that every "
        "trial has spent."
    )
    caption += _behind_note(shown, behind, len(behind) + len(numbers) - len(kept))
    caption += incomparable_note(experiment.records.incomparable, [experiment.metric])
    heading = f"{title(experiment.metric)} against budget"
    return Drawing("budgets", heading, caption + note, (picture(figure),))


def draw_budget(
    ax: Axes, curves: pd.DataFrame, arms: Sequence[Arm], cost: str, common: float,
    behind: Sequence[Arm] = (),
) -> None:  # fmt: skip
    """One budget's curves, with the budget that all trials have spent."""
    unit, text = budget_unit(cost, float(curves["budget"].max()))
    curves = curves.assign(budget=curves["budget"] / unit)
    _draw_behind(ax, curves, behind, "budget")
    _draw_lines(ax, curves, [a for a in arms if (curves["arm"] == a.number).any()], "budget")
    ax.axvline(common / unit, color=PALE, lw=1, zorder=0.5)
    ax.set_xlim(0, float(curves["budget"].max()) * 1.03)
    ax.set_xlabel(text)
    ax.set_ylabel("")
    few_ticks(ax, integer=cost == "epochs")


def budget_unit(cost: str, largest: float) -> tuple[float, str]:
    """The unit of a budget of that size, and its name."""
    if cost == "epochs":
        return 1.0, "Epochs"
    if cost == "seconds":
        scales: Mapping[str, float] = {"Hours": 3600.0, "Minutes": 60.0, "Seconds": 1.0}
        name = next((n for n, size in scales.items() if largest >= 3 * size), "Seconds")
        return scales[name], f"{name} of training"
    size, prefix = next(((s, p) for s, p in _PREFIXES if largest >= s), (1.0, ""))
    return size, f"Training MACs ({prefix})" if prefix else "Training MACs"


_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"))


def _zoomed(curves: Sequence[pd.DataFrame], mode: str) -> tuple[float, float]:
    """Limits that leave out the worst of the first steps, which would flatten all that follows."""
    values = np.concatenate([found["mean"].to_numpy() for found in curves])
    ends = np.concatenate([found.groupby("arm")["mean"].last().to_numpy() for found in curves])
    best, worst = (values.max(), ends.min()) if mode == "max" else (values.min(), ends.max())
    far = worst - 3 * (best - worst) if best != worst else worst
    start = values.min() if mode == "max" else values.max()
    far = max(far, start) if mode == "max" else min(far, start)
    margin = 0.05 * abs(best - far) or 0.01
    return min(far, best) - margin, max(far, best) + margin
