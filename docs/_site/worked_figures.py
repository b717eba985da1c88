"""The worked figures of statistics-explained.md: `PYTHONPATH=. python docs/_site/worked_figures.py`.

Their numbers are computed by the functions that reports use, so page and program agree (a test
compares them with what the page says).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from scipy import stats as scipy_stats

from bench.analysis.sequential import RHO, error_of_looks
from bench.analysis.two_sources import Over, two_sources
from bench.report.figures.arm_style import PALETTE

FIGURES = Path(__file__).parents[1] / "figures"
BLUE, VERMILION, GREEN = PALETTE[:3]

A = np.array([0.80, 0.84, 0.78, 0.86, 0.82])
B = np.array([0.79, 0.82, 0.77, 0.84, 0.80])
"""Dice of two arms with the seeds 0 to 4."""

IMAGES = np.array(
    [
        [0.05, 0.01, -0.02, 0.06, 0.03, 0.00, 0.04, -0.01],
        [0.06, 0.00, -0.01, 0.07, 0.02, 0.01, 0.05, -0.02],
        [0.04, 0.02, -0.03, 0.06, 0.04, -0.01, 0.05, 0.00],
    ]
)
"""Differences in Dice of three seeds on eight images."""

LOOKS = (3, 4, 5, 6, 8, 10, 13, 16, 20)


def paired() -> tuple[float, float, float]:
    """Mean difference of the pairs and its 95% t-interval."""
    return _interval(A - B, len(A) - 1)


def unpaired() -> tuple[float, float, float]:
    """The same by Welch's method, as if seeds were strangers."""
    va, vb, n = A.var(ddof=1), B.var(ddof=1), len(A)
    error = np.sqrt((va + vb) / n)
    freedom = (va + vb) ** 2 / (va**2 + vb**2) * (n - 1)
    half = error * scipy_stats.t.ppf(0.975, freedom)
    mean = float(A.mean() - B.mean())
    return mean, mean - half, mean + half


def statements() -> dict[str, tuple[float, float, float]]:
    """The mean of the table and its interval, by what it generalises to."""
    found = two_sources(IMAGES)
    return {str(over): (found.mean, *found.interval(over=over)) for over in Over}


def spent(looks: tuple[int, ...] = LOOKS) -> list[float]:
    """What of the 5% is spent up to each look."""
    return [0.05 * (n / looks[-1]) ** RHO for n in looks]


def _interval(values: Any, freedom: int) -> tuple[float, float, float]:
    mean = float(values.mean())
    half = values.std(ddof=1) / np.sqrt(len(values)) * scipy_stats.t.ppf(0.975, freedom)
    return mean, mean - half, mean + half


def draw_pairs(left: Axes, right: Axes) -> None:
    """Left the scores, pair by pair; right the difference, paired and unpaired."""
    for a, b in zip(A, B, strict=True):
        left.plot([0, 1], [b, a], color="#9a9a9a", lw=1, zorder=1)
    left.scatter(np.zeros(5), B, color=VERMILION, marker="s", zorder=2)
    left.scatter(np.ones(5), A, color=BLUE, marker="o", zorder=2)
    left.set_xticks([0, 1], ["without flips", "with flips"])
    left.set_xlim(-0.4, 1.4)
    left.set_ylabel("Dice")
    _forest(right, {"paired": paired(), "unpaired": unpaired()})
    right.set_xlabel("difference in Dice")


def draw_sources(left: Axes, right: Axes) -> None:
    """Left the table of differences; right what follows for whom."""
    limit = float(np.abs(IMAGES).max())
    shown = left.imshow(IMAGES, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto")
    for (row, column), value in np.ndenumerate(IMAGES):
        dark = abs(value) > 0.6 * limit
        left.text(column, row, f"{value:+.2f}", ha="center", va="center", fontsize=7,
                  color="white" if dark else "black")  # fmt: skip
    left.set_yticks(range(3), [f"seed {n}" for n in range(3)])
    left.set_xticks(range(8), [str(n + 1) for n in range(8)])
    left.set_xlabel("test image")
    left.figure.colorbar(shown, ax=left, shrink=0.8)
    found = statements()
    _forest(right, {"new seeds": found["seeds"], "new images": found["images"],
                    "both": found["both"]})  # fmt: skip
    right.set_xlabel("difference in Dice")


def draw_families(ax: Axes) -> None:
    """The chance of any false claim, by the number of claims."""
    count = np.arange(1, 21)
    ax.plot(count, 100 * (1 - 0.95**count), color=VERMILION, marker="s", ms=4, label="each at 5%")
    ax.plot(count, np.full(20, 5.0), color=BLUE, ls=(0, (4, 1.6)), marker="o", ms=4,
            label="Holm: at most")  # fmt: skip
    ax.set_xticks([1, 5, 10, 15, 20])
    ax.set_xlabel("claims, none of them true")
    ax.set_ylabel("any false claim, %")
    ax.set_ylim(0)
    ax.legend(frameon=False)


def draw_looks(ax: Axes) -> None:
    """What looking costs: p < 0.05 at every look, and the levels spent as planned."""
    naive = [100 * error_of_looks(LOOKS[: n + 1]) for n in range(len(LOOKS))]
    ax.plot(LOOKS, naive, color=VERMILION, marker="s", ms=4, label="p < 0.05 at every look")
    ax.plot(LOOKS, [100 * value for value in spent()], color=BLUE, ls=(0, (4, 1.6)), marker="o",
            ms=4, label="planned looks")  # fmt: skip
    ax.axhline(5, color="#808080", lw=0.8)
    ax.set_xticks(LOOKS)
    ax.set_xlabel("seeds")
    ax.set_ylabel("false claims so far, %")
    ax.set_ylim(0)
    ax.legend(frameon=False)


CASES = {
    "equivalent": (0.004, -0.009, 0.017),
    "supported (higher)": (0.034, 0.022, 0.046),
    "supported, small": (0.012, 0.005, 0.019),
    "inconclusive": (0.010, -0.025, 0.045),
}


def draw_margin(ax: Axes) -> None:
    """Four intervals against a margin of 0.02."""
    ax.axvspan(-0.02, 0.02, color="#f5f0c0", zorder=0)
    _forest(ax, CASES)
    ax.set_xlabel("difference in Dice; shaded: smaller than the margin")


def _forest(ax: Axes, rows: dict[str, tuple[float, float, float]]) -> None:
    """Point and interval of each row, from top to bottom."""
    for place, (mean, low, high) in enumerate(rows.values()):
        ax.plot([low, high], [place, place], color=BLUE, lw=2)
        ax.plot(mean, place, marker="D", color=BLUE, mec="white")
    ax.axvline(0, color="#808080", lw=0.8)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)


def main() -> None:
    """Write all of them."""
    FIGURES.mkdir(exist_ok=True)
    style: dict[str, Any] = {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}
    wide = {"pairs": draw_pairs, "sources": draw_sources}
    single = {"families": draw_families, "looks": draw_looks, "margin": draw_margin}
    with mpl.rc_context(style):
        for name, draw in wide.items():
            figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.6), layout="constrained")
            draw(*axes)
            figure.savefig(FIGURES / f"{name}.png", dpi=130)
        for name, draw_one in single.items():
            figure, ax = plt.subplots(figsize=(5.2, 2.6), layout="constrained")
            draw_one(ax)
            figure.savefig(FIGURES / f"{name}.png", dpi=130)


if __name__ == "__main__":
    main()
