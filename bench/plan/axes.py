"""Axes and their labelled levels, as grid and zip of a spec name them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.errors import did_you_mean
from bench.plan.folds import NO_AXIS, names_folds
from bench.plan.trial import canonical_json
from bench.spec import yaml12
from bench.spec.document import Document
from bench.spec.load import Spec
from bench.spec.merge import AxisValue
from bench.spec.messages import format_value
from bench.spec.schema import AXIS_ROOTS, Sweep, TrialSettings
from bench.spec.yaml12 import KeyPath, dotted
from bench.texts import fault_of

TASK_AXES = ("task", "task.name", "task.target")
"""Axes that would choose a task."""


@dataclass
class Axis:
    """A thing that varies: a dotted path into the settings.

    Attributes:
        name: the path.
        where: where the axis stands in the spec.
        levels: its levels by label.
        order: the labels as written; axes that vary together may repeat one.
    """

    name: str
    where: KeyPath
    levels: dict[str, AxisValue] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    _labels: dict[str, str] = field(default_factory=dict, init=False, repr=False)  # by value

    def add(
        self,
        document: Document,
        label: str,
        value: Any,
        where: KeyPath,
        *,
        allow_repeat: bool = False,
    ) -> None:
        """Add a level with a new label and value; `allow_repeat` accepts an earlier level again."""
        if not label:
            raise document.error(where, "an empty label; name the level")
        if fault := fault_of(label):
            raise document.error(where, f"the label {fault} (or write `label: value`)")
        other = self._labels.setdefault(canonical_json(value), label)
        if label in self.levels and not (allow_repeat and other == label):
            raise document.error(
                where, f"the label {label!r} appears twice on this axis; rename one"
            )
        if other != label:
            raise document.error(where, f"has the same value as level {other!r}; remove one")
        self.levels.setdefault(label, AxisValue(self.name, value, where))
        self.order.append(label)

    def values(self, label: str) -> list[AxisValue]:
        """What a level sets."""
        return [self.levels[label]]


AxisGroup = list[Axis]
"""Axes that vary together (one axis of a grid is a group of its own)."""


def read_groups(spec: Spec) -> list[AxisGroup]:
    """The groups of axes of a spec, in its order.

    Raises:
        SpecError: an axis that is none or appears twice, doubtful labels, lengths that differ.
    """
    groups: list[AxisGroup] = []
    seen: dict[str, KeyPath] = {}
    for where, axes, together in _declared(spec):
        group = []
        for name, levels in axes.items():
            axis = new_axis(spec.document, name, (*where, name), seen)
            _add_levels(spec.document, axis, levels, allow_repeat=together)
            group.append(axis)
        if together:
            _check_rows(spec.document, group)
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


def new_axis(document: Document, name: str, where: KeyPath, seen: dict[str, KeyPath]) -> Axis:
    """An axis without levels; `seen` are those there are already.

    Raises:
        SpecError: it can be no axis, or is there already.
    """
    root = name.split(".")[0]
    if names_folds(name):
        raise document.error(where, NO_AXIS)
    if root not in AXIS_ROOTS:
        if root in TrialSettings.model_fields or root in Sweep.model_fields:
            raise document.error(where, f"cannot be an axis; axes are in {', '.join(AXIS_ROOTS)}")
        raise document.error(where, f"unknown setting {root!r}{did_you_mean(root, AXIS_ROOTS)}")
    if name in seen:
        raise document.error(where, f"appears twice, first at {dotted(seen[name])}; keep one")
    seen[name] = where
    return Axis(name, where)


def _add_levels(
    document: Document, axis: Axis, levels: dict[str, Any] | list[Any], *, allow_repeat: bool
) -> None:
    if isinstance(levels, dict):
        for label, value in levels.items():
            axis.add(document, canonical_label(label), value, (*axis.where, label))
    else:
        for i, value in enumerate(levels):
            where = (*axis.where, i)
            axis.add(
                document,
                default_label(document, value, where),
                value,
                where,
                allow_repeat=allow_repeat,
            )


def _check_rows(document: Document, group: AxisGroup) -> None:
    """Axes that vary together are equally long, and no two of their rows are equal."""
    first = group[0]
    for axis in group[1:]:
        if len(axis.order) != len(first.order):
            raise document.error(
                axis.where,
                f"has {len(axis.order)} levels and {first.name} has {len(first.order)}; "
                "axes that vary together need equally many",
            )
    rows = list(zip(*(axis.order for axis in group), strict=True))
    for i, row in enumerate(rows):
        if row in rows[:i]:
            message = f"the levels {', '.join(row)} appear together twice; remove one"
            raise document.error(first.where, message)


def default_label(document: Document, value: Any, where: KeyPath) -> str:
    """The label of a value that was given none: a scalar's text, a part's `name` or `target`.

    Raises:
        SpecError: a list or another mapping, which needs a label.
    """
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    if isinstance(value, dict) and isinstance(value.get("target"), str):
        return re.split(r"[.:]", value["target"])[-1]  # of `package.module:Name` the name
    if isinstance(value, dict | list):
        raise document.error(where, f"{format_value(value)} needs a label: write `label: value`")
    return format_label(value)


def format_label(value: str | float | bool | None) -> str:
    """A scalar as a label; equal spellings give one: 1e-3 → `0.001`, 1.0 → `1`, null → `null`."""
    if value is None or isinstance(value, bool):
        return format_value(value)
    if isinstance(value, float):
        # from 1e16 on, repr writes an exponent, and floats skip integers
        whole = value.is_integer() and abs(value) < 1e15
        return str(int(value)) if whole else re.sub(r"e([-+])0", r"e\1", repr(value))
    return str(value)


def canonical_label(written: str) -> str:
    """A label as a mapping's key has it, written as `format_label` writes it: `1e-3` → `0.001`."""
    try:
        return format_label(yaml12.scalar(written))
    except ValueError:
        return written
