"""A careful subset of YAML 1.2: plain data with line numbers, and nothing that can run code."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml import events as ev
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from bench.errors import SpecError

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of mappings and indices of lists, from the top."""

_MAX_DEPTH = 32  # far beyond any spec, and far below what exhausts the parser's stack
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(?:(true|True|TRUE)|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL_OR_HEX = re.compile(r"0(?:o[0-7]+|x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")


def parse(text: str, source: str) -> tuple[Any, dict[KeyPath, int]]:
    """One YAML document as plain data, and the line (from 1) of every value in it.

    Keys of mappings stay text as written. A text without any document is None.

    Raises:
        SpecError: broken YAML, a tab, a duplicate key, or something that a spec has no use for (a
            tag, an anchor, a second document, a number that is not finite).
    """
    reader = _Reader(text, source)
    try:
        return reader.document(), reader.lines
    except MarkedYAMLError as error:
        raise _syntax_error(error, text, source) from error
    except YAMLError as error:
        raise SpecError(f"not YAML: {str(error).splitlines()[0]}", source=source) from error


def dump(tree: Any) -> str:
    """YAML text from which `parse` gives `tree` again; keys keep their order."""
    writer = YAML()
    writer.default_flow_style = None  # innermost collections on one line
    writer.width = 100
    writer.representer.ignore_aliases = lambda _value: True
    out = io.StringIO()
    writer.dump(tree, out)
    return out.getvalue()


def scalar(text: str) -> Any:
    """What a plain scalar means in YAML 1.2's core schema: null, bool, int, float or text.

    Raises:
        ValueError: an infinite number or none, or one too long to read.
    """
    if _NULL.match(text):
        return None
    if found := _BOOL.match(text):
        return found[1] is not None
    if _INT.match(text):
        return int(text)
    if _OCTAL_OR_HEX.match(text):
        return int(text, 0)
    if _NOT_FINITE.match(text) or (_FLOAT.match(text) and not math.isfinite(float(text))):
        raise ValueError(f"{text} is not a finite number")
    return float(text) if _FLOAT.match(text) else text


def dotted(path: KeyPath) -> str | None:
    """`('exclude', 0, 'model')` → `exclude.0.model`; the top has no name. One line."""
    return " ".join(".".join(map(str, path)).split()) or None


class _Reader:
    """Builds the data from the parser's events."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.lines: dict[KeyPath, int] = {(): 1}
        self.events: Iterator[Any] = YAML(typ="safe", pure=True).parse(text)

    def document(self) -> Any:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), ev.StreamEndEvent):
            return None
        tree = self.value(next(self.events), ())
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, ev.StreamEndEvent):
            raise self.error("a second document starts here; a spec is one document", after, ())
        return tree

    def value(self, event: Any, path: KeyPath) -> Any:
        if len(path) > _MAX_DEPTH:
            raise self.error(f"more than {_MAX_DEPTH} levels deep", event, path[:3])
        self.plain_data(event, path)
        if isinstance(event, ev.MappingStartEvent):
            return self.mapping(path)
        if isinstance(event, ev.SequenceStartEvent):
            return self.sequence(path)
        if not event.implicit[0]:  # quoted
            return event.value
        try:
            return scalar(event.value)
        except ValueError as error:
            raise self.error(str(error), event, path) from error

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        while not isinstance(key := next(self.events), ev.MappingEndEvent):
            self.plain_data(key, path)
            if not isinstance(key, ev.ScalarEvent):
                raise self.error("a key must be a plain text", key, path)
            if key.implicit[0] and key.value == "<<":
                raise self.error("merge keys (<<) are not supported", key, path)
            at = (*path, key.value)
            if key.value in tree:
                raise self.error(
                    f"duplicate key, first on line {self.lines[at]}; keep one of them", key, at
                )
            self.lines[at] = key.start_mark.line + 1
            tree[key.value] = self.value(next(self.events), at)
        return tree

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := next(self.events), ev.SequenceEndEvent):
            at = (*path, len(items))
            self.lines[at] = item.start_mark.line + 1
            items.append(self.value(item, at))
        return items

    def plain_data(self, event: Any, path: KeyPath) -> None:
        """Refuse what is more than data: anchors could blow a spec up, tags could build objects."""
        if isinstance(event, ev.AliasEvent) or event.anchor is not None:
            raise self.error("anchors and aliases (& and *) are not supported", event, path)
        if event.tag is not None:
            raise self.error("tags (!) are not supported", event, path)
        if _LONE_SURROGATE.search(getattr(event, "value", None) or ""):
            raise self.error("a lone surrogate, which UTF-8 cannot encode", event, path)

    def error(self, message: str, event: Any, path: KeyPath) -> SpecError:
        line = event.start_mark.line + 1
        return SpecError(message, source=self.source, line=line, key=dotted(path))


def _syntax_error(error: MarkedYAMLError, text: str, source: str) -> SpecError:
    mark = error.problem_mark or error.context_mark
    line = None if mark is None else mark.line + 1
    written = text.splitlines()[line - 1] if line and line <= len(text.splitlines()) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        message = "a tab cannot indent YAML; use spaces"
    else:
        message = f"not YAML: {' '.join(str(error.problem or error.context).split())}"
    return SpecError(message, source=source, line=line)
