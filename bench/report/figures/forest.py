"""Forest plots of paired differences: hypotheses with margin and verdict, and all levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from bench.analysis.contrasts import Word
from bench.analysis.explored import SETTLED
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.stats import Interval
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    INK,
    MUTED,
    PAPER,
    Drawing,
    RenderedFigure,
    few_ticks,
    fitted,
    frame_of,
    panels,
    picture,
)
from bench.report.format import numbers
from bench.report.format.display_names import title
from bench.report.narrative.sentences import metric_words, shared_words, side_words
from bench.report.tables.effects import TITLES, EffectTables
from bench.report.tables.verdicts import SYMBOLS

# The tones of the page's badges: dark enough on white, light enough on a dark page.
TONES = {
    Word.SUPPORTED: "#009e73",
    Word.REFUTED: "#d55e00",
    Word.EQUIVALENT: "#0072b2",
    Word.INCONCLUSIVE: "#666666",  # further from green than MUTED is, for deuteranopes
}
MOST_STRATA = 6
ROWS = 32  # differences on one page
MOST_PAGES = 3
PANELS = 3
LARGE = 1e4  # figures from here on get a prefix
SHADE = "#f0e442"  # a margin: within it a difference does not matter


def verdict_rows(tested: Sequence[HypothesisOutcome]) -> pd.DataFrame:
    """A row per hypothesis and, where there are few, one for each of its strata.

    Columns: metric; id; unit (what repeats it: a seed or a run); label; estimate, low, high, n;
    margin_low, margin_high (what does not matter, NaN without a margin; infinite where the
    hypothesis has one side only); verdict (empty for a stratum).
    """
    rows = []
    for outcome in tested:
        hypothesis = outcome.hypothesis
        low, high = margin_of(outcome)
        a, b = side_words(hypothesis)
        where = shared_words(hypothesis)
        label = f"{a} − {b}" + (f" ({where})" if where else "")
        shared = {"metric": hypothesis.metric, "id": hypothesis.id, "unit": outcome.pairs.unit,
                  "margin_low": low, "margin_high": high}  # fmt: skip
        estimate = outcome.result.estimate._asdict()
        rows.append(shared | {"label": label, **estimate, "verdict": str(outcome.verdict)})
        if 1 < len(outcome.strata) <= MOST_STRATA and not outcome.pairs.of_halves:
            for stratum, found in zip(outcome.pairs.strata, outcome.strata, strict=True):
                label = " · ".join(stratum.axes.values())
                rows.append(shared | {"label": label, **found.estimate._asdict(), "verdict": ""})
    frame = pd.DataFrame(rows)
    return frame.rename(columns={"mean": "estimate"})


def margin_of(outcome: HypothesisOutcome) -> tuple[float, float]:
    """The differences that do not matter: from where to where; both NaN without a margin."""
    margin = outcome.hypothesis.margin
    if margin is None:
        return math.nan, math.nan
    return {
        "equivalent": (-margin, margin),
        "not_higher": (-math.inf, margin),
        "not_lower": (-margin, math.inf),
    }[outcome.hypothesis.expect]


def draw_verdicts(ax: Axes, rows: pd.DataFrame) -> None:
    """The hypotheses on one metric: estimates with intervals, margins shaded, verdicts beside."""
    known = [Interval(r["estimate"], r["low"], r["high"], int(r["n"])) for r in _dicts(rows)]
    bounds = [v for c in ("margin_low", "margin_high") for v in rows[c] if math.isfinite(v)]
    left, right = frame_of(known, [0.0, *bounds])
    ax.set_xlim(left, right)
    for y, row in enumerate(_dicts(rows)):
        _draw_margin(ax, y, row, (left, right))
        _draw_estimate(ax, y, row)
    ax.axvline(0, color=MUTED, lw=0.9, zorder=1)
    ax.set_yticks(range(len(rows)), _labels(rows))
    for text, row in zip(ax.get_yticklabels(), _dicts(rows), strict=True):
        text.set_color(INK if row["verdict"] else MUTED)
        text.set_fontsize(8 if row["verdict"] else 7)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set_ylim(len(rows) - 0.5, -0.5)
    metric = metric_words(str(rows["metric"].iloc[0]))
    ax.set_title(metric[:1].upper() + metric[1:], loc="left")
    few_ticks(ax)
    if max(abs(left), abs(right)) >= LARGE:
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.scaled(value)))


def _labels(rows: pd.DataFrame) -> list[str]:
    """What stands beside each row: in two lines or more for a hypothesis."""
    return [
        f"{row['id']}\n{fitted(row['label'], 40)}" if row["verdict"] else fitted(row["label"], 36)
        for row in _dicts(rows)
    ]


def _height(rows: pd.DataFrame) -> float:
    """Of a panel, in inches: no label reaches into the next row."""
    lines = max(label.count("\n") + 1 for label in _labels(rows))
    return 0.75 + (0.3 if lines <= 2 else 0.17 * lines) * len(rows)


def _draw_margin(ax: Axes, y: int, row: dict[str, Any], ends: tuple[float, float]) -> None:
    if math.isnan(row["margin_low"]):
        return
    low, high = max(row["margin_low"], ends[0]), min(row["margin_high"], ends[1])
    ax.add_patch(Rectangle((low, y - 0.5), high - low, 1, color=SHADE, alpha=0.18, lw=0, zorder=0))
    for edge in (row["margin_low"], row["margin_high"]):
        if math.isfinite(edge):
            ax.plot([edge] * 2, [y - 0.5, y + 0.5], color=MUTED, lw=0.8, ls=(0, (2, 1.5)))


def _draw_estimate(ax: Axes, y: int, row: dict[str, Any]) -> None:
    verdict = Word(row["verdict"]) if row["verdict"] else None
    color = TONES[verdict] if verdict else MUTED
    ax.plot([row["low"], row["high"]], [y] * 2, color=color, lw=1.8 if verdict else 0.9,
            solid_capstyle="butt")  # fmt: skip
    hollow = verdict in (None, Word.INCONCLUSIVE)
    ax.plot(row["estimate"], y, marker="D" if verdict else "o", ms=5.5 if verdict else 3.5,
            mfc=PAPER if hollow else color, color=color)  # fmt: skip
    if verdict:
        repeats = row["unit"] if row["n"] == 1 else f"{row['unit']}s"
        ax.annotate(f"{SYMBOLS[verdict]} {verdict}\n{row['n']:.0f} {repeats}", (1.01, y),
                    xycoords=ax.get_yaxis_transform(), va="center", fontsize=7.5,
                    color=color if verdict is not Word.INCONCLUSIVE else INK)  # fmt: skip


def verdicts(experiment: ExperimentData) -> Drawing | None:
    """Every hypothesis's difference with its margin and verdict, a panel for each metric."""
    if not experiment.tested:
        return None
    rows = verdict_rows(experiment.tested)
    rows = rows[rows["estimate"].notna()]
    groups = [group for _, group in rows.groupby("metric", sort=False)]
    if not groups:
        return None
    heights = [_height(group) for group in groups]
    pages = [_verdict_page(groups[i : i + 6], heights[i : i + 6]) for i in range(0, len(groups), 6)]
    caption = (
        "Mean paired difference a − b (median run minus the number where b is one) with its 95% "
        "interval, not corrected; the verdict is Holm’s over all hypotheses. Filled: settled; "
        "hollow: inconclusive; small: strata. Shaded, between dashed lines: differences that are "
        "smaller than the margin."
    )
    lost = len(experiment.tested) - int((rows["verdict"] != "").sum())
    if lost:
        noun = "hypothesis has" if lost == 1 else "hypotheses have"
        caption += f" {lost} {noun} no pair to show."
    if (rows["n"] == 2).any():
        caption += " Intervals of two seeds may leave the frame."
    return Drawing("hypotheses", "Hypotheses as figures", caption, tuple(pages))


def _verdict_page(groups: Sequence[pd.DataFrame], heights: Sequence[float]) -> RenderedFigure:
    figure, axes = panels(len(groups), 1, height=sum(heights), ratios=list(heights))
    for ax, group in zip(axes, groups, strict=True):
        draw_verdicts(ax, group)
    return picture(figure)


def difference_rows(shown: Sequence[EffectTables]) -> list[tuple[str, str, str]]:
    """Axis, a and b of every difference in any of these effects, in the order of the axes."""
    found = dict.fromkeys(
        key
        for effect in shown
        for key in effect.frames["differences"][["axis", "a", "b"]].itertuples(
            index=False, name=None
        )
    )
    return list(found)


def draw_differences(ax: Axes, frame: pd.DataFrame, keys: Sequence[tuple[str, str, str]]) -> None:
    """Differences with intervals; filled where they are settled, hollow where they are not.

    Those that a hypothesis tests are diamonds in the colour of its verdict; of several the first.
    """
    frame = frame.assign(settled=frame["conclusion"].isin(SETTLED)).drop_duplicates(
        ["axis", "a", "b"]
    )
    found = {(row["axis"], row["a"], row["b"]): row for row in _dicts(frame)}
    rows = [found.get(key) for key in keys]
    known = [
        Interval(row["estimate"], row["low"], row["high"], int(row["n"])) for row in rows if row
    ]
    for y, row in enumerate(rows):
        if row is None or math.isnan(row["estimate"]):
            continue
        settled = row["settled"]
        color = INK if settled else MUTED
        if row["hypothesis"]:
            color = TONES[Word(row["verdict"])]
        ax.plot([row["low"], row["high"]], [y] * 2, color=color, lw=1.4 if settled else 1,
                solid_capstyle="butt")  # fmt: skip
        ax.plot(row["estimate"], y, marker="D" if row["hypothesis"] else "o", ms=4.5,
                color=color, mew=1, mfc=color if settled else PAPER)  # fmt: skip
    ax.set_xlim(*frame_of(known, [0.0]))
    ax.axvline(0, color=MUTED, lw=0.9, zorder=1)
    ax.set_ylim(len(keys) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    few_ticks(ax)


def differences(experiment: ExperimentData) -> Drawing | None:
    """Every two levels of each axis compared in the main figures of the trials."""
    shown = [e for e in experiment.effects if "differences" in e.frames][:PANELS]
    keys = difference_rows(shown)
    if not keys:
        return None
    several = len({axis for axis, _, _ in keys}) > 1
    kept = keys[: ROWS * MOST_PAGES]
    pages = [
        _difference_page(shown, kept[start : start + ROWS], several)
        for start in range(0, len(kept), ROWS)
    ]
    caption = (
        "Mean paired difference with its 95% interval, not corrected: paired by seed and by all "
        "other axes. Filled: clear, p ≤ 5% after Holm’s correction over all explored differences "
        "and interactions; hollow: not clear, or not tested."
    )
    ids = list(dict.fromkeys(h for e in shown for h in e.frames["differences"]["hypothesis"] if h))
    if ids:
        caption += (
            " Diamonds in colour are differences that a hypothesis tests, with its verdict: filled "
            f"where it is conclusive ({', '.join(ids)})."
        )
    if len(kept) < len(keys):
        caption += f" Shown: {len(kept)} of {len(keys)}; tables/differences.csv has all."
    return Drawing("differences", "Paired differences", caption, tuple(pages))


def _difference_page(
    shown: Sequence[EffectTables], keys: Sequence[tuple[str, str, str]], several: bool
) -> RenderedFigure:
    figure, axes = panels(1, len(shown), height=0.8 + 0.24 * len(keys), sharey=True)
    for ax, effect in zip(axes, shown, strict=True):
        draw_differences(ax, effect.frames["differences"], keys)
        ax.set_xlabel(TITLES.get(effect.column, title(effect.column)))
    labels = [f"{axis}: {a} − {b}" if several else f"{a} − {b}" for axis, a, b in keys]
    axes[0].set_yticks(range(len(keys)), [fitted(label, 34) for label in labels])
    axes[0].tick_params(axis="y", length=0)
    return picture(figure)


def _dicts(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
