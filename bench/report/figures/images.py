"""Single images: those on which the best arm fails, and those on which two sides differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from bench.analysis.arms import Arm
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.image_scores import PairedImages, by_trial, paired_images
from bench.analysis.score_reader import ImageFigure
from bench.analysis.stats import Floats
from bench.record.directions import Mode
from bench.report.figures.arm_style import arm_color
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import (
    INK,
    MUTED,
    PALE,
    PAPER,
    Drawing,
    RenderedFigure,
    fitted,
    panels,
    picture,
)
from bench.report.format import numbers
from bench.report.format.display_names import display_name, title
from bench.report.narrative.figure_notes import figure_words
from bench.texts import visible

MOST_WORST = 15
MOST_NAMED = 6  # of the images that differ most
MOST_PAGES = 12
MOST_BEHIND = 12  # other arms' means
_NAME_WIDTH = 28
_SMALL = 400  # images that are drawn as points one can tell apart


@dataclass(frozen=True)
class WorstImage:
    """An image that an arm does badly on.

    Attributes:
        place: in the split, from 0.
        name: of the image.
        mean: over the arm's trials.
        scores: of each trial.
    """

    place: int
    name: str
    mean: float
    scores: tuple[float, ...]


def worst_images(
    values: npt.ArrayLike, names: Sequence[str], mode: Mode, most: int = MOST_WORST
) -> list[WorstImage]:
    """The images with the worst mean over trials, the worst first; of equal ones the first.

    Args:
        values: (trials, images); an image that lacks a score in any trial is none of them.
        names: of the images.
        mode: whether less or more is better.
        most: so many at most.
    """
    table = np.asarray(values, dtype=float)
    means = table.mean(axis=0)
    order = np.argsort(means if mode == "max" else -means, kind="stable")
    known = [place for place in order if np.isfinite(means[place])][:most]
    return [
        WorstImage(int(place), names[place], float(means[place]), tuple(table[:, place].tolist()))
        for place in known
    ]


@dataclass(frozen=True)
class ImagePair:
    """What two sides score on an image, each the mean over seeds.

    Attributes:
        name: of the image.
        a, b: the sides' scores.
    """

    name: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """a − b."""
        return self.a - self.b


def image_pairs(pairs: PairedImages) -> list[ImagePair]:
    """Every image that has a score in all trials of both sides."""
    a, b = pairs.a.mean(axis=0), pairs.b.mean(axis=0)
    known = np.isfinite(a) & np.isfinite(b)
    return [
        ImagePair(name, float(a[place]), float(b[place]))
        for place, name in enumerate(pairs.names)
        if known[place]
    ]


def most_different(pairs: Sequence[ImagePair], most: int = MOST_NAMED) -> list[ImagePair]:
    """Those with the largest differences, whatever their sign; equal sides are none of them."""
    ranked = sorted(pairs, key=lambda pair: -abs(pair.difference))  # stable: the first of equals
    return [pair for pair in ranked[:most] if pair.difference != 0]


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Heights of labels in the order of the points, at least `gap` apart, the highest in place."""
    found = [0.0] * len(heights)
    above = np.inf
    for place in sorted(range(len(heights)), key=lambda place: -heights[place]):
        found[place] = above = min(heights[place], above - gap)
    return found


def draw_worst(ax: Axes, worst: Sequence[WorstImage], color: str, others: Floats) -> None:
    """A row per image: the arm's trials, their mean, and (arms, images) means of others behind."""
    for row, image in enumerate(worst):
        ax.plot(others[:, image.place], np.full(len(others), row), "o", color=PALE, ms=4, mew=0)
        ax.plot(image.scores, [row] * len(image.scores), "o", color=color, ms=4, alpha=0.55, mew=0)
        ax.plot([image.mean], [row], "D", color=color, ms=6, mec=PAPER, mew=0.8)
    ax.set_yticks(range(len(worst)), [fitted(visible(image.name), _NAME_WIDTH) for image in worst])
    ax.set_ylim(len(worst) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")


def draw_differences(ax: Axes, pairs: Sequence[ImagePair], named: Sequence[ImagePair]) -> None:
    """Every image at (b, a), the line of equal scores, and numbers at the named ones."""
    a, b = np.array([pair.a for pair in pairs]), np.array([pair.b for pair in pairs])
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    margin = 0.08 * (high - low) or 0.05  # room for numbers beside points at the edge
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=MUTED, lw=0.8, zorder=1)
    crowded = len(pairs) > _SMALL
    # as pixels where there are many: thousands of shapes make a page slow
    ax.plot(b, a, "o", color=MUTED, ms=2 if crowded else 3.5, alpha=0.4 if crowded else 0.7, mew=0,
            rasterized=crowded)  # fmt: skip
    for above in (True, False):  # numbers stand away from the line of equal scores
        numbered = [(n, p) for n, p in enumerate(named, 1) if (p.difference > 0) == above]
        heights = spread([pair.a for _, pair in numbered], 0.055 * (ends[1] - ends[0]))
        for (number, pair), height in zip(numbered, heights, strict=True):
            ax.plot([pair.b], [pair.a], "o", color=INK, ms=4.5, mec=PAPER, mew=0.6)
            beside = pair.b + (-1 if above else 1) * 0.05 * (ends[1] - ends[0])
            ax.annotate(str(number), (pair.b, pair.a), xytext=(beside, height), fontsize=8,
                        color=INK, ha="right" if above else "left", va="center",
                        arrowprops={"arrowstyle": "-", "color": MUTED, "lw": 0.6})  # fmt: skip
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal", adjustable="box")


def worst(experiment: ExperimentData) -> Drawing | None:
    """The images on which the best arm fails, by the selected metric."""
    found = experiment.best_image_scores
    if found is None:
        return None
    arm, figure, scores = found
    mode = experiment.records.select.mode
    images = worst_images(scores.values, scores.images.names, mode)
    if not images:
        return None
    others = _other_means(experiment, figure, arm, scores.images.names)
    figure_, (ax,) = panels(1, 1, height=1.0 + 0.24 * len(images))
    draw_worst(ax, images, arm_color(arm), others)
    ax.set_xlabel(f"{title(figure.metric)} on the {_split(figure)} image")
    count = int(np.isfinite(scores.values).all(axis=0).sum())
    caption = (
        f"The {len(images)} of {count:,} {_split(figure)} images with the worst "
        f"{display_name(figure.metric)} of {arm.label}, the best arm by "
        f"{figure_words(experiment.records.best_column)}: a point for each seed, the diamond is "
        "their mean."
    )
    if len(others):
        caption += " Pale: the means of other arms; where they fail, too, the image is hard."
    return Drawing("worst_images", "Worst images", caption, (picture(figure_),))


def _split(figure: ImageFigure) -> str:
    return "test" if figure.split == "test" else "validation"


def _other_means(
    experiment: ExperimentData, figure: ImageFigure, best: Arm, names: Sequence[str]
) -> Floats:
    """(arms, images) means over seeds of the other arms that were scored on the same images."""
    found: list[Floats] = []
    for number in experiment.order:
        if number == best.number or len(found) == MOST_BEHIND:
            continue
        scores = by_trial(experiment.image_scores, figure, experiment.trials_of(number))
        if scores is not None and scores.images.names == tuple(names):
            found.append(scores.values.mean(axis=0))
    return np.array(found).reshape(len(found), len(names))


def differences(experiment: ExperimentData) -> Drawing | None:
    """For each hypothesis on a figure of images: one side's scores against the other's."""
    pages: list[RenderedFigure] = []
    notes: list[str] = []
    left = 0
    for outcome in experiment.tested:
        if not isinstance(outcome.hypothesis.b, dict):
            continue
        if len(pages) == MOST_PAGES:
            left += outcome.seen.sources is not None
            continue
        pairs = paired_images(
            experiment.records, outcome.hypothesis, experiment.image_scores, outcome.pairs
        )
        if pairs is None or not (found := image_pairs(pairs)):
            continue
        page, line = _difference_page(outcome, pairs, found)
        pages.append(page)
        notes.append(line)
    if not pages:
        return None
    caption = (
        "Each point is an image, its scores averaged over seeds and strata; above the line a is "
        "higher. Numbered: the largest differences. " + " ".join(notes)
    )
    if left:
        caption += f" {left} more hypotheses are not shown."
    return Drawing("image_differences", "Where two sides differ", caption, tuple(pages))


def _difference_page(
    outcome: HypothesisOutcome, pairs: PairedImages, found: Sequence[ImagePair]
) -> tuple[RenderedFigure, str]:
    hypothesis = outcome.hypothesis
    named = most_different(found)
    figure, (ax, beside) = panels(1, 2, height=3.6)
    draw_differences(ax, found, named)
    assert isinstance(hypothesis.b, dict)
    ax.set_ylabel(f"a: {_side(hypothesis.a)}")
    ax.set_xlabel(f"b: {_side(hypothesis.b)}")
    metric = title(hypothesis.metric)
    ax.set_title(f"{hypothesis.id}: {metric}", loc="left", fontsize=8.5)
    beside.set_axis_off()
    decimals = numbers.decimals_for([pair.difference for pair in named], [])
    lines = [
        f"{number}  {fitted(visible(pair.name), _NAME_WIDTH)}\n"
        f"     a {numbers.fixed(pair.a, decimals)}, b {numbers.fixed(pair.b, decimals)}, "
        f"{numbers.signed(pair.difference, decimals)}"
        for number, pair in enumerate(named, start=1)
    ]
    beside.text(0, 1, "\n".join(lines) or "no differences", va="top", fontsize=8, linespacing=1.5,
                color=INK, transform=beside.transAxes)  # fmt: skip
    higher = sum(pair.difference > 0 for pair in found)
    line = (
        f"{hypothesis.id}: a is higher on {higher:,} of {len(found):,} images"
        f" ({numbers.plural(len(pairs.seeds), 'seed')})."
    )
    return picture(figure), line


def _side(levels: Mapping[str, str | list[str]]) -> str:
    texts = [level if isinstance(level, str) else " or ".join(level) for level in levels.values()]
    return fitted(visible(", ".join(texts)), _NAME_WIDTH)
