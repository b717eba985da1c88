"""COCO annotations: polygons and run-length codes, drawn as masks of classes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.base import Array, FileFacts
from bench.data.names import text_of
from bench.data.pages import MAX_PIXELS, UnreadableError, one_line
from bench.errors import DataError, describe_exception

_REMEDY = "export the annotations again as COCO JSON, or mend `annotations:`"


@dataclass(frozen=True)
class AnnotatedMask:
    """The mask of one image, not drawn yet.

    Attributes:
        file: of the annotations.
        image: the image's file name there.
        height, width: of the image, in pixels; None: coordinates are shares of its sides.
        regions: class and `segmentation` (polygons or run lengths) of each object, in the order in
            which they are drawn.
    """

    file: Path
    image: str
    height: int | None
    width: int | None
    regions: tuple[tuple[int, Any], ...]

    @property
    def digest(self) -> str:
        """Of all that the mask depends on."""
        described = [self.height, self.width, self.regions]
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:24]

    def draw(self, image_size: tuple[int, int]) -> tuple[Array, FileFacts]:
        """The classes (H, W), and what a file of them would be like.

        Args:
            image_size: height and width of the image, where annotations do not say them.

        Raises:
            UnreadableError: a region is none; names the image.
        """
        height, width = self.height or image_size[0], self.width or image_size[1]
        classes = np.zeros((height, width), np.uint8)
        for label, segmentation in self.regions:
            scaled = segmentation
            if self.height is None:
                sides = np.tile([width, height], len(segmentation[0]) // 2)
                scaled = [(np.array(segmentation[0]) * sides).tolist()]
            classes[self._region(scaled, height, width)] = label
        low, high = int(classes.min()), int(classes.max())
        facts = FileFacts(width, height, "COCO", 8, 1, 1, low, high, "uint8")
        return classes, facts

    def _region(self, segmentation: Any, height: int, width: int) -> Any:
        """(H, W) bool."""
        codes = _pycocotools()
        try:
            found = _run_lengths(segmentation, height, width, codes)
            return codes.decode(found).astype(bool)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            wrong = f"the annotation of {one_line(self.image)} is no region ({error})"
            raise UnreadableError(self.file, wrong, _REMEDY) from error


def _run_lengths(segmentation: Any, height: int, width: int, codes: Any) -> Any:
    """One run-length code of a region, checked before it is decoded."""
    if isinstance(segmentation, list):
        for polygon in segmentation:
            if len(polygon) < 6 or len(polygon) % 2 or not np.isfinite(polygon).all():
                raise ValueError("a polygon has three points or more, x and y of each")
        if not segmentation:
            raise ValueError("it has no polygon")
        return codes.merge(codes.frPyObjects(segmentation, height, width))
    if [int(n) for n in segmentation["size"]] != [height, width]:
        raise ValueError(f"its size is {segmentation['size']}, the image's {[height, width]}")
    counts = segmentation["counts"]
    if isinstance(counts, list):
        if sum(counts) != height * width or min(counts, default=0) < 0:
            raise ValueError("its run lengths are not as many pixels as the image has")
        return codes.frPyObjects(segmentation, height, width)
    return {"size": [height, width], "counts": counts.encode()}


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError(
            "Outlines are drawn by pycocotools, which is not installed: pip install 'bench[coco]'"
        ) from error
    return mask


def read_annotations(file: Path, classes: Sequence[str]) -> tuple[dict[str, AnnotatedMask], str]:
    """The masks by the images' file names as the annotations have them; and a note, if any.

    The first class is background. Objects are drawn from the largest to the smallest, so that
    small ones are not hidden; crowds (`iscrowd`) are drawn like others. Objects of categories that
    are no class stay background.

    Raises:
        DataError: the file is none of COCO's, or has none of the classes.
    """
    try:
        return _read(file, _content(file), classes)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = describe_exception(error)
        raise DataError(f"{file}: is no COCO annotation file ({wrong}): {_REMEDY}") from error


def _read(
    file: Path, content: Mapping[str, Any], classes: Sequence[str]
) -> tuple[dict[str, AnnotatedMask], str]:
    names = {int(c["id"]): str(c["name"]) for c in content["categories"]}
    wanted = {name: number for number, name in enumerate(classes)}
    known = {key: wanted[name] for key, name in names.items() if wanted.get(name, 0) > 0}
    if missing := sorted(set(classes[1:]) - set(names.values())):
        raise DataError(
            f"{file}: has no category {missing[0]!r} (it has {_some(sorted(names.values()))}): "
            "mend data.classes, whose first is the background"
        )
    objects: dict[int, list[Mapping[str, Any]]] = {}
    for annotation in content["annotations"]:
        if annotation.get("segmentation") and int(annotation["category_id"]) in known:
            objects.setdefault(int(annotation["image_id"]), []).append(annotation)
    masks = dict(_masks(file, content["images"], objects, known))
    others = sorted(name for name in set(names.values()) if name not in classes)
    note = f"categories that are no class stay background: {_some(others)}" if others else ""
    return masks, note


def _masks(
    file: Path,
    images: Sequence[Mapping[str, Any]],
    objects: Mapping[int, Sequence[Mapping[str, Any]]],
    classes: Mapping[int, int],
) -> Iterator[tuple[str, AnnotatedMask]]:
    for image in images:
        name, height, width = str(image["file_name"]), int(image["height"]), int(image["width"])
        if not 0 < height * width <= MAX_PIXELS:
            raise DataError(
                f"{file}: {one_line(name)} is {width}×{height} pixels there, which is none or more "
                f"than {MAX_PIXELS:,}: mend the file"
            )
        found = sorted(objects.get(int(image["id"]), ()), key=_area, reverse=True)
        regions = tuple((classes[int(o["category_id"])], o["segmentation"]) for o in found)
        yield name, AnnotatedMask(file, name, height, width, regions)


def _area(annotation: Mapping[str, Any]) -> float:
    """As annotated; of a box where that is missing."""
    if "area" in annotation:
        return float(annotation["area"])
    box = annotation.get("bbox") or (0, 0, 0, 0)
    return float(box[2]) * float(box[3])


def _content(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(text_of(file, _REMEDY))
        for key in ("images", "annotations", "categories"):
            if not isinstance(content[key], list):
                raise TypeError(f"{key} is no list")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file}: is no COCO annotation file ({error}): {_REMEDY}") from error
    found: dict[str, Any] = content
    return found


def category_names(file: Path) -> list[str]:
    """The names of the categories, by their numbers.

    Raises:
        DataError: the file is none of COCO's.
    """
    try:
        ordered = sorted(_content(file)["categories"], key=lambda c: int(c["id"]))
        return list(dict.fromkeys(str(category["name"]) for category in ordered))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file}: is no COCO annotation file: {_REMEDY}") from error


def image_names(file: Path) -> list[str]:
    """The file names of the images.

    Raises:
        DataError: the file is none of COCO's.
    """
    try:
        return [str(image["file_name"]) for image in _content(file)["images"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"{file}: is no COCO annotation file: {_REMEDY}") from error


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names[:5])) + (", …" if len(names) > 5 else "")
