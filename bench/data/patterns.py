"""Patterns of paths: `{split}/images/{stem}.jpg` with `{split}/masks/{stem}_mask.*`.

What stands in braces is read off an image's path and put into its mask's. `{split}` is any
spelling of train, val and test; `{path}` may go through folders, every other name stays within one
part of a path; `*` is anything within one part. Case does not matter outside of braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bench.data.endings import is_readable
from bench.data.names import files_under, normal, walk
from bench.data.pages import one_line
from bench.data.placeholders import (
    PATH,
    SPELLINGS,
    SPLIT,
    describes_files,
    is_pattern,
    placeholders,
    plain_path,
    split_of,
)
from bench.errors import DataError

_PARTS = re.compile(r"\{[^{}]*\}|\*")


@dataclass(frozen=True)
class Match:
    """A file or folder that a pattern describes.

    Attributes:
        values: what stands for each placeholder; the split as `train`, `val` or `test`.
        path: of the file or folder.
    """

    values: Mapping[str, str]
    path: Path

    def key(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The values of these placeholders."""
        return tuple(self.values[name] for name in names)


@dataclass(frozen=True)
class Pattern:
    """A pattern of paths under a data set's root."""

    text: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The placeholders."""
        return placeholders(self.text)

    @property
    def of_files(self) -> bool:
        """Whether it describes files; else folders whose files are meant."""
        return describes_files(self.text)

    @property
    def fixed(self) -> str:
        """The folder before the first placeholder."""
        match = _PARTS.search(self._path)
        return self._path[: match.start()].rpartition("/")[0] if match else self._path

    @property
    def _path(self) -> str:
        """With any ending where none is said."""
        path = plain_path(self.text)
        return f"{path}.*" if self.of_files and "." not in path.rpartition("/")[2] else path

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        found, seen, end = "", set[str](), 0
        for match in _PARTS.finditer(self._path):
            found += re.escape(normal(self._path[end : match.start()]))
            end, name = match.end(), match[0].strip("{}")
            if name == "*":
                found += "[^/]*"
            elif name in seen:
                found += f"(?P={name})"
            else:
                seen.add(name)
                found += f"(?P<{name}>{_values_of(name)})"
        found += re.escape(normal(self._path[end:]))
        return re.compile(found, re.IGNORECASE)

    def matches(self, root: Path, *, follow_links: bool = False) -> Iterator[Match]:
        """What is there, in order.

        Raises:
            DataError: the folder that the pattern begins with is not there.
        """
        start = root / self.fixed
        if not start.is_dir():
            raise DataError(
                f"{one_line(start)}: there is no such folder: put the files there, or mend the "
                f"pattern {self.text!r}"
            )
        if not is_pattern(self.text):
            yield Match({}, start)
            return
        prefix = f"{self.fixed}/" if self.fixed else ""
        try:
            below_start = files_under if self.of_files else folders_under
            paths = sorted(below_start(start, follow_links=follow_links))
        except OSError as error:
            raise DataError(f"{one_line(start)}: cannot be read ({error.strerror})") from error
        for path in paths:
            below = path.relative_to(start).as_posix()
            match = self._expression.fullmatch(normal(prefix + below))
            if match is None or (self._path.endswith("*") and not is_readable(path.name)):
                continue
            values = match.groupdict()
            if SPLIT in values:
                values[SPLIT] = str(split_of(values[SPLIT]))
            yield Match(values, path)


def _values_of(name: str) -> str:
    if name == SPLIT:
        # the longest first: `train` is the beginning of `training`
        spellings = sorted((s for names in SPELLINGS.values() for s in names), key=len)
        return "|".join(reversed(spellings))
    return ".+" if name == PATH else "[^/]+"


def folders_under(folder: Path, *, follow_links: bool = False) -> Iterator[Path]:
    """All folders below a folder but hidden ones; links are left alone unless followed."""
    for where, folders, _ in walk(folder, follow_links=follow_links):
        yield from (where / name for name in folders)
