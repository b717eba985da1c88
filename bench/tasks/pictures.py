"""Sample pictures: (H, W, 3) uint8."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from bench.labels import IGNORE_LABEL
from bench.tasks.base import Picture
from bench.tasks.palette import CONFUSED, EXTRA, GAP, IGNORED, MISSED, PALETTE

RIGHT = np.array((0, 114, 178), np.uint8)
TILE = 160  # pixels: a captioned image is at least so wide
FONT = 12
MAX_CLASSES = 100
_AT_ONCE = 1 << 20  # pixels that are mixed at once, as float64


def colour(mask: Picture) -> Picture:
    """(H, W) labels → (H, W, 3) colours; more classes than colours start again after the first."""
    index = np.where(mask == 0, 0, (mask.astype(int) - 1) % (len(PALETTE) - 1) + 1)
    found = PALETTE[index]
    found[mask == IGNORE_LABEL] = IGNORED
    return found


def errors(
    image: Picture, truth: Picture, prediction: Picture, *, background: bool = True
) -> Picture:
    """On the image in dim grey: missed foreground orange, extra blue, confused classes yellow.

    Without a background class all errors are confusions.
    """
    grey = image.mean(axis=2, keepdims=True) * 0.5
    found = np.broadcast_to(grey, image.shape).astype(np.uint8)
    wrong = (truth != prediction) & (truth != IGNORE_LABEL)
    found[wrong] = CONFUSED
    if background:
        found[wrong & (prediction == 0)] = MISSED
        found[wrong & (truth == 0)] = EXTRA
    return found


def overlay(image: Picture, mask: Picture, strength: float = 0.5) -> Picture:
    """The image with its foreground tinted in the class's colour."""
    found = np.empty_like(image)
    for rows in _bands(image.shape[1], image.shape[0]):
        tinted = image[rows] * (1 - strength) + colour(mask[rows]) * strength
        found[rows] = np.where((mask[rows] > 0)[..., None], tinted, image[rows]).astype(np.uint8)
    return found


def _bands(width: int, height: int) -> Iterator[slice]:
    """As many rows at a time as memory is meant for: floats take eight times a picture's."""
    step = max(1, _AT_ONCE // width)
    return (slice(top, top + step) for top in range(0, height, step))


def side_by_side(
    image: Picture, truth: Picture, prediction: Picture, *, background: bool = True
) -> Picture:
    """Image, truth, prediction and error map in one row, with white gaps."""
    gap = np.full((image.shape[0], GAP, 3), 255, np.uint8)
    wrong = errors(image, truth, prediction, background=background)
    panels = [image, colour(truth), colour(prediction), wrong]
    row = [part for panel in panels for part in (panel, gap)][:-1]
    return np.concatenate(row, axis=1)


class Caption(NamedTuple):
    """What stands below an image: the truth, the prediction, and whether they agree."""

    truth: str
    prediction: str
    right: bool


def captioned(images: Picture, captions: Sequence[Caption]) -> Picture:
    """(N, h, w, 3) images two abreast, small ones enlarged, each over its two lines of text."""
    factor = max(1, -(-TILE // images.shape[2]))
    tiles = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = tiles.shape[1:3]
    line = FONT + 4
    cell = width + GAP, height + 2 * line + 4
    columns, rows = min(2, len(tiles)), -(-len(tiles) // 2)
    canvas = Image.new("RGB", (columns * cell[0] - GAP, rows * cell[1]), "white")
    draw = ImageDraw.Draw(canvas)
    for place, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left, top = place % 2 * cell[0], place // 2 * cell[1]
        canvas.paste(Image.fromarray(tile), (left, top))
        write = _Writer(draw, width)
        write.at(left, top + height + 1, caption.truth, (0, 0, 0))
        colours = RIGHT if caption.right else MISSED
        write.at(left, top + height + 1 + line, caption.prediction, tuple(colours.tolist()))
    return np.asarray(canvas)


def confusion_matrix(counts: npt.NDArray[np.int64], names: Sequence[str]) -> Picture:
    """Counts (K, K) as shades: row = true class, column = predicted, white 0 to blue the whole row.

    Classes that neither occur nor are predicted are left out, and of more than `MAX_CLASSES` all
    but those with most errors; a line below says so.
    """
    chosen, remark = _shown_classes(counts)
    counts = counts[np.ix_(chosen, chosen)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    cell = max(FONT + 4, min(56, 640 // len(chosen)))
    labels = [_text_image(names[index], 150) for index in chosen]
    edge = max(label.width for label in labels) + FONT + 16
    side = edge + cell * len(chosen)
    canvas = Image.new("RGB", (max(side, 240) + GAP, side + FONT + 8), "white")
    draw = ImageDraw.Draw(canvas)
    canvas.paste(_text_image("predicted", 150), (edge, 2))
    canvas.paste(_text_image("true", 150).rotate(90, expand=True), (2, edge))
    for place, label in enumerate(labels):
        middle = edge + place * cell + (cell - label.height) // 2
        canvas.paste(label, (edge - label.width - 4, middle))
        canvas.paste(label.rotate(90, expand=True), (middle, edge - label.width - 4))
    for row, column in np.ndindex(*counts.shape):
        corner = (edge + column * cell, edge + row * cell)
        _draw_cell(draw, corner, cell, float(shares[row, column]), int(counts[row, column]))
    _Writer(draw, canvas.width).at(2, side + 3, remark, (0, 0, 0))
    return np.asarray(canvas)


def _shown_classes(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], str]:
    """The classes that are shown, and what is to be said of the others."""
    seen = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    if len(seen) <= MAX_CLASSES:
        left = len(counts) - len(seen)
        return seen, f"{left} classes neither occur nor are predicted" if left else ""
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    worst = np.sort(np.argsort(-wrong, kind="stable")[:MAX_CLASSES])
    return worst, f"the {MAX_CLASSES} of {len(counts)} classes with most errors"


def _draw_cell(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, share: float, count: int
) -> None:
    """One shaded cell, with its count where that fits."""
    x, y = corner
    shade = tuple(int(value) for value in 255 + share * (RIGHT.astype(float) - 255) + 0.5)
    draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=shade, outline=(225, 225, 225))
    if count and draw.textlength(str(count), _font()) <= cell - 2:
        ink = (255, 255, 255) if share > 0.5 else (0, 0, 0)
        draw.text((x + cell / 2, y + cell / 2), str(count), ink, _font(), anchor="mm")


class _Writer:
    """Writes lines of text that are shortened to one width."""

    def __init__(self, draw: ImageDraw.ImageDraw, width: int) -> None:
        self._draw, self._width = draw, width

    def at(self, x: int, y: int, text: str, ink: tuple[int, ...]) -> None:
        """Write `text` with its upper left corner at (x, y)."""
        self._draw.text((x + 2, y), _shortened(text, self._width - 4), ink, _font())


def _text_image(text: str, most: int) -> Image.Image:
    """A line of black text on white, no wider than `most` pixels."""
    shown = _shortened(text, most)
    picture = Image.new("RGB", (int(_font().getlength(shown)) + 2, FONT + 4), "white")
    ImageDraw.Draw(picture).text((1, 1), shown, (0, 0, 0), _font())
    return picture


def _shortened(text: str, width: int) -> str:
    """`text` in characters that the font has, its end cut off where it is too wide."""
    plain = text.encode("latin-1", "replace").decode("latin-1")
    if _font().getlength(plain) <= width:
        return plain
    while plain and _font().getlength(plain + "..") > width:
        plain = plain[:-1]
    return plain + ".."


@functools.cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT)
