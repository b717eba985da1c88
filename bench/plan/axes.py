"""Axes and their labelled levels, as grid and zip of a spec name them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.errors import nearest
from bench.spec import yaml12
from bench.spec.document import Document
from bench.spec.load import Spec
from bench.spec.merge import Choice
from bench.spec.messages import shown
from bench.spec.schema import AXIS_ROOTS, Sweep, TrialSettings
from bench.spec.yaml12 import KeyPath, dotted


@dataclass
class Axis:
    """A thing that varies: a dotted path into the settings, and its levels by label."""

    name: str
    where: KeyPath
    levels: dict[str, Choice] = field(default_factory=dict)

    def add(self, document: Document, label: str, value: Any, where: KeyPath) -> None:
        """One level more; its label and its value must be new."""
        if not label:
            raise document.error(where, "an empty label; name the level")
        if label in self.levels:
            raise document.error(
                where, f"the label {label!r} stands twice on this axis; rename one"
            )
        for other, level in self.levels.items():
            if _canonical(level.value) == _canonical(value):
                raise document.error(where, f"has the same value as level {other!r}; remove one")
        self.levels[label] = Choice(self.name, value, where)


Group = list[Axis]
"""Axes that vary together (one axis of a grid is a group of its own)."""


def read_groups(spec: Spec) -> list[Group]:
    """The groups of axes of a spec, in its order.

    Raises:
        SpecError: an axis that is none or stands twice, doubtful labels, lengths that differ.
    """
    groups: list[Group] = []
    seen: dict[str, KeyPath] = {}
    for where, axes, together in _declared(spec):
        group = [_axis(spec.document, name, axes[name], (*where, name), seen) for name in axes]
        if together:
            _check_lengths(spec.document, group)
        groups += [group] if together else [[axis] for axis in group]
    return groups


def _declared(spec: Spec) -> Iterator[tuple[KeyPath, dict[str, Any], bool]]:
    """Each mapping of axes: where it stands, what it says, and whether its axes vary together."""
    for key in spec.document.tree:
        if key == "grid":
            yield ("grid",), spec.sweep.grid, False
        elif key == "zip":
            one = isinstance(spec.document.tree["zip"], dict)
            for i, axes in enumerate(spec.sweep.zip):
                yield ("zip",) if one else ("zip", i), axes, True


def _axis(
    document: Document, name: str, levels: Any, where: KeyPath, seen: dict[str, KeyPath]
) -> Axis:
    root = name.split(".")[0]
    if root not in AXIS_ROOTS:
        if root in TrialSettings.model_fields or root in Sweep.model_fields:
            raise document.error(where, f"cannot be an axis; axes are in {', '.join(AXIS_ROOTS)}")
        raise document.error(where, f"unknown setting {root!r}{nearest(root, AXIS_ROOTS)}")
    if name in seen:
        raise document.error(where, f"stands twice, first at {dotted(seen[name])}; keep one")
    seen[name] = where
    axis = Axis(name, where)
    if isinstance(levels, dict):
        for label, value in levels.items():
            axis.add(document, canonical_label(label), value, (*where, label))
    else:
        for i, value in enumerate(levels):
            axis.add(document, own_label(document, value, (*where, i)), value, (*where, i))
    return axis


def _check_lengths(document: Document, group: Group) -> None:
    first = group[0]
    for axis in group[1:]:
        if len(axis.levels) != len(first.levels):
            raise document.error(
                axis.where,
                f"has {len(axis.levels)} levels and {first.name} has {len(first.levels)}; "
                "axes that vary together need equally many",
            )


def own_label(document: Document, value: Any, where: KeyPath) -> str:
    """The label of a value that was given none: a scalar's text, or a part's `name`.

    Raises:
        SpecError: a list or another mapping, which needs a label.
    """
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    if isinstance(value, dict | list):
        raise document.error(where, f"{shown(value)} needs a label: write `label: value`")
    return label_of(value)


def label_of(value: str | float | bool | None) -> str:
    """A scalar as a label; equal spellings give one: 1e-3 → `0.001`, 1.0 → `1`, null → `null`."""
    if value is None or isinstance(value, bool):
        return shown(value)
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 1e15
        return str(int(value)) if whole else re.sub(r"e([-+])0", r"e\1", repr(value))
    return str(value)


def canonical_label(written: str) -> str:
    """A label as a mapping's key has it, spelt as `label_of` spells it: `1e-3` → `0.001`."""
    try:
        return label_of(yaml12.scalar(written))
    except ValueError:
        return written


def _canonical(value: Any) -> str:
    """Equal for equal values, whatever their spelling (1 and 1.0, but not 1 and true)."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
