"""Patterns of paths as texts: what stands in braces, and what a split may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.data.endings import READABLE

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What a split may be called, in any case."""
STEM, SPLIT, PATH = "stem", "split", "path"
_OF_FILES = (*READABLE, ".json", ".txt")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def split_of(text: str) -> str | None:
    """`val` of `Validation`; None: it is no split's name."""
    name = text.strip().lower()
    return next((split for split, names in SPELLINGS.items() if name in names), None)


def is_pattern(text: str) -> bool:
    """Whether a setting is a pattern rather than a folder's own path."""
    return "{" in text or "*" in text


def placeholders(text: str) -> tuple[str, ...]:
    """The names in braces, in order, each once.

    Raises:
        ValueError: what is in braces is no name.
    """
    found = tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))
    for name in found:
        if not name.isidentifier():
            raise ValueError(
                f"{{{name}}} is no placeholder: use a name in letters, like {{stem}} or {{split}}"
            )
    if "{" in (rest := _PLACEHOLDER.sub("", text)) or "}" in rest:
        raise ValueError(f"{text!r} has a brace without its other one")
    return found


def plain_path(text: str) -> str:
    """A pattern with `/` between its parts, and nothing that says nothing."""
    return text.replace("\\", "/").removeprefix("./").rstrip("/")


def describes_files(text: str) -> bool:
    """Whether a pattern describes files; else folders whose files are meant."""
    last = plain_path(text).rpartition("/")[2]
    names = set(placeholders(last))
    return "*" in last or bool(names & {STEM, PATH}) or last.lower().endswith(_OF_FILES)
