"""Prediction grids: the same validation images for every arm, the worst, a median and the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from bench.analysis.arm_summary import best_trials
from bench.analysis.arms import Arm
from bench.record.store import TrialFiles
from bench.report.figures.experiment_data import ExperimentData
from bench.report.figures.look import WIDTH, Drawing, RenderedFigure, fitted, picture
from bench.report.format import numbers
from bench.safe_files import open_plain
from bench.tasks.palette import CONFUSED, EXTRA, GAP, IGNORED, MISSED, PALETTE

Pixels = npt.NDArray[np.uint8]

ARMS = 12  # rows of one grid
EPSILON = 1e-6
TILE = 150  # pixels
HIT = np.array((0, 158, 115))


@dataclass(frozen=True)
class Strip:
    """What a trial made of one image: (H, W, 3) the image, (H, W) labels.

    `truth` and `prediction` are colours of `PALETTE`, numbered; -1 does not count.
    """

    image: Pixels
    truth: npt.NDArray[np.int64]
    prediction: npt.NDArray[np.int64]

    def dice(self, classes: int, absent: float = 1.0) -> float:
        """The mean over foreground classes of (2·|P∩G| + ε) / (|P| + |G| + ε), as it is scored.

        Args:
            classes: of the foreground.
            absent: what a class in neither counts as; NaN: it does not, and an image without any
                that does has no Dice (NaN).
        """
        valid = self.truth >= 0
        found = []
        for label in range(1, classes + 1):
            p, g = (self.prediction == label) & valid, self.truth == label
            both, total = int((p & g).sum()), int(p.sum()) + int(g.sum())
            found.append((2 * both + EPSILON) / (total + EPSILON) if total else absent)
        defined = [value for value in found if not math.isnan(value)]
        return float(np.mean(defined)) if defined else math.nan


def read_strip(path: Path) -> Strip | None:
    """A picture as segmentation trials keep them: image, truth, prediction, errors side by side.

    None where it is no such picture, or cannot be read.
    """
    try:
        with open_plain(path) as file, Image.open(file) as found:
            pixels = np.asarray(found.convert("RGB"))
    except Exception:  # Pillow raises nearly anything on a broken file
        return None
    width, rest = divmod(pixels.shape[1] - 3 * GAP, 4)
    if rest or width < 1:
        return None
    panels = [pixels[:, i * (width + GAP) : i * (width + GAP) + width] for i in range(3)]
    truth, prediction = _labels(panels[1]), _labels(panels[2])
    if truth is None or prediction is None:
        return None
    return Strip(panels[0], truth, prediction)


def _labels(colours: Pixels) -> npt.NDArray[np.int64] | None:
    """Numbers of the palette's colours; None where there are others."""
    known = np.vstack([PALETTE, IGNORED]).astype(np.int64) @ (1 << 16, 1 << 8, 1)
    codes = colours.astype(np.int64) @ (1 << 16, 1 << 8, 1)
    order = np.argsort(known)
    place = order[np.searchsorted(known[order], codes).clip(max=len(known) - 1)]
    if (known[place] != codes).any():
        return None
    return np.where(place == len(PALETTE), -1, place)


def foreground_classes(metrics: Mapping[str, str]) -> int:
    """How many foreground classes the metrics tell of: with one, it has no Dice of its own."""
    return max(1, sum(name.startswith("dice_") for name in metrics))


def chosen_images(scores: Mapping[str, float]) -> list[tuple[str, str]]:
    """The worst, a median and the best image by these scores: what each is, and its name.

    Images without a score are none of them. Fewer images have fewer of them; ties go by name.
    """
    defined = [name for name in scores if math.isfinite(scores[name])]
    ranked = sorted(defined, key=lambda name: (scores[name], name))
    if not ranked:
        return []
    places = {0: "worst", len(ranked) // 2: "median", len(ranked) - 1: "best"}
    if len(ranked) < 3:
        places = {0: "worst", len(ranked) - 1: "best"} if len(ranked) == 2 else {0: "only"}
    return [(what, ranked[place]) for place, what in sorted(places.items())]


def disputed_image(dice: Mapping[int, Mapping[str, float]], names: set[str]) -> str | None:
    """The image of which the arms make most different things; None where they all do equally."""
    scores = {name: [each[name] for each in dice.values()] for name in sorted(names)}
    defined = {name: found for name, found in scores.items() if np.isfinite(found).all()}
    spread = {name: max(found) - min(found) for name, found in defined.items()}
    widest = max(spread, key=lambda name: spread[name], default=None)
    return widest if widest is not None and spread[widest] > 0 else None


def compared(strip: Strip) -> Pixels:
    """On the dim image: right foreground green, missed orange, extra blue, confused yellow."""
    grey = np.broadcast_to(strip.image.mean(axis=2, keepdims=True) * 0.6, strip.image.shape).copy()
    truth, made = strip.truth, strip.prediction
    valid = truth >= 0
    kinds = (
        ((truth == made) & (truth > 0), HIT, 0.55),
        ((made == 0) & (truth > 0), MISSED, 0.9),
        ((truth == 0) & (made > 0), EXTRA, 0.9),
        ((truth > 0) & (made > 0) & (truth != made), CONFUSED, 0.9),
    )
    for where, colour, strength in kinds:
        rows = where & valid
        grey[rows] = grey[rows] * (1 - strength) + colour * strength
    return grey.astype(np.uint8)


def strips_of(experiment: ExperimentData) -> dict[int, dict[str, Strip]]:
    """The pictures of every arm's best trial, by name; of `ARMS` arms, the best ones.

    In a large experiment half of them are the worst.
    """
    trials = best_trials(experiment.records, experiment.arms)
    shown, _ = experiment.extremes(
        [n for n in trials if trials[n] in experiment.records.folders], ARMS
    )
    found = {}
    for arm in shown:
        folder = TrialFiles(experiment.records.folders[trials[arm.number]]).samples
        strips = {path.stem: read_strip(path) for path in sorted(folder.glob("*.png"))}
        kept = {name: strip for name, strip in strips.items() if strip is not None}
        if kept:
            found[arm.number] = kept
    return found


def predictions(experiment: ExperimentData) -> Drawing | None:
    """What every arm makes of the worst, a median and the best of the images that all show."""
    classes = foreground_classes(experiment.records.metrics)
    if experiment.records.task != "segmentation" or classes >= len(PALETTE):
        return None  # colours that several classes share tell no Dice
    strips = strips_of(experiment)
    names = set.intersection(*(set(found) for found in strips.values())) if strips else set()
    if not names:
        return None
    dice = {
        number: {name: found[name].dice(classes, _absent(experiment, classes)) for name in names}
        for number, found in strips.items()
    }
    means = {name: float(np.mean([each[name] for each in dice.values()])) for name in names}
    chosen = chosen_images(means)
    if not chosen:
        return None
    disputed = disputed_image(dice, names)
    if disputed and disputed not in {name for _, name in chosen}:
        chosen.append(("most disputed", disputed))
    arms = [arm for arm in experiment.arms if arm.number in strips]
    drawn = _grid(arms, strips, dice, chosen)
    listed = ", ".join(f"{name} ({what})" for what, name in chosen)
    caption = (
        f"The best trial of each arm; the same images for all, chosen by their mean Dice among the "
        f"{len(names)} validation images that every one of them keeps: {listed}. Above each "
        "prediction its Dice. Right foreground green, missed orange, extra blue."
    )
    if classes > 1:
        caption += " One class taken for another: yellow."
    without = len(experiment.arms) - len(arms)
    if without:
        caption += f" {without} more {'arm is' if without == 1 else 'arms are'} not shown."
    if experiment.is_large:
        caption += f" Shown are the best and the worst arms, {ARMS} at most."
    return Drawing("predictions", "Predictions compared", caption, (drawn,))


def _absent(experiment: ExperimentData, classes: int) -> float:
    """What a class in neither mask nor prediction counts as in this experiment's scores."""
    scoring = experiment.records.scoring
    if scoring is None:  # of bench 0.1, where it counted as found
        return 1.0
    return 1.0 if classes == 1 and scoring.get("empty_mask") == "one" else math.nan


def _grid(
    arms: Sequence[Arm],
    strips: Mapping[int, Mapping[str, Strip]],
    dice: Mapping[int, Mapping[str, float]],
    chosen: Sequence[tuple[str, str]],
) -> RenderedFigure:
    """A column per image, a row per arm below the image and its truth."""
    first = strips[arms[0].number]
    rows: list[tuple[str, list[Pixels], list[str]]] = [
        ("image", [first[name].image for _, name in chosen], [what for what, _ in chosen]),
        ("truth", [_outlined(first[name]) for _, name in chosen], [""] * len(chosen)),
    ]
    for arm in arms:
        tiles = [compared(strips[arm.number][name]) for _, name in chosen]
        rows.append((arm.label, tiles, [numbers.fixed(dice[arm.number][n], 3) for _, n in chosen]))
    return _drawn_grid(rows)


def _drawn_grid(rows: Sequence[tuple[str, list[Pixels], list[str]]]) -> RenderedFigure:
    """Rows of a label, tiles and what stands above each."""
    line, left = 0.17, 1.75
    tile = min(1.07, 13.0 / len(rows))
    high = (tile + line) * len(rows) + 0.1
    figure = Figure(figsize=(WIDTH, high))
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))  # in inches, one for all tiles
    for i, (label, tiles, notes) in enumerate(rows):
        top = high - 0.05 - i * (tile + line)
        ax.text(0.06, top - line - tile / 2, fitted(label, 26), va="center", fontsize=8)
        for j, (shown, note) in enumerate(zip(tiles, notes, strict=True)):
            x = left + j * (tile + 0.12)
            ax.imshow(_small(shown), extent=(x, x + tile, top - line - tile, top - line),
                      interpolation="nearest")  # fmt: skip
            ax.text(x + tile / 2, top - 0.13, note, ha="center", fontsize=7.5)
    ax.set_xlim(0, WIDTH)
    ax.set_ylim(0, high)
    ax.set_axis_off()
    return picture(figure)


def _outlined(strip: Strip) -> Pixels:
    """The image dimmed, its true foreground as it is."""
    grey = np.broadcast_to(strip.image.mean(axis=2, keepdims=True) * 0.35, strip.image.shape)
    return np.where((strip.truth > 0)[..., None], strip.image, grey).astype(np.uint8)


def _small(tile: Pixels) -> Pixels:
    """At most `TILE` pixels on either side."""
    shown = Image.fromarray(tile)
    shown.thumbnail((TILE * 2, TILE * 2), Image.Resampling.LANCZOS)
    return np.asarray(shown)
