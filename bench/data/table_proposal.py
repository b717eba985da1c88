"""Tables in a folder never seen before: which columns are paths, labels, splits and groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.file_tree import Tree
from bench.data.placeholders import split_of
from bench.data.tables import PathFinder, Row, read_rows
from bench.errors import DataError

_FOUND = 0.9
_MOST_LABELS = 255
_LOOKED_AT = 300
_LABEL_WORDS = re.compile(
    r"(?i)^(label|labels|class|classes|category|diagnosis|dx|target|species|breed|tags?|finding"
    r"|findings|finding labels|y)$"
)
_GROUP_WORDS = re.compile(r"(?i)patient|subject|case|group|video|lesion|person|animal|farm|site")
_NUMBERS = {"0", "1", "0.0", "1.0"}


@dataclass(frozen=True)
class TableReading:
    """A table that lists images.

    Attributes:
        settings: `name`, `table` and what else of `data:` it needs.
        task: what can be learnt.
        masks: the masks' files; empty: labels are listed.
        images: of the images' files.
        notes: what was seen.
    """

    settings: dict[str, Any]
    task: str
    images: tuple[Path, ...]
    masks: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def table_readings(tree: Tree) -> list[TableReading]:
    """All tables that list images with masks or labels."""
    found = []
    for file in tree.others:
        if file.lower().endswith((".csv", ".tsv", ".jsonl", ".ndjson")):
            reading = _reading(tree, file)
            if reading is not None:
                found.append(reading)
    return found


def _reading(tree: Tree, file: str) -> TableReading | None:
    try:
        rows = read_rows(tree.root / file, ())
    except DataError:
        return None
    columns = list(dict.fromkeys(name for row in rows for name in row.values))
    folders = sorted({entry.path.rpartition("/")[0] or "." for entry in tree.entries})
    base = {column: _folder(rows, column, tree.root, folders) for column in columns}
    paths = [column for column in columns if base[column] is not None]
    if not paths:
        return None
    image = paths[0]
    table: dict[str, Any] = {"file": file, "image": image}
    rest = [column for column in columns if column not in paths]
    if (split := next((c for c in rest if _all(rows, c, _is_split)), None)) is not None:
        table["split"] = split
        rest.remove(split)
    group = next((c for c in rest if _GROUP_WORDS.search(c) and _repeats(rows, c)), None)
    if group is not None:
        table["group"] = group
        rest.remove(group)
    images = _files(rows, image, tree.root, str(base[image]))
    if len(paths) == 2:
        return _with_masks(tree, rows, table, paths[1], base, images)
    return _with_labels(rows, rest, table, str(base[image]), images)


def _with_masks(
    tree: Tree,
    rows: Sequence[Row],
    table: dict[str, Any],
    column: str,
    base: dict[str, str | None],
    images: tuple[Path, ...],
) -> TableReading:
    settings: dict[str, Any] = {"name": "folder", "table": {**table, "mask": column}}
    for key, of in (("images", table["image"]), ("masks", column)):
        if base[of] != ".":
            settings[key] = base[of]
    masks = _files(rows, column, tree.root, str(base[column]))
    note = f"{len(rows):,} images and masks are listed in {table['file']}"
    return TableReading(settings, "segmentation", images, masks, (note,))


def _with_labels(
    rows: Sequence[Row],
    columns: Sequence[str],
    table: dict[str, Any],
    folder: str,
    images: tuple[Path, ...],
) -> TableReading | None:
    found = dict(table)
    if folder != ".":
        found["images"] = folder
    ones = [column for column in columns if _says_zero_or_one(rows, column)]
    single = next((c for c in columns if _LABEL_WORDS.match(c) and c not in ones), None)
    if single is None:
        named = [c for c in ones if _LABEL_WORDS.match(c)]
        single = named[0] if named else None
    task, note = "classification", ""
    if single is None and len(ones) >= 2:
        classes = ones
        found["label"] = ones
        if not all(_all(rows, column, _is_number) or _has_zero(rows, column) for column in ones):
            found["empty"] = "zero"
        task, note = "multi_label", f"{len(ones)} columns of 0 and 1: an image has several labels"
    elif single is not None:
        separator = _separator(rows, single)
        if separator is not None:
            found["separator"] = separator
            task, note = "multi_label", f"labels of one image are separated by {separator!r}"
        found["label"] = single
        classes = _labels(rows, single, separator)
    else:
        few = [c for c in columns if _repeats(rows, c) and len(_labels(rows, c, None)) >= 2]
        if len(few) != 1:
            return None
        found["label"], classes = few[0], _labels(rows, few[0], None)
    if not 2 <= len(classes) <= _MOST_LABELS:
        return None
    settings = {"name": "class_folder", "classes": classes, "table": found}
    notes = (f"{len(rows):,} images are listed in {table['file']}", *([note] if note else []))
    return TableReading(settings, task, images, (), notes)


def _labels(rows: Sequence[Row], column: str, separator: str | None) -> list[str]:
    values = [row.values.get(column) for row in rows]
    found: dict[str, None] = {}
    for value in values:
        parts = value if isinstance(value, list) else str(value or "").split(separator or "\0")
        found |= dict.fromkeys(str(part).strip() for part in parts)
    return sorted(label for label in found if label)


def _separator(rows: Sequence[Row], column: str) -> str | None:
    """What separates several labels of one image; None: an image has one."""
    if any(isinstance(row.values.get(column), list) for row in rows):
        return ","
    whole = len(_labels(rows, column, None))
    for separator in ("|", ";", ",", " "):
        parts = len(_labels(rows, column, separator))
        several = sum(separator in row.text(column) for row in rows)
        if several and 2 <= parts < whole:
            return separator
    return None


def _is_split(text: str) -> bool:
    return split_of(text) is not None


def _all(rows: Sequence[Row], column: str, is_so: Any) -> bool:
    texts = [row.text(column) for row in rows]
    return bool(texts) and all(map(is_so, texts)) and len(set(texts)) > 1


def _is_number(text: str) -> bool:
    return text in _NUMBERS


def _has_zero(rows: Sequence[Row], column: str) -> bool:
    return any(row.text(column) in ("0", "0.0") for row in rows)


def _says_zero_or_one(rows: Sequence[Row], column: str) -> bool:
    """Whether it has 0 and 1 only, or nothing, and both of two of them."""
    texts = {row.text(column) for row in rows}
    return texts <= {*_NUMBERS, "", "-1", "-1.0"} and bool(texts & {"1", "1.0"}) and len(texts) > 1


def _repeats(rows: Sequence[Row], column: str) -> bool:
    values = {row.text(column) for row in rows}
    return 2 <= len(values) <= len(rows) / 2


def _folder(rows: Sequence[Row], column: str, root: Path, folders: Sequence[str]) -> str | None:
    """The folder that a column's paths start from; None: they are no paths of images."""
    chosen = rows[:: max(1, len(rows) // _LOOKED_AT)]
    texts = [row.text(column) for row in chosen]
    if not texts or not all(texts):
        return None
    for folder in (".", *folders):
        finder = PathFinder(root, (folder,))
        found = [finder.find(text) for text in texts]
        if sum(path is not None for path in found) >= _FOUND * len(texts):
            return folder
    return None


def _files(rows: Sequence[Row], column: str, root: Path, folder: str) -> tuple[Path, ...]:
    finder = PathFinder(root, (folder,))
    found = (finder.find(row.text(column)) for row in rows)
    return tuple(path for path in found if path is not None)
