"""Figures: what each shows as data, how each is drawn on axes, and the set that a report has."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from bench.report import numbers
from bench.report.arms import Arm, arm_numbers
from bench.report.load import Records
from bench.report.stats import Interval, grouped_intervals
from bench.report.table import baseline_column, interval_of, ranking, value_of
from bench.report.wording import apart, title

WIDTH = 6.5  # inches: a page's text width
MAX_CURVES = 12  # arms in one figure of curves
MAX_PANELS = 8  # metrics in it
FEWEST_FOR_BAND = 3  # seeds
DPI = 170
INK, MUTED = "#222222", "#888888"


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes:
        name: file name without suffix.
        title: what it shows.
        caption: how to read it.
        png: the picture.
    """

    name: str
    title: str
    caption: str
    png: bytes


def curve_data(records: Records, arms: Sequence[Arm]) -> pd.DataFrame:
    """Mean and 95% t-interval over the finished seeds, per arm, metric and epoch.

    Columns: arm (number), metric (a history column), epoch, mean, low, high, n, lowest, highest.
    Where seeds stopped at different epochs, later means are over fewer seeds.
    """
    done = records.done
    arm_of = dict(zip(done["id"], arm_numbers(records, arms).loc[done.index], strict=True))
    history = records.history[records.history["id"].isin(arm_of)]
    arm = history["id"].map(arm_of).astype("int64").rename("arm")
    epoch = history["epoch"].astype("int64")
    parts = []
    for metric in ["train/loss", *(f"val/{name}" for name in records.metrics)]:
        known = history[metric].notna()
        if known.any():
            found = grouped_intervals(history.loc[known, metric], [arm[known], epoch[known]])
            parts.append(found.reset_index().assign(metric=metric))
    columns = ["arm", "metric", "epoch", "mean", "low", "high", "n", "lowest", "highest"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


def score_data(records: Records, arms: Sequence[Arm]) -> pd.DataFrame:
    """The selected metric of every finished trial: columns arm, id, column, value."""
    done = records.done.assign(arm=arm_numbers(records, arms))
    columns = [f"best_val_{records.select.metric}", f"test_{records.select.metric}"]
    found = done.melt(["arm", "id"], columns, "column", "value")
    return found.dropna(subset=["value"]).reset_index(drop=True)


def draw_curves(ax: Axes, data: pd.DataFrame, arms: Sequence[Arm], metric: str) -> None:
    """One metric's means with bands over the epochs; losses that span decades on a log scale."""
    here = data[data["metric"] == metric]
    shown = [arm for arm in arms if (here["arm"] == arm.number).any()]
    for arm in shown:
        curve = here[here["arm"] == arm.number]
        # two seeds' intervals reach nine deviations to either side: they would hide the rest
        curve = curve.assign(low=curve["low"].where(curve["n"] >= FEWEST_FOR_BAND))
        ax.fill_between(
            curve["epoch"], curve["low"], curve["high"], color=arm.color, alpha=0.12, lw=0
        )
    sns.lineplot(
        data=here[here["arm"].isin([arm.number for arm in shown])],
        x="epoch",
        y="mean",
        hue="arm",
        style="arm",
        palette={arm.number: arm.color for arm in shown},
        dashes={arm.number: arm.dashes or "" for arm in shown},
        estimator=None,
        errorbar=None,
        linewidth=1.2,
        markers=False if here["epoch"].nunique() > 1 else {arm.number: arm.marker for arm in shown},
        legend=False,
        ax=ax,
    )
    if here["epoch"].nunique() == 1:
        ax.set_xlim(here["epoch"].iloc[0] - 1, here["epoch"].iloc[0] + 1)
    # an infinite loss has no place on an axis; its curve leaves the frame
    ends = here[["lowest", "highest"]].replace([math.inf, -math.inf], math.nan)
    lowest, highest = ends["lowest"].min(), ends["highest"].max()
    if "loss" in metric and lowest > 0 and highest > 20 * lowest:
        ax.set_yscale("log")
        _plain_ticks(ax.yaxis)
        ax.set_ylim(lowest / 1.15, highest * 1.15)
    elif math.isfinite(highest - lowest):
        margin = 0.04 * (highest - lowest) or 0.01
        ax.set_ylim(lowest - margin, highest + margin)
    ax.set_title(title(metric), loc="left")
    ax.set_xlabel("Epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("")


def draw_scores(
    ax: Axes, data: pd.DataFrame, summary: pd.DataFrame, arms: Sequence[Arm], column: str
) -> None:
    """A row per arm: every seed a point, the mean with its 95% t-interval, the baseline dashed.

    A baseline far outside the arms' range is told at the edge, not drawn.
    """
    here = data[data["column"] == column]
    means = [interval_of(summary, arm.number, column) for arm in arms]
    left, right = _frame(means, list(here["value"]))
    floors = [value_of(summary, arm.number, baseline_column(column)) for arm in arms]
    near = [f for f in floors if left - (right - left) < f < right + (right - left)]
    left, right = min([left, *near]), max([right, *near])
    for place, (arm, found, floor) in enumerate(zip(arms, means, floors, strict=True)):
        values = here.loc[here["arm"] == arm.number, "value"]
        ax.scatter(values, [place + 0.22] * len(values), s=13, marker=arm.marker, color=arm.color,
                   edgecolors="white", linewidths=0.4, zorder=3)  # fmt: skip
        ends = [found.low, found.high]
        ax.plot(ends, [place] * 2, color=arm.color, lw=1.8, solid_capstyle="butt")
        ax.plot(found.mean, place, marker="|", ms=9, mew=2, color=arm.color)
        if floor in near:
            ax.plot([floor] * 2, [place - 0.5, place + 0.5], color=INK, lw=1, ls=(0, (3, 2)))
    margin = 0.03 * (right - left)
    ax.set_xlim(left - margin, right + margin)
    ax.set_ylim(len(arms) - 0.5, -0.5)
    ax.set_yticks(range(len(arms)), [arm.label for arm in arms])
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(title(column))
    far = [f for f in floors if math.isfinite(f) and f not in near]
    if far:
        _tell_far(ax, far, below=far[0] < left)


def _tell_far(ax: Axes, floors: Sequence[float], below: bool) -> None:
    """A remark above the axes on baselines outside of the frame."""
    decimals = numbers.decimals_for(floors)
    low, high = (numbers.fixed(f, decimals) for f in (min(floors), max(floors)))
    text = f"baseline {low}" if low == high else f"baselines {low} to {high}"
    ax.set_title(f"◂ {text}" if below else f"{text} ▸", loc="left" if below else "right",
                 fontsize=8, color=MUTED)  # fmt: skip


def draw_cost(ax: Axes, summary: pd.DataFrame, arms: Sequence[Arm], cost: str, column: str) -> None:
    """One point per arm: a cost against a metric with its 95% t-interval.

    Arms of almost the same cost are moved apart by a few points.
    """
    prices = {arm.number: value_of(summary, arm.number, cost) for arm in arms}
    prices = {number: price for number, price in prices.items() if math.isfinite(price)}
    shifts = _shifts(prices)
    for arm in (arm for arm in arms if arm.number in prices):
        found, price = interval_of(summary, arm.number, column), prices[arm.number]
        aside = ScaledTranslation(shifts[arm.number] / 72, 0, ax.figure.dpi_scale_trans)
        place = ax.transData + aside
        ax.plot([price] * 2, [found.low, found.high], color=arm.color, lw=1.2, transform=place)
        ax.plot(price, found.mean, marker=arm.marker, color=arm.color, mec="white", mew=0.5, ms=6,
                transform=place)  # fmt: skip
    cheapest, dearest = min(prices.values()), max(prices.values())
    if cheapest > 0 and dearest > 8 * cheapest:
        ax.set_xscale("log")
        _plain_ticks(ax.xaxis)
        ax.set_xlim(cheapest / 1.5, dearest * 1.5)
    else:
        ax.set_xlim(0, dearest * 1.15)
    ax.set_ylim(*_frame([interval_of(summary, number, column) for number in prices]))
    ax.set_ylabel(title(column))


def draw_all(records: Records, summary: pd.DataFrame, arms: Sequence[Arm]) -> list[Drawing]:
    """Every figure that the records have data for, in the report's order."""
    makers: tuple[Callable[..., Drawing | None], ...] = (scores, learning_curves, costs)
    with theme():
        drawings = [make(records, summary, arms) for make in makers]
    return [drawing for drawing in drawings if drawing is not None]


def scores(records: Records, summary: pd.DataFrame, arms: Sequence[Arm]) -> Drawing | None:
    """The selected metric by arm, on validation and test."""
    data = score_data(records, arms)
    metric = records.select.metric
    columns = [c for c in (f"best_val_{metric}", f"test_{metric}") if (data["column"] == c).any()]
    if not columns:
        return None
    figure, axes = _panels(1, len(columns), height=0.9 + 0.3 * len(arms), sharey=True)
    for ax, column in zip(axes, columns, strict=True):
        draw_scores(ax, data, summary, arms, column)
    based = any(baseline_column(column) in summary for column in columns)
    caption = "Each point is one seed; the bar is the mean's 95% t-interval over seeds"
    caption += "; dashed, or told above the frame: the trivial prediction." if based else "."
    caption += _frame_note(summary, columns) + apart(records.incomparable, [metric])
    return _finished(figure, "scores", f"{title(metric)} by arm", caption)


def learning_curves(records: Records, summary: pd.DataFrame, arms: Sequence[Arm]) -> Drawing | None:
    """The metrics over the epochs."""
    data = curve_data(records, arms)
    metrics, left_out = _main_metrics(records, data)
    if not metrics:
        return None
    shown, note = _leading(records, summary, arms, data)
    note += left_out
    data = data[data["arm"].isin([arm.number for arm in shown])]
    rows = math.ceil(len(metrics) / 2)
    figure, axes = _panels(rows, min(2, len(metrics)), height=2.3 * rows + _legend_height(shown))
    for ax, metric in zip(axes, metrics, strict=False):
        draw_curves(ax, data, shown, metric)
    for ax in axes[len(metrics) :]:
        ax.set_axis_off()
    _legend(figure, shown)
    caption = (
        "Mean over the finished seeds; the band is the mean's 95% t-interval at each epoch (none "
        "for a single seed) and may leave the frame, which spans the seeds' own values."
    )
    if (data.groupby("arm")["n"].nunique() > 1).any():
        caption += " Some seeds stopped earlier: later means are over those that went on."
    note += apart(records.incomparable, records.metrics)
    return _finished(figure, "learning_curves", "Learning curves", caption + note)


def costs(records: Records, summary: pd.DataFrame, arms: Sequence[Arm]) -> Drawing | None:
    """The selected metric against what it costs."""
    metric = records.select.metric
    column = f"test_{metric}" if summary[f"test_{metric}"].notna().any() else f"best_val_{metric}"
    unit, prefix = (1e9, "G") if summary["macs"].max() >= 1e9 else (1e6, "M")
    labels = {
        "macs": f"MACs ({prefix}) for one image",
        "epoch_seconds": "Seconds per training epoch",
    }
    known = [c for c in labels if (summary[c].notna() & summary[column].notna()).any()]
    if not known:
        return None
    arms = [arm for arm in arms if math.isfinite(value_of(summary, arm.number, column))]
    summary = summary.assign(macs=summary["macs"] / unit)
    figure, axes = _panels(1, len(known), height=2.6 + _legend_height(arms), sharey=True)
    for ax, cost in zip(axes, known, strict=True):
        draw_cost(ax, summary, arms, cost, column)
        ax.set_xlabel(labels[cost])
    _legend(figure, arms, markers=True)
    caption = (
        "Up is better and left is cheaper." if records.select.mode == "max"
        else "Down is better and left is cheaper."
    )  # fmt: skip
    caption += " Bars are 95% t-intervals over seeds; arms of the same cost stand side by side."
    caption += _frame_note(summary, [column]) + apart(records.incomparable, [metric])
    return _finished(figure, "cost", f"{title(metric)} against cost", caption)


@contextlib.contextmanager
def theme() -> Iterator[None]:
    """The look of all figures; matplotlib's own settings are back afterwards."""
    own = {
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": MUTED,
        "axes.linewidth": 0.7,
        "axes.titlesize": 9,
        "axes.labelsize": 8.5,
        "grid.color": "#e6e6e6",
        "grid.linewidth": 0.6,
        "text.color": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "text.parse_math": False,  # a label with dollar signs is a label
    }
    with mpl.rc_context(sns.axes_style("whitegrid") | sns.plotting_context("paper") | own):
        yield


def _plain_ticks(axis: Axis) -> None:
    """1, 2, 5, 10, … on a log axis, written out."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _frame(found: Sequence[Interval], points: Sequence[float] = ()) -> tuple[float, float]:
    """Limits that show all means and points, and all intervals but those of two seeds.

    With two seeds a 95% interval is nine standard deviations long on either side.
    """
    ends = [e for i in found for e in (i.mean, *((i.low, i.high) if i.n > 2 else ()))]
    known = [value for value in (*ends, *points) if math.isfinite(value)]
    margin = 0.08 * (max(known) - min(known)) or 0.01
    return min(known) - margin, max(known) + margin


def _shifts(prices: dict[int, float]) -> dict[int, float]:
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


def _panels(
    rows: int, columns: int, height: float, sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure outside pyplot's global list, so that nothing has to be closed."""
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False)
    return figure, list(axes.flat)


def _leading(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm], data: pd.DataFrame
) -> tuple[Sequence[Arm], str]:
    """The arms that fit into one figure of curves, and a remark on those that do not."""
    drawn = set(data["arm"])
    known = [arm for arm in arms if arm.number in drawn]
    if len(known) <= MAX_CURVES:
        return known, ""
    order = ranking(summary, f"best_val_{records.select.metric}", records.select.mode)
    best = set([number for number in order if number in drawn][:MAX_CURVES])
    note = f" Shown: the {MAX_CURVES} best of {len(known)} arms; history.csv has all."
    return [arm for arm in known if arm.number in best], note


def _main_metrics(records: Records, data: pd.DataFrame) -> tuple[list[str], str]:
    """The metrics that fit into one figure, and a remark on the others.

    The losses and the selected metric come first, then the task's order.
    """
    known = list(data["metric"].unique())
    if len(known) <= MAX_PANELS:
        return known, ""
    first = ["train/loss", "val/loss", f"val/{records.select.metric}"]
    ordered = [metric for metric in dict.fromkeys([*first, *known]) if metric in known]
    note = f" Shown: {MAX_PANELS} of {len(known)} metrics; history.csv has all."
    return ordered[:MAX_PANELS], note


def _frame_note(summary: pd.DataFrame, columns: Sequence[str]) -> str:
    two = any((summary[f"{column}_n"] == 2).any() for column in columns)
    return " Intervals of two seeds may leave the frame." if two else ""


def _legend(figure: Figure, arms: Sequence[Arm], markers: bool = False) -> None:
    if len(arms) < 2:
        return
    handles = [
        Line2D([], [], color=arm.color, label=arm.label, marker=arm.marker, ls="")
        if markers
        else Line2D([], [], color=arm.color, label=arm.label, dashes=arm.dashes or (None, None))
        for arm in arms
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=_legend_columns(arms),
                  frameon=False, handlelength=3)  # fmt: skip


def _legend_columns(arms: Sequence[Arm]) -> int:
    """As many as the longest label leaves room for, filled column by column."""
    longest = max(len(arm.label) for arm in arms)
    return max(1, min(len(arms), 3, 90 // (longest + 8)))


def _legend_height(arms: Sequence[Arm]) -> float:
    """Inches that the legend needs."""
    return 0.2 * math.ceil(len(arms) / _legend_columns(arms)) + 0.1 if len(arms) > 1 else 0.0


def _finished(figure: Figure, name: str, heading: str, caption: str) -> Drawing:
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI)
    return Drawing(name, heading, caption, png.getvalue())
