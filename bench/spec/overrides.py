"""`key=value` from the command line, put into a spec's tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.errors import SpecError
from bench.spec import yaml12
from bench.spec.document import Document, SourceLocation
from bench.spec.fields import known_keys
from bench.spec.messages import format_value
from bench.spec.yaml12 import KeyPath, dotted


def apply_overrides(document: Document, overrides: Sequence[str]) -> None:
    """Change `document` by overrides, in their order.

    A key is a dotted path: `train.lr`, `exclude.0.model` (an index of a list), `grid.train.lr` (an
    axis), `grid.model.unet.width` (inside a level). A value is YAML: `[1e-3, 3e-4]`.

    Raises:
        SpecError: no `=`, no key, no value, a value that is not YAML, a path through something
            that is not a mapping, or a setting that an axis sets anyway.
    """
    applied = [_put(document, override) for override in overrides]
    for path, source in applied:
        _refuse_where_an_axis_decides(document, path, source)


def _put(document: Document, override: str) -> tuple[KeyPath, SourceLocation]:
    source = SourceLocation(f"override {format_value(override)}")
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise SpecError("write key=value, for example train.lr=3e-4", source=source.source)
    segments = key.strip().split(".")
    if not all(segments):
        raise SpecError("a part of the key is empty", source=source.source, key=key.strip())
    if not text.strip():
        message = "a value is missing; write null for none"
        raise SpecError(message, source=source.source, key=key.strip())
    try:
        value = yaml12.parse(text, source.source)[0]
    except SpecError as error:  # its line is that of the value, not of a file
        raise SpecError(error.message, source=source.source, key=key.strip()) from error
    path, node = _parent(document, segments, source)
    if isinstance(node, list):
        node[_index(node, str(path[-1]), path, source)] = value
        path = (*path[:-1], int(path[-1]))
    else:
        node[str(path[-1])] = value
    document.set_source(path, source)
    return path, source


def _parent(document: Document, segments: list[str], source: SourceLocation) -> tuple[KeyPath, Any]:
    """The whole path to set, and what its last key is in: a mapping (made if missing) or a list."""
    path: KeyPath = ()
    node: Any = document.tree
    while True:
        key, segments = _next_key(document, path, node, segments)
        if not segments:
            return (*path, key), node
        if isinstance(node, list):
            index = _index(node, key, (*path, key), source)
            path, child = (*path, index), node[index]
        else:
            path, child = (*path, key), node.get(key)
        if child is None:
            child = {}
            node[path[-1]] = child
            document.set_source(path, source)
        if path == ("task",) and isinstance(child, str):  # its short spelling
            child = {"target" if ":" in child else "name": child}
            node["task"] = child
        if not isinstance(child, dict | list):
            message = f"is {format_value(child)}, so that nothing in it can be set{_remedy(path)}"
            raise SpecError(message, source=source.source, key=dotted(path))
        node = child


def _remedy(path: KeyPath) -> str:
    """What to write instead, where a short spelling stands for settings that are meant."""
    instead = "; to add seeds until all is settled: 'seeds={until: settled, max: 5}'"
    return instead if path == ("seeds",) else ""


def _next_key(
    document: Document, path: KeyPath, node: Any, segments: list[str]
) -> tuple[str, list[str]]:
    """Split the next key off: the longest that is there, a new axis, or one segment."""
    if isinstance(node, dict):
        for end in range(len(segments), 1, -1):
            if ".".join(segments[:end]) in node:
                return ".".join(segments[:end]), segments[end:]
        if _holds_axes(path) and _is_new_axis(document, node, segments):
            return ".".join(segments), []
    return segments[0], segments[1:]


def _holds_axes(path: KeyPath) -> bool:
    return path in {("grid",), ("zip",), ("search", "space")} or (
        len(path) == 2 and path[0] == "zip" and isinstance(path[1], int)
    )


def _is_new_axis(document: Document, axes: dict[str, Any], segments: list[str]) -> bool:
    """Whether `train.lr` below `grid` is an axis, not a level of an axis `train` that is there."""
    if len(segments) == 1:
        return False
    if segments[0] not in axes:
        return True
    levels = axes[segments[0]]
    inside = isinstance(levels, dict) and segments[1] in levels
    tree = {segments[0]: document.tree.get(segments[0])}
    return not inside and segments[1] in known_keys((segments[0],), tree)


def _index(items: list[Any], key: str, path: KeyPath, source: SourceLocation) -> int:
    if not key.isdecimal() or int(key) >= len(items):
        count = len(items)
        message = f"must be an index of this list, from 0 to {count - 1}" if count else "is empty"
        raise SpecError(message, source=source.source, key=dotted(path))
    return int(key)


def _refuse_where_an_axis_decides(
    document: Document, path: KeyPath, source: SourceLocation
) -> None:
    """A setting that every arm replaces cannot be overridden; its axis can."""
    for axis, where in _axes(document):
        target = tuple(axis.split("."))
        inside = target[: len(path)] == path and _holds(document.tree, target)
        if inside or path[: len(target)] == target:
            raise SpecError(
                f"the axis {axis} sets this; override the axis instead: {dotted(where)}=…",
                source=source.source,
                key=dotted(target if inside else path),
            )


def _holds(tree: Any, path: KeyPath) -> bool:
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return True


def _axes(document: Document) -> Iterator[tuple[str, KeyPath]]:
    """Every axis and where it stands, as far as grid and zip are what they should be."""
    groups: list[tuple[KeyPath, Any]] = [
        ((key,), document.tree.get(key)) for key in ("grid", "zip")
    ]
    if isinstance(document.tree.get("zip"), list):
        groups += [(("zip", i), group) for i, group in enumerate(document.tree["zip"])]
    if isinstance(document.tree.get("search"), dict):
        groups.append((("search", "space"), document.tree["search"].get("space")))
    for where, group in groups:
        if isinstance(group, dict):
            yield from ((axis, (*where, axis)) for axis in group)
