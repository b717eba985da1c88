"""Arms: which combinations of levels a spec asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any

from bench.errors import did_you_mean
from bench.plan.axes import (
    TASK_AXES,
    Axis,
    AxisGroup,
    canonical_label,
    default_label,
    format_label,
    read_groups,
)
from bench.plan.design import CONFIGURATION, Design, DesignKind
from bench.plan.design_spec import ConfigurationAxis, read_design
from bench.plan.folds import NO_AXIS, names_folds
from bench.spec.load import Spec
from bench.spec.merge import AxisValue
from bench.spec.messages import format_value
from bench.spec.yaml12 import KeyPath

MAX_TRIALS = 100_000  # more is a mistake in the grid, and takes minutes to plan

ArmLabels = dict[str, str]
"""The label of one level of every axis, in the spec's order of axes."""


def make_arms(spec: Spec) -> tuple[dict[str, Axis], list[ArmLabels]]:
    """The axes of a spec and its arms: grid × zip groups × design − exclude + include.

    Raises:
        SpecError: axes, labels or entries that do not fit together, or no arm that is left.
    """
    groups = read_groups(spec)
    configurations = read_design(spec, {axis.name: axis for group in groups for axis in group})
    if configurations is not None:
        _refuse_broken_design(spec, configurations)
        groups.append([configurations])
    # before any arm is made: a grid of ten axes would fill the memory
    combinations = math.prod(len(group[0].order) for group in groups)
    seeds = len(spec.sweep.first_seeds) + len(spec.sweep.further_seeds)
    if combinations * seeds > MAX_TRIALS:
        where = groups[0][0].where[:1] if groups else ("seeds",)
        message = (
            f"{combinations} arms with {seeds} seeds are too many; at most {MAX_TRIALS} trials"
        )
        raise spec.document.error(where, message)
    axes = {axis.name: axis for group in groups for axis in group}
    arms = _without_excluded(spec, axes, list(_combinations(groups)))
    arms += _included(spec, axes, arms)
    if not arms:
        raise spec.document.error(("exclude",), "removes every arm; nothing is left to run")
    if configurations is not None:
        _refuse_nothing_to_compare_with(spec, configurations.design, arms)
    return axes, arms


def _refuse_nothing_to_compare_with(spec: Spec, design: Design, arms: list[ArmLabels]) -> None:
    """A configuration that is left keeps the one that its component is tested against."""
    left = {arm[CONFIGURATION] for arm in arms}
    for contrast in design.contrasts:
        a, b = contrast.a.get(CONFIGURATION), contrast.b.get(CONFIGURATION)
        if a in left and b not in left and b is not None:
            message = f"leaves no {b!r} to compare {a!r} with; keep it, or exclude {a!r}, too"
            raise spec.document.error(("exclude",), message)


def _refuse_broken_design(spec: Spec, axis: ConfigurationAxis) -> None:
    """Neither a fraction nor a path can do without one of its configurations."""
    if axis.design.kind not in (DesignKind.FRACTIONAL, DesignKind.PATH):
        return
    for key in ("exclude", "include"):
        for i, entry in enumerate(getattr(spec.sweep, key)):
            if key == "include" or axis.name in entry:
                message = f"a {axis.design.kind} design stays whole; remove this entry"
                raise spec.document.error((key, i), message.replace("_", " "))


def axis_values(axes: dict[str, Axis], arm: ArmLabels) -> list[AxisValue]:
    """The values that an arm's labels stand for."""
    return [value for name, label in arm.items() for value in axes[name].values(label)]


def labels_in_use(axes: dict[str, Axis], arms: list[ArmLabels]) -> dict[str, tuple[str, ...]]:
    """The labels of each axis that some arm has, in the spec's order."""
    used = {name: {arm[name] for arm in arms} for name in axes}
    return {
        name: tuple(label for label in axis.levels if label in used[name])
        for name, axis in axes.items()
    }


def refuse_multiple_tasks(spec: Spec, axes: Iterable[Axis]) -> None:
    """Metrics, selection and the words of the report are a task's: an experiment has one.

    Raises:
        SpecError: an axis would give it several; names the line.
    """
    for axis in (axis for axis in axes if axis.name in TASK_AXES):
        names: list[Any] = []
        for level in axis.levels.values():
            named = isinstance(level.value, dict)
            value = level.value
            names.append(value.get("name") or value.get("target") if named else value)
            if names[-1] != names[0]:
                raise spec.document.error(
                    level.where,
                    f"an experiment has one task, here {format_value(names[0])} and "
                    f"{format_value(names[-1])}: "
                    "make a spec for each; axes can be its settings (task.…)",
                )


def _combinations(groups: list[AxisGroup]) -> Iterator[ArmLabels]:
    """One level of every axis; the last group varies fastest."""
    rows = [
        [
            dict(zip((axis.name for axis in group), labels, strict=True))
            for labels in zip(*(axis.order for axis in group), strict=True)
        ]
        for group in groups
    ]
    for chosen in itertools.product(*rows):
        yield {axis: label for row in chosen for axis, label in row.items()}


def _without_excluded(spec: Spec, axes: dict[str, Axis], arms: list[ArmLabels]) -> list[ArmLabels]:
    """The arms that no entry of `exclude` describes; each entry must describe one at least."""
    entries: list[ArmLabels] = []
    for i, given in enumerate(spec.sweep.exclude):
        entry: ArmLabels = {}
        for name, value in given.items():
            where: KeyPath = ("exclude", i, name)
            axis = _axis(spec, axes, name, where)
            if isinstance(value, dict | list):
                raise spec.document.error(where, f"must be a label, not {format_value(value)}")
            label = _existing(axis, value)
            if label is None:
                raise spec.document.error(where, _unknown_level(axis, value))
            entry[name] = label
        entries.append(entry)
    for i, entry in enumerate(entries):  # against all arms: two entries may exclude the same one
        if not any(entry.items() <= arm.items() for arm in arms):
            raise spec.document.error(("exclude", i), "matches no arm; remove it or fix a label")
    return [arm for arm in arms if not any(entry.items() <= arm.items() for entry in entries)]


def _axis(spec: Spec, axes: dict[str, Axis], name: str, where: KeyPath) -> Axis:
    if not axes:
        raise spec.document.error(where, "there are no axes; give a grid or zip first")
    if name not in axes:
        if names_folds(name):
            raise spec.document.error(where, NO_AXIS)
        raise spec.document.error(where, f"unknown axis {name!r}{did_you_mean(name, axes)}")
    return axes[name]


def _existing(axis: Axis, value: str | float | bool | None) -> str | None:
    """The label that a scalar means, if the axis has it."""
    labels = (format_label(value), canonical_label(str(value)))
    return next((label for label in labels if label in axis.levels), None)


def _unknown_level(axis: Axis, value: str | float | bool | None) -> str:
    return f"unknown level {format_label(value)!r}{did_you_mean(format_label(value), axis.levels)}"


def _included(spec: Spec, axes: dict[str, Axis], arms: list[ArmLabels]) -> list[ArmLabels]:
    """The arms of `include`, whose new levels are added to their axes."""
    added: list[ArmLabels] = []
    for i, entry in enumerate(spec.sweep.include):
        for name in entry:
            _axis(spec, axes, name, ("include", i, name))
        if missing := [name for name in axes if name not in entry]:
            message = f"names no level for {', '.join(missing)}; an arm needs one for every axis"
            raise spec.document.error(("include", i), message)
        arm = {name: _level(spec, axes[name], entry[name], i) for name in axes}
        if arm in arms or arm in added:
            raise spec.document.error(("include", i), "this arm already exists; remove it")
        added.append(arm)
    return added


def _level(spec: Spec, axis: Axis, value: Any, index: int) -> str:
    """The label of an existing level, of a new value, or of a new `{label: value}`."""
    where: KeyPath = ("include", index, axis.name)
    if not isinstance(value, dict | list):
        found = _existing(axis, value)
        if found is not None:
            return found
        if all(isinstance(level.value, dict | list) for level in axis.levels.values()):
            raise spec.document.error(where, _unknown_level(axis, value))
        label = format_label(value)
    elif isinstance(value, dict) and len(value) == 1 and not {"name", "target"} & value.keys():
        ((written, value),) = value.items()
        label, where = canonical_label(written), (*where, written)
    else:
        label = default_label(spec.document, value, where)
    axis.add(spec.document, label, value, where)
    return label
