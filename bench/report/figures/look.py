"""How figures look: sizes, colours, habits of axes, legends, and pictures of what is drawn."""

from __future__ import annotations

import contextlib
import io
import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.analysis.arms import Arm
from bench.analysis.records import NO_LABEL, Records
from bench.analysis.stats import Interval
from bench.report.figures.arm_style import PALETTE, arm_color, arm_dashes, arm_marker
from bench.states import BENCH_SOURCE
from bench.texts import visible

WIDTH = 6.5  # inches: a page's text width
DPI = 150
INK, MUTED, GRID, PAPER = "#222222", "#808080", "#e6e6e6", "#ffffff"
PALE = "#c8c8c8"  # what stands behind
MOST_LABELLED = 12  # arms that one legend names

# Inks and what stands for each on a dark page; the palette is legible on both.
_DARK = {INK: "#e4e4e0", MUTED: "#9a9fa4", GRID: "#33373a", PAPER: "#1e2123", PALE: "#4a4f53"}


@dataclass(frozen=True)
class RenderedFigure:
    """One picture of a figure, as PNG on white and as SVG without a background."""

    png: bytes
    svg: bytes

    @property
    def adaptive(self) -> bytes:
        """The SVG with inks that follow the reader's colour scheme."""
        rules = "".join(
            f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
            for light, dark in _DARK.items()
            for what in ("fill", "stroke")
        )
        style = f"<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>"
        return self.svg.replace(b"<defs>", f"{style}<defs>".encode(), 1)


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes:
        name: file name without suffix; of further pages with `_2`, … behind it.
        title: what it shows.
        caption: how to read it.
        pages: its pictures.
    """

    name: str
    title: str
    caption: str
    pages: tuple[RenderedFigure, ...]

    @property
    def files(self) -> dict[str, RenderedFigure]:
        """The pictures by file name without suffix."""
        names = [self.name, *(f"{self.name}_{i}" for i in range(2, len(self.pages) + 1))]
        return dict(zip(names, self.pages, strict=True))


def hue_axis(records: Records, arms: Sequence[Arm]) -> str | None:
    """The axis that arms' colours stand for: `model` if it varies, else the first that does."""
    varying = varying_axes(records, arms)
    return "model" if "model" in varying else next(iter(varying), None)


def varying_axes(records: Records, arms: Sequence[Arm]) -> list[str]:
    """The axes on which the arms differ."""
    levels = {axis: {arm.levels[axis] for arm in arms} - {NO_LABEL} for axis in records.axes}
    return [axis for axis in records.axes if len(levels[axis]) > 1]


def level_colors(records: Records, arms: Sequence[Arm]) -> dict[str, dict[str, str]]:
    """By axis, each level's colour: one and the same wherever levels are shown.

    The axis of the arms' colours comes first, with the very colours of the arms; the others take
    what is left of the palette, and after its last colour the first ones again.
    """
    first = hue_axis(records, arms)
    axes = sorted(varying_axes(records, arms), key=lambda axis: axis != first)
    found, taken = {}, 0
    for axis in axes:
        levels = records.axes[axis]
        found[axis] = {
            level: PALETTE[(taken + place) % len(PALETTE)].lower()
            for place, level in enumerate(levels)
        }
        taken += len(levels)
    return found


def is_reference(arm: Arm) -> bool:
    """Whether the arm was logged elsewhere: such arms are dashed, all others solid."""
    return arm.source != BENCH_SOURCE


def dashes(arm: Arm) -> tuple[float, ...] | str:
    """The arm's line: solid, or dashed if it was logged elsewhere."""
    return arm_dashes(arm) if is_reference(arm) else ""


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
        "axes.labelcolor": INK,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "text.parse_math": False,  # a label with dollar signs is a label
        "svg.hashsalt": "bench",  # the same records give the same files
    }
    style = sns.axes_style("whitegrid") | sns.plotting_context("paper") | own
    with mpl.rc_context(style), _visible_texts():
        yield


@contextlib.contextmanager
def _visible_texts() -> Iterator[None]:
    """Characters that are not seen are spelt out, as everywhere in the report: no font has them,
    and an SVG file, which has its texts in comments, could not be read with them."""
    original = Text.set_text

    def set_text(self: Text, s: Any) -> None:
        original(self, visible(s) if isinstance(s, str) else s)

    Text.set_text = set_text  # type: ignore[method-assign]
    try:
        yield
    finally:
        Text.set_text = original  # type: ignore[method-assign]


def panels(
    rows: int,
    columns: int,
    height: float,
    sharey: bool = False,
    ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure outside pyplot's global list, so that nothing has to be closed.

    `ratios` are the rows' relative heights.
    """
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(rows, columns, sharey=sharey, squeeze=False, height_ratios=ratios)
    return figure, list(axes.flat)


def picture(figure: Figure) -> RenderedFigure:
    """The figure as PNG and SVG.

    The layout is found once. Without a layout engine matplotlib then draws each file once; with
    one, even a spent one, it draws each twice, the first time to no avail.
    """
    png, svg = io.BytesIO(), io.BytesIO()
    figure.set_dpi(DPI)
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    with mpl.rc_context({"figure.constrained_layout.use": False, "figure.autolayout": False}):
        figure.set_layout_engine(None)
        figure.savefig(png, format="png", dpi=DPI)
        figure.savefig(svg, format="svg", dpi=DPI, transparent=True, metadata={"Date": None})
    return RenderedFigure(png.getvalue(), svg.getvalue())


def plain_ticks(axis: Axis) -> None:
    """1, 2, 5, 10, … on a log axis, written out; only powers of ten over many decades."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def few_ticks(ax: Axes, integer: bool = False) -> None:
    """As few ticks along x that their labels stand apart: the narrower the axes, the fewer."""
    spec = ax.get_subplotspec()
    columns = 1 if spec is None else spec.get_gridspec().ncols
    most = {1: 7, 2: 5}.get(columns, 3)
    steps = [1, 2, 5, 10] if integer else [1, 2, 2.5, 5, 10]
    ax.xaxis.set_major_locator(MaxNLocator(most, integer=integer, steps=steps))


def frame_of(found: Sequence[Interval], points: Sequence[float] = ()) -> tuple[float, float]:
    """Limits that show all means and points, and all intervals but those of two seeds.

    With two seeds a 95% interval is nine standard deviations long on either side.
    """
    ends = [e for i in found for e in (i.mean, *((i.low, i.high) if i.n > 2 else ()))]
    known = [value for value in (*ends, *points) if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    margin = 0.08 * (max(known) - min(known)) or 0.05 * abs(max(known)) or 0.01
    return min(known) - margin, max(known) + margin


def fitted(label: str, width: int) -> str:
    """A label of at most two lines of `width` characters, cut off where it is longer."""
    if len(label) <= width:
        return label
    lines = textwrap.wrap(label, width, max_lines=2, placeholder=" …", break_long_words=True)
    return "\n".join(lines)


def legend(figure: Figure, arms: Sequence[Arm], lines: bool = True, behind: int = 0) -> None:
    """Names of the arms above the figure; `behind` counts those that are drawn without a name."""
    if len(arms) < 2 and not behind:
        return
    shared: dict[str, Any] = {"ms": 5, "mec": PAPER, "mew": 0.4}
    handles = [
        Line2D([], [], color=arm_color(arm), marker=arm_marker(arm), label=_on_one_line(arm.label),
               **shared, **_style(arm, lines))
        for arm in arms
    ]  # fmt: skip
    if behind:
        plain: dict[str, Any] = {} if lines else {"ls": "", "marker": "o", "ms": 4}
        handles.append(Line2D([], [], color=PALE, lw=1.2, label=f"{behind} more", **plain))
    figure.legend(handles=handles, loc="outside upper left", ncols=_legend_columns(arms),
                  frameon=False, handlelength=3.2, labelcolor=INK,
                  fontsize=7 if _longest(arms) > 36 else 8)  # fmt: skip


def _on_one_line(label: str) -> str:
    return fitted(label, 60).replace("\n", " ")


def _style(arm: Arm, lines: bool) -> dict[str, Any]:
    if not lines:
        return {"ls": ""}
    return {"dashes": arm_dashes(arm)} if is_reference(arm) else {}


def _legend_columns(arms: Sequence[Arm]) -> int:
    """As many as the longest label leaves room for, and no more than fill their rows."""
    most = max(1, min(len(arms), 4, (112 if _longest(arms) > 36 else 96) // (_longest(arms) + 9)))
    return math.ceil(len(arms) / math.ceil(len(arms) / most)) if arms else 1


def _longest(arms: Sequence[Arm]) -> int:
    return max((len(arm.label) for arm in arms), default=0)


def legend_height(arms: Sequence[Arm], behind: int = 0) -> float:
    """Inches that the legend needs."""
    if len(arms) < 2 and not behind:
        return 0.0
    return 0.2 * math.ceil((len(arms) + bool(behind)) / _legend_columns(arms)) + 0.1
