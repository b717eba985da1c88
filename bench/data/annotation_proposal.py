"""Annotations in a folder never seen before: COCO, outlines of YOLO and LabelMe, and others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from bench.data.coco import category_names, image_names
from bench.data.file_tree import Entry, Tree, endings_of, entry_of, with_split
from bench.data.image_facts import facts_of_images
from bench.data.names import text_of
from bench.data.outlines import read_shapes
from bench.errors import DataError

_LOOKED_AT = 200
_NUMBERS = re.compile(r"\d+(\s+-?[\d.]+(e-?\d+)?)+\s*")
_BOX = 5  # numbers of a line that is a box: class, centre, width and height
_NOT_OBJECTS = {"_background_", "__ignore__"}


@dataclass(frozen=True)
class Proposal:
    """A data set that a spec can name.

    Attributes:
        settings: the keys of `data:` that are needed, in order.
        task: what can be learnt of it.
        notes: what was seen and what has to be checked, a line each.
    """

    settings: Mapping[str, Any]
    task: str
    notes: tuple[str, ...] = ()


def outlined(tree: Tree) -> list[Proposal]:
    """Outlines of YOLO or LabelMe, a file for each image.

    Raises:
        DataError: there are boxes, of which no masks can be made.
    """
    return _of_yolo(tree) or _of_labelme(tree)


def _of_yolo(tree: Tree) -> list[Proposal]:
    labels = _label_files(tree, ".txt")
    if labels is None:
        return []
    images, files, patterns = labels
    lines = [line for file in _some(files) for line in _lines(tree.root / file)]
    if not lines or not all(_NUMBERS.fullmatch(line) for line in lines):
        return []
    if any(len(line.split()) == _BOX for line in lines):
        raise DataError(
            f"{tree.root / files[0]}: has boxes of objects, which say nothing of single pixels: "
            "export the labels for segmentation (outlines, or masks as PNG)"
        )
    numbers = {int(line.split()[0]) for line in lines}
    names, source = _yolo_names(tree, max(numbers))
    settings = {
        "name": "folder", "root": tree.root.as_posix(), "images": patterns[0],
        "masks": patterns[1], "classes": ["background", *names],
    }  # fmt: skip
    note = f"YOLO outlines of {len(files):,} of {len(images):,} images; {source}"
    facts = facts_of_images([tree.root / image for image in images])
    return [Proposal({**settings, **facts.settings}, "segmentation", (note, *facts.notes))]


def _yolo_names(tree: Tree, most: int) -> tuple[list[str], str]:
    """The classes' names, and where they are from."""
    for path in tree.others:
        name = path.rpartition("/")[2].lower()
        found: list[str] = []
        with suppress(DataError):
            if name.endswith((".yaml", ".yml")):
                found = names_of_yolo(text_of(tree.root / path, ""))
            elif name in ("classes.txt", "obj.names"):
                found = [line.strip() for line in _lines(tree.root / path)]
        if len(found) > most:
            return found, f"classes are named by {path}"
    return [f"class_{i}" for i in range(most + 1)], "give the classes their names"


def names_of_yolo(text: str) -> list[str]:
    """The classes that a `data.yaml` names, in order: a list or a mapping from numbers."""
    start = re.search(r"(?m)^names:[ \t]*", text)
    if start is None:
        return []
    rest = text[start.end() :]
    if rest[:1] in ("[", "{"):
        items = re.split(r"[\]}]", rest[1:])[0].split(",")
    else:
        lines = rest.lstrip().splitlines()
        items = list(takewhile(re.compile(r"\s*(- |\d+\s*:)").match, lines))
    bare = (re.sub(r"^\s*(-\s+|\d+\s*:)", "", item).partition(" #")[0] for item in items)
    return [name for name in (item.strip().strip("'\"") for item in bare) if name]


def _of_labelme(tree: Tree) -> list[Proposal]:
    labels = _label_files(tree, ".json")
    if labels is None:
        return []
    images, files, patterns = labels
    try:
        found = Counter(label for f in files for label, _ in read_shapes(tree.root / f).objects)
    except DataError:
        return []
    classes = ["background", *sorted(found.keys() - _NOT_OBJECTS - {"background"})]
    if len(classes) < 2:
        return []
    settings = {
        "name": "folder", "root": tree.root.as_posix(), "images": patterns[0],
        "masks": patterns[1], "classes": classes,
    }  # fmt: skip
    notes = [f"LabelMe outlines of {len(files):,} of {len(images):,} images"]
    if missing := len(images) - len(files):
        notes.append(f"{missing:,} images have none: remove them, or label them")
    facts = facts_of_images([tree.root / image for image in images])
    return [Proposal({**settings, **facts.settings}, "segmentation", (*notes, *facts.notes))]


def _label_files(tree: Tree, ending: str) -> tuple[list[str], list[str], tuple[str, str]] | None:
    """Images, files that have their names, and the patterns of both; None: there are none."""
    splits = any(entry.split is not None for entry in tree.entries)
    others = [entry_of(path, splits=splits) for path in tree.others if path.endswith(ending)]
    by_folder: dict[str, list[Entry]] = {}
    for entry in others:
        by_folder.setdefault(entry.folder, []).append(entry)
    best: tuple[list[str], list[str], tuple[str, str]] | None = None
    for folder, images in tree.families().items():
        there = {(entry.split, entry.stem) for entry in images}
        for where, own in by_folder.items():
            files = [entry.path for entry in own if (entry.split, entry.stem) in there]
            if len(files) < 2 or (best is not None and len(files) <= len(best[1])):
                continue
            patterns = (
                f"{folder}/{{stem}}{endings_of(images)}".removeprefix("/"),
                f"{where}/{{stem}}{ending}".removeprefix("/"),
            )
            best = [entry.path for entry in images], files, patterns
    return best


def _some(files: Sequence[str]) -> Sequence[str]:
    return files[:: max(1, len(files) // _LOOKED_AT)]


def _lines(file: Path) -> list[str]:
    return [line for line in text_of(file, "").splitlines() if line.strip()]


_FOREIGN = {
    ".xml": "XML (Pascal VOC, CVAT)",
    ".json": "JSON",
    ".tfrecord": "TFRecord",
    ".mat": "MATLAB",
    ".h5": "HDF5",
}


def unread(tree: Tree) -> tuple[str, ...]:
    """A note of annotations that are there and cannot be read."""
    found = Counter(
        kind for path in tree.others for end, kind in _FOREIGN.items() if path.lower().endswith(end)
    )
    if not found:
        return ()
    kinds = ", ".join(f"{count:,} {kind} files" for kind, count in found.items())
    return (f"{kinds} are not read: export COCO or masks as PNG if they hold annotations",)


def annotated(tree: Tree) -> list[Proposal]:
    """COCO annotations, one file for all or one for each split."""
    by_pattern: dict[str, dict[str | None, str]] = {}
    for path in tree.others:
        if not path.lower().endswith(".json"):
            continue
        split, parts = None, []
        for part in path.split("/"):
            found = with_split(part.removesuffix(".json")) if split is None else None
            split = found[0] if found else split
            parts.append(found[1] + part[len(part.removesuffix(".json")) :] if found else part)
        by_pattern.setdefault("/".join(parts), {})[split] = path
    proposals = (_of_annotations(tree, pattern, files) for pattern, files in by_pattern.items())
    return [proposal for proposal in proposals if proposal is not None]


def _of_annotations(tree: Tree, pattern: str, files: Mapping[str | None, str]) -> Proposal | None:
    splits = [split for split in files if split is not None]
    if splits and "train" not in splits:
        pattern, files = next(iter(files.values())), {None: next(iter(files.values()))}
    try:
        names = {split: image_names(tree.root / path) for split, path in files.items()}
        found = [category_names(tree.root / path) for path in files.values()]
    except DataError:
        return None
    classes = ["background", *dict.fromkeys(n for own in found for n in own if n != "background")]
    paths = {entry.path for entry in tree.entries}
    folders = sorted({entry.path.rpartition("/")[0] for entry in tree.entries}, key=len)
    of_split = {split: _folder_of(own, folders, paths) for split, own in names.items()}
    if any(folder is None for folder in of_split.values()):
        return None
    images = {_with_placeholder(str(folder), split) for split, folder in of_split.items()}
    if len(images) != 1:
        return None
    settings = {
        "name": "folder", "root": tree.root.as_posix(), "images": images.pop() or ".",
        "annotations": pattern, "classes": classes,
    }  # fmt: skip
    total = sum(map(len, names.values()))
    files_of_images = [
        tree.root / str(of_split[split]) / name for split, own in names.items() for name in own
    ]
    facts = facts_of_images(files_of_images)
    note = f"COCO annotations of {total:,} images, with {len(classes) - 1} categories"
    return Proposal({**settings, **facts.settings}, "segmentation", (note, *facts.notes))


def _folder_of(names: Sequence[str], folders: Sequence[str], paths: set[str]) -> str | None:
    """The folder that these names start from."""
    for folder in ("", *folders):
        if names and all(f"{folder}/{name}".removeprefix("/") in paths for name in names):
            return folder
    return None


def _with_placeholder(folder: str, split: str | None) -> str:
    if split is None:
        return folder
    parts = folder.split("/")
    for i, part in enumerate(parts):
        found = with_split(part)
        if found is not None and found[0] == split:
            return "/".join([*parts[:i], found[1], *parts[i + 1 :]])
    return folder
