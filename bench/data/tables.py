"""Tables of images: CSV or JSON lines, a line for each image."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.data.endings import READABLE
from bench.data.folder_settings import LabelTable, MaskTable, Table
from bench.data.found_files import FoundFiles
from bench.data.names import normal, text_of
from bench.data.pages import one_line
from bench.data.placeholders import split_of
from bench.errors import DataError, did_you_mean

_JSON_LINES = (".jsonl", ".ndjson", ".json")
_ONE = {"1", "1.0", "true", "yes"}
_ZERO = {"0", "0.0", "false", "no"}
_UNKNOWN = {"", "-1", "-1.0", "?", "nan", "na", "n/a", "null", "none"}
"""Not known; -1 is CheXpert's `uncertain`."""


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        file, number: where it stands.
        values: by column; a list where JSON has one.
    """

    file: Path
    number: int
    values: Mapping[str, Any]

    def text(self, column: str) -> str:
        """A column's text, without spaces around it; empty: there is none."""
        value = self.values.get(column)
        return "" if value is None else str(value).strip()

    def error(self, wrong: str) -> DataError:
        """Something is wrong in this line."""
        return DataError(f"{self.file}:{self.number}: {wrong}")


def read_rows(file: Path, columns: Sequence[str]) -> list[Row]:
    """All lines of a table.

    Args:
        file: CSV (with `,`, `;` or tabs), or JSON lines by its ending.
        columns: those that must be there.

    Raises:
        DataError: it cannot be read, or lacks a column or all lines.
    """
    text = text_of(file, "save it as CSV or JSON lines in UTF-8, or mend `table:`")
    is_json = file.suffix.lower() in _JSON_LINES
    rows = list(_json_rows(file, text) if is_json else _csv_rows(file, text))
    known = {name: None for row in rows for name in row.values}
    for column in columns:
        if column not in known:
            raise DataError(
                f"{file}: has no column {column!r}{did_you_mean(column, known)} (it has "
                f"{', '.join(map(one_line, known)) or 'none'}): mend `table:`"
            )
    return rows


def _csv_rows(file: Path, text: str) -> Iterator[Row]:
    lines = text.splitlines()
    delimiter = max(",;\t", key=(lines or [""])[0].count)
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    for values in reader:
        named = {key.strip(): value for key, value in values.items() if key}
        if any((value or "").strip() for value in named.values()):
            yield Row(file, reader.line_num, named)


def _json_rows(file: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{file}:{number}: is no JSON ({error}): mend the line") from error
        if not isinstance(values, dict):
            raise DataError(f"{file}:{number}: is no JSON object: mend the line")
        yield Row(file, number, values)


class PathFinder:
    """Finds the file that a table means by what it says: a path, a file name or a name alone.

    A path that is not there, like one of another machine, is looked for by its last parts.
    """

    def __init__(self, root: Path, folders: Sequence[str], *, follow_links: bool = False) -> None:
        self._root = root
        self._folders = [root / folder for folder in folders]
        self._follow = follow_links
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, text: str) -> Path | None:
        """The file; None: there is none under the root."""
        parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            return None
        for start in range(len(parts)):
            for folder in self._folders:
                path = folder.joinpath(*parts[start:])
                if (found := self._in(path.parent).get(normal(path.name))) is not None:
                    return found
        return None

    def _in(self, folder: Path) -> dict[str, Path]:
        """The folder's files by name, and by name without ending where only one has it."""
        if folder not in self._listed:
            self._listed[folder] = self._listing(folder)
        return self._listed[folder]

    def _listing(self, folder: Path) -> dict[str, Path]:
        leads_out = not (self._follow or self._is_inside(folder))
        if leads_out or not folder.is_dir():
            return {}
        files = {normal(path.name): path for path in folder.iterdir() if not path.is_dir()}
        stems: dict[str, list[Path]] = {}
        for name, path in files.items():
            if (stem := _stem(name)) is not None:
                stems.setdefault(stem, []).append(path)
        return {stem: paths[0] for stem, paths in stems.items() if len(paths) == 1} | files

    def _is_inside(self, folder: Path) -> bool:
        return folder.resolve().is_relative_to(self._root.resolve())

    @cached_property
    def where(self) -> str:
        """The folders that paths start from, for an error."""
        return " or ".join(one_line(folder) for folder in dict.fromkeys(self._folders))


def _stem(name: str) -> str | None:
    """A file's name without the ending of an image; None: it is no image's."""
    ending = next((e for e in READABLE if name.lower().endswith(e)), None)
    return None if ending is None else name[: -len(ending)]


def files_with_masks(
    table: MaskTable, root: Path, images: str, masks: str | None, *, follow_links: bool = False
) -> FoundFiles:
    """The images and masks that a table lists.

    Args:
        table: which columns say what.
        root: where the table is; paths start from it, or from `images` and `masks` under it.
        images, masks: folders; None: there are no masks.
        follow_links: whether folders may be links to somewhere else.

    Raises:
        DataError: the table cannot be read, or a file in it is not there.
    """
    file = root / table.file
    rows = read_rows(file, _columns(table, () if masks is None else (table.mask,)))
    finders = {
        "image": PathFinder(root, (".", images), follow_links=follow_links),
        "mask": PathFinder(root, (".", masks or "."), follow_links=follow_links),
    }
    found, names = _listed(table, rows, finders["image"], root)
    if masks is not None:
        for name, row in names.items():
            found.masks[name] = _path(row, table.mask, finders["mask"])
    return found


def files_with_labels(
    table: LabelTable, root: Path, classes: Sequence[str], *, follow_links: bool = False
) -> FoundFiles:
    """The images and labels that a table lists; those of no class are left out, and a note says so.

    Raises:
        DataError: the table cannot be read, or a file in it is not there; an image has no label
            where it must have one.
    """
    file = root / table.file
    columns = (table.label,) if isinstance(table.label, str) else table.label
    rows = read_rows(file, _columns(table, columns))
    finder = PathFinder(root, (table.images, "."), follow_links=follow_links)
    labels = {id(row): _labels(row, table) for row in rows}
    _check_zeros(file, rows, table)
    others: dict[str, None] = {}
    kept = []
    for row in rows:
        known = tuple(label for label in labels[id(row)] if label in classes)
        others |= dict.fromkeys(label for label in labels[id(row)] if label not in classes)
        labels[id(row)] = known
        if known or table.several_labels:
            kept.append(row)
    found, names = _listed(table, kept, finder, root)
    for name, row in names.items():
        found.labels[name] = labels[id(row)]
        if unknown := _unknown(row, table):
            found.unknown[name] = unknown
    notes = _notes_of_unknown(found, len(classes))
    if others:
        shown = ", ".join(map(one_line, sorted(others)[:5])) + (", …" if len(others) > 5 else "")
        lost = f" with their {len(rows) - len(kept):,} images" if len(kept) < len(rows) else ""
        notes += (f"labels that are no class of the spec are left out{lost}: {shown}",)
    return replace(found, notes=notes)


def _columns(table: Table, own: Sequence[str]) -> list[str]:
    given = [table.image, *own, table.split, table.group]
    return [column for column in given if column is not None]


def _listed(
    table: Table, rows: Sequence[Row], finder: PathFinder, root: Path
) -> tuple[FoundFiles, dict[str, Row]]:
    """The images of a table's lines, their splits and groups; and each one's line."""
    images: dict[str, Path] = {}
    lines: dict[str, Row] = {}
    splits: dict[str, list[str]] = {}
    groups: dict[str, str] | None = None if table.group is None else {}
    for row in rows:
        path = _path(row, table.image, finder)
        name = _name(path, root)
        if name in lines:
            first = lines[name].number
            raise row.error(f"{one_line(name)!r} is in line {first}, too: list it once")
        images[name], lines[name] = path, row
        if table.split is not None:
            splits.setdefault(_split(row, table.split), []).append(name)
        if groups is not None and table.group is not None:
            if not (group := row.text(table.group)):
                raise row.error(f"the column {table.group!r} is empty: name the image's group")
            groups[name] = group
    if not images:
        raise DataError(f"{root / table.file}: lists no image: add lines, or mend `table:`")
    given = {split: tuple(names) for split, names in splits.items()}
    return FoundFiles(images, {}, given, groups), lines


def _path(row: Row, column: str, finder: PathFinder) -> Path:
    text = row.text(column)
    if not text:
        raise row.error(f"the column {column!r} is empty: write a path, or remove the line")
    if (path := finder.find(text)) is None:
        raise row.error(
            f"there is no file {one_line(text)!r} under {finder.where}: mend the path, or the "
            "folder that paths start from"
        )
    return path


def _name(path: Path, root: Path) -> str:
    relative = path.relative_to(root) if path.is_relative_to(root) else path
    return normal(relative.with_name(_stem(relative.name) or relative.name).as_posix())


def _split(row: Row, column: str) -> str:
    text = row.text(column)
    if (split := split_of(text)) is None:
        raise row.error(
            f"the column {column!r} says {one_line(text)!r}: write train, val or test, or remove "
            "`split:` from `table:`"
        )
    return split


def _labels(row: Row, table: LabelTable) -> tuple[str, ...]:
    """The labels of a line's image."""
    if not isinstance(table.label, str):
        return tuple(column for column in table.label if _cell(row, column, table) == 1)
    value = row.values.get(table.label)
    if isinstance(value, list):
        if table.separator is None:
            raise row.error(
                f"the column {table.label!r} is a list: set `separator:` in `table:` to say that "
                "images have several labels"
            )
        return tuple(dict.fromkeys(str(label).strip() for label in value))
    text = row.text(table.label)
    if table.separator is not None:
        parts = (part.strip() for part in text.split(table.separator))
        return tuple(dict.fromkeys(part for part in parts if part))
    if not text:
        raise row.error(f"the column {table.label!r} is empty: name the label")
    return (text,)


def _cell(row: Row, column: str, table: LabelTable) -> int | None:
    """Whether an image has the label of a column of 0 and 1; None: that is not known."""
    text = row.text(column).lower()
    if text in _ONE or text in _ZERO:
        return int(text in _ONE)
    if not text and table.empty == "zero":
        return 0
    if text not in _UNKNOWN:
        raise row.error(
            f"the column {column!r} says {one_line(text)!r}: write 0 or 1, or nothing where it is "
            "not known"
        )
    return None


def _unknown(row: Row, table: LabelTable) -> tuple[str, ...]:
    """The labels of which it is not known whether a line's image has them."""
    columns = () if isinstance(table.label, str) else table.label
    return tuple(column for column in columns if _cell(row, column, table) is None)


def _check_zeros(file: Path, rows: Sequence[Row], table: LabelTable) -> None:
    """Refuse a column that says of no image that it has not the label: nothing can be learnt."""
    for column in () if isinstance(table.label, str) else table.label:
        if all(_cell(row, column, table) != 0 for row in rows):
            raise DataError(
                f"{file}: the column {column!r} has no 0: set `empty: zero` in `table:` if an "
                "empty cell means that the image has not the label, or leave the column out"
            )


def _notes_of_unknown(found: FoundFiles, classes: int) -> tuple[str, ...]:
    count = sum(map(len, found.unknown.values()))
    if not count:
        return ()
    every = classes * len(found.images)
    return (f"{count:,} of {every:,} labels are not known: neither trained on nor scored",)
