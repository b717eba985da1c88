"""What lies in a folder never seen before: its image files, by the patterns of their folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from bench.data.endings import is_readable
from bench.data.names import files_under, normal
from bench.data.placeholders import SPELLINGS, split_of
from bench.errors import DataError

MOST_FILES = 300_000
"""Of a folder with more the first ones are looked at."""
_MOST_ROLES = 6  # folders of each case: images, masks, …
_SPELLINGS = sorted((s for names in SPELLINGS.values() for s in names), key=len, reverse=True)
_ROLE = r"(?:images?|imgs?|masks?|labels?|annots?|annotations?|gt|seg|data|set|\d+)"
_SPLIT_WITHIN = re.compile(
    rf"(?i)^(?P<before>(?:.*[^a-z])?)(?P<split>{'|'.join(_SPELLINGS)})(?P<after>(?:[^a-z].*|{_ROLE})?)$"
)


@dataclass(frozen=True)
class Entry:
    """An image file.

    Attributes:
        path: from the root.
        split: `train`, `val` or `test`, as its folders say; None: they do not.
        folder: its folders' pattern, `{split}` in it.
        stem: its name without ending; `{split}` stands for what its folder calls the split.
        ending: with its dot.
        case: its part of the path for which `{case}` stands in the folder; empty: there is none.
    """

    path: str
    split: str | None
    folder: str
    stem: str
    ending: str
    case: str = ""

    @property
    def where(self) -> tuple[str | None, str]:
        """What an image and its mask have in common besides the name."""
        return self.split, self.case


@dataclass(frozen=True)
class Tree:
    """The files below a folder.

    Attributes:
        root: the folder.
        entries: its images.
        others: paths of other files, from the root.
    """

    root: Path
    entries: tuple[Entry, ...]
    others: tuple[str, ...]

    def families(self) -> dict[str, list[Entry]]:
        """The images by their folders' pattern."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.folder, []).append(entry)
        return found


def look_into(root: Path, *, follow_links: bool = False) -> Tree:
    """The files below a folder, hidden ones apart.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    try:
        found = islice(files_under(root, follow_links=follow_links), MOST_FILES)
        paths = sorted(path.relative_to(root).as_posix() for path in found)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror})") from error
    images = [path for path in paths if is_readable(path.rpartition("/")[2])]
    entries = [entry_of(path) for path in images]
    if not any(entry.split == "train" for entry in entries):  # `test` may be any folder's name
        entries = [entry_of(path, splits=False) for path in images]
    others = tuple(path for path in paths if path not in set(images))
    return Tree(root, tuple(entries), others)


def entry_of(path: str, *, splits: bool = True) -> Entry:
    """A file by its path from the root; without `splits` no folder is taken for one."""
    folder, _, name = path.rpartition("/")
    split, parts = None, []
    stem, dot, ending = name.rpartition(".")
    for part in folder.split("/") if folder else []:
        match = _SPLIT_WITHIN.match(part) if splits and split is None else None
        if match is None:
            parts.append(part)
            continue
        split = split_of(match["split"])
        parts.append(f"{match['before']}{{split}}{match['after']}")
        # training/21_training.tif with test/01_test.tif
        word = rf"(?i)(?<=[-_. ]){match['split']}(?![a-z])"
        stem = re.sub(word, "{split}", stem, count=1)
    return Entry(path, split, "/".join(parts), normal(stem), dot + ending)


def with_split(part: str) -> tuple[str, str] | None:
    """The split that a part of a path names, and the part with `{split}` in its place."""
    match = _SPLIT_WITHIN.match(part)
    if match is None:
        return None
    return str(split_of(match["split"])), f"{match['before']}{{split}}{match['after']}"


def merged(entries: Iterable[Entry], depth: int) -> dict[str, list[Entry]]:
    """Entries by their folders' pattern up to `depth` parts; what is deeper is `{path}`."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        parts = entry.folder.split("/") if entry.folder else []
        below = "/".join(parts[depth:])
        folder = "/".join(parts[:depth])
        stem = f"{below}/{entry.stem}" if below else entry.stem
        found.setdefault(folder, []).append(
            Entry(entry.path, entry.split, folder, stem, entry.ending)
        )
    return found


def by_case(tree: Tree) -> dict[str, list[Entry]]:
    """The images by folders, `{case}/images`, where each case (patient, day) has folders alike.

    Empty: it is not so.
    """
    found: dict[str, list[Entry]] = {}
    for entry in tree.entries:
        *start, case, role = ["", "", *entry.folder.split("/")]
        if not case or "{split}" in case + role:
            return {}
        folder = "/".join([*filter(None, start), "{case}", role])
        found.setdefault(folder, []).append(replace(entry, folder=folder, case=case))
    cases = [{entry.case for entry in entries} for entries in found.values()]
    most = max(map(len, cases), default=0)
    alike = 2 <= len(found) <= _MOST_ROLES and min(map(len, cases)) >= max(2, most / 2)
    return found if alike else {}


def endings_of(entries: Sequence[Entry]) -> str:
    """The ending that all have, as a pattern; `.*` where there are several."""
    endings = {entry.ending for entry in entries}
    return endings.pop() if len(endings) == 1 else ".*"
