"""Outlines of objects, a file for each image: polygons of YOLO (`.txt`) and LabelMe (`.json`)."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.coco import AnnotatedMask
from bench.data.mask_sources import MaskSource
from bench.data.names import text_of
from bench.data.pages import MAX_PIXELS, one_line
from bench.errors import DataError, did_you_mean

YOLO, LABELME = ".txt", ".json"
_LEAST = 6  # coordinates: those of three points
_BOX = 4
_CIRCLE_CORNERS = 64
_AREAS = ("polygon", "rectangle", "circle")


def drawn_masks(
    masks: Mapping[str, MaskSource], images: Mapping[str, Path], classes: Sequence[str],
    values: Collection[int] | None,
) -> tuple[dict[str, MaskSource], tuple[str, ...]]:  # fmt: skip
    """Masks of which those that are text files are outlines; and notes.

    Where masks are YOLO's, an image without a file has no object.

    Args:
        masks: by the images' names.
        images: all images by name.
        classes: the first is the background.
        values: those that masks may have; None: any.

    Raises:
        DataError: a file cannot be read, or has other classes.
    """
    texts = {name: file for name, file in masks.items() if isinstance(file, Path)}
    of_yolo = {name: file for name, file in texts.items() if file.suffix.lower() == YOLO}
    if of_yolo:
        found: dict[str, MaskSource] = {n: read_yolo(f, values) for n, f in of_yolo.items()}
        alone = sorted(images.keys() - masks.keys())
        found |= {name: AnnotatedMask(images[name], name, None, None, ()) for name in alone}
        note = f"{len(alone):,} of {len(images):,} images have no label file: they have no object"
        return {**masks, **found}, (note,) if alone else ()
    of_labelme = {name: file for name, file in texts.items() if file.suffix.lower() == LABELME}
    if not of_labelme:
        return dict(masks), ()
    shapes = {name: read_shapes(file) for name, file in of_labelme.items()}
    there = sorted({label for own in shapes.values() for label, _ in own.objects})
    for name in classes[1:]:
        if name not in there:
            raise DataError(
                f"{next(iter(of_labelme.values())).parent}: no object there is labelled {name!r}"
                f"{did_you_mean(name, there)}: mend data.classes, whose first is the background"
            )
    number = {name: label for label, name in enumerate(classes)}
    drawn: dict[str, MaskSource] = {name: own.drawn(number) for name, own in shapes.items()}
    others = [label for label in there if label not in number]
    shown = ", ".join(map(one_line, others[:5])) + (", …" if len(others) > 5 else "")
    note = f"objects of labels that are no class stay background: {shown}"
    return {**masks, **drawn}, (note,) if others else ()


def read_yolo(file: Path, values: Collection[int] | None = None) -> AnnotatedMask:
    """The polygons of a label file: `class x1 y1 x2 y2 …`, coordinates as shares of the sides.

    An object of class n is drawn with the value n + 1, large objects first; 0 is background.

    Args:
        file: of one image.
        values: those that masks may have; None: any.

    Raises:
        DataError: a line is none of YOLO's, is a box, or of another class.
    """
    found: list[tuple[float, int, list[float]]] = []
    for number, line in enumerate(text_of(file, "save it in UTF-8").splitlines(), start=1):
        if not line.strip():
            continue
        label, points = _yolo_line(line, f"{file}:{number}")
        if values is not None and label + 1 not in values:
            raise DataError(
                f"{file}:{number}: is of class {label}, which `classes:` does not name: its first "
                "is the background, and class n is the one n + 1 places further"
            )
        found.append((polygon_area(points), label + 1, points))
    found.sort(key=lambda each: -each[0])
    regions = tuple((label, [points]) for _, label, points in found)
    return AnnotatedMask(file, file.name, None, None, regions)


def _yolo_line(line: str, where: str) -> tuple[int, list[float]]:
    first, *rest = line.split()
    try:
        label, points = int(first), [float(number) for number in rest]
    except ValueError as error:
        raise DataError(f"{where}: is none of YOLO's (class x1 y1 x2 y2 …): mend it") from error
    if len(points) == _BOX:
        raise DataError(
            f"{where}: is a box, not an outline: export the labels for segmentation, or remove the "
            "line"
        )
    if label < 0 or len(points) < _LEAST or len(points) % 2 or not np.isfinite(points).all():
        raise DataError(f"{where}: needs a class and three points or more, x and y of each")
    if max(points) > 2 or min(points) < -1:
        raise DataError(
            f"{where}: coordinates are shares of the image's sides, from 0 to 1, not pixels"
        )
    return label, points


def polygon_area(points: Sequence[float]) -> float:
    """Of a polygon x1, y1, x2, y2, …, by the shoelace formula."""
    x, y = np.asarray(points[::2]), np.asarray(points[1::2])
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


class Shapes:
    """What a LabelMe file holds.

    Attributes:
        file: its path.
        height, width: of the image, in pixels.
        objects: label and polygon (x1, y1, x2, y2, …) of each, in the file's order.
    """

    def __init__(
        self, file: Path, height: int, width: int, objects: Sequence[tuple[str, list[float]]]
    ) -> None:
        self.file, self.height, self.width, self.objects = file, height, width, objects

    def drawn(self, number: Mapping[str, int]) -> AnnotatedMask:
        """The mask of the objects that are of a class, later ones above earlier ones."""
        regions = tuple((number[n], [points]) for n, points in self.objects if number.get(n))
        return AnnotatedMask(self.file, self.file.name, self.height, self.width, regions)


def read_shapes(file: Path) -> Shapes:
    """The outlines of a LabelMe file.

    Raises:
        DataError: it is none of LabelMe's, or has shapes that are no areas.
    """
    try:
        content = json.loads(text_of(file, "save it in UTF-8"))
        height, width = int(content["imageHeight"]), int(content["imageWidth"])
        if not 0 < height * width <= MAX_PIXELS:
            raise ValueError(f"an image of {width}×{height} pixels")
        objects = list(_objects(file, content["shapes"]))
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{file}: is no LabelMe file ({type(error).__name__}: {error}): save it again in "
            "LabelMe, or mend `masks:`"
        ) from error
    return Shapes(file, height, width, objects)


def _objects(file: Path, shapes: Any) -> Iterator[tuple[str, list[float]]]:
    for shape in shapes:
        label, kind = str(shape["label"]), shape.get("shape_type") or "polygon"
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if kind not in _AREAS:
            raise DataError(
                f"{file}: {one_line(label)!r} is a {one_line(kind)}, which is no area: only "
                f"{', '.join(_AREAS)} are drawn; outline it again, or remove it"
            )
        corners = _corners(kind, points)
        flat = [coordinate for point in corners for coordinate in point]
        if len(flat) < _LEAST or not np.isfinite(flat).all():
            raise DataError(f"{file}: {one_line(label)!r} has fewer than three points: remove it")
        yield label, flat


def _corners(kind: str, points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    if kind == "rectangle":
        (left, top), (right, bottom) = points[:2]
        return [(left, top), (right, top), (right, bottom), (left, bottom)]
    if kind == "circle":  # its centre and a point on it
        (x, y), edge = points[:2]
        radius = math.dist((x, y), edge)
        turns = [2 * math.pi * k / _CIRCLE_CORNERS for k in range(_CIRCLE_CORNERS)]
        return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]
    return points
