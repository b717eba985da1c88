"""What records say of the machine they were made on, and the same without: for publication.

Host names, process ids and absolute paths go. Of a path its last part stays, since that says what
was meant (`/home/me/pets` becomes `pets`); of a checkpoint the trial's folder stays, too.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

Key = tuple[str, ...]

HIDDEN_HOST = "host"
_HOSTS, _PROCESSES = frozenset({"host", "hostname"}), frozenset({"pid"})
_PART = r"[^\s/\\:*?\"'<>|,;()\[\]{}`]+"
_PATH = re.compile(
    # not inside of a word, a relative path, a URL or a pattern
    r"(?:(?<![\w.:/\\~})\]>*%$^+-])|(?<=\bfile://)|(?<=\bsqlite:///))"
    rf"(?:(?:~\w+)?(?:/+{_PART})+/?"
    rf"|[A-Za-z]:[\\/](?:{_PART}[\\/]?)+"
    rf"|\\\\{_PART}(?:\\{_PART})+)"
)


def is_absolute(text: str) -> bool:
    """Whether a whole text is an absolute path, as on Linux and macOS or as on Windows."""
    if "\n" in text or PurePosixPath(text) == PurePosixPath("/"):
        return False
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def paths_in(tree: Any) -> set[str]:
    """The texts in nested data that are absolute paths, as a whole."""
    return {text for _, text in _texts(tree, ()) if is_absolute(text)}


def keys_of_paths(tree: Any) -> list[Key]:
    """Where texts in nested data hold an absolute path, in whole or in part."""
    return [key for key, text in _texts(tree, ()) if is_absolute(text) or _PATH.search(text)]


class MachineTraces:
    """Hides what is known of a machine in texts and nested data.

    Attributes:
        hosts: names of machines, to be hidden in messages.
        paths: whole absolute paths, which may have spaces.
    """

    def __init__(self, hosts: Iterable[str] = (), paths: Iterable[str] = ()) -> None:
        self.hosts = frozenset(filter(None, hosts))
        self.paths = sorted(paths, key=len, reverse=True)  # a folder after what lies in it

    def in_text(self, text: str) -> str:
        """The text without absolute paths."""
        if is_absolute(text):
            return _last_part(text)
        for path in self.paths:
            text = text.replace(path, _last_part(path))
        return _PATH.sub(lambda found: _last_part(found[0]), text)

    def in_message(self, message: str) -> str:
        """A message for a person without absolute paths and hosts."""
        names = "|".join(map(re.escape, sorted(self.hosts)))
        text = self.in_text(message)
        return re.sub(rf"\b(?:{names})\b", HIDDEN_HOST, text) if names else text

    def in_tree(self, tree: Any) -> Any:
        """Nested data without absolute paths, hosts and process ids; of these the keys stay."""
        if isinstance(tree, str):
            return self.in_text(tree)
        if isinstance(tree, Mapping):
            return {
                key: None if key in _HOSTS | _PROCESSES else self.in_tree(value)
                for key, value in tree.items()
            }
        return [self.in_tree(item) for item in tree] if isinstance(tree, list | tuple) else tree


def hosts_in(tree: Any) -> set[str]:
    """The names of machines in nested data."""
    return {text for key, text in _texts(tree, ()) if key[-1:] and key[-1] in _HOSTS}


def with_value(tree: Mapping[str, Any], key: Key, value: Any) -> dict[str, Any]:
    """A copy of nested mappings and lists, with another value at `key`."""
    copied = inner = copy.deepcopy(dict(tree))
    *folders, last = [int(part) if part.isdecimal() else part for part in key]
    for part in folders:
        inner = inner[part]  # type: ignore[index]  # a list's by number
    inner[last] = value  # type: ignore[index]
    return copied


def _texts(tree: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Every text in nested data, and where."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _texts(value, (*key, str(name)))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from _texts(value, (*key, str(index)))


def _last_part(text: str) -> str:
    """`best.pt` keeps its folder: the trial that it is of."""
    kind: type[PurePath] = PurePosixPath if text.startswith(("/", "~")) else PureWindowsPath
    path = kind(text)
    if path.name == "best.pt" and path.parent.name:
        return f"{path.parent.name}/best.pt"
    return path.name
