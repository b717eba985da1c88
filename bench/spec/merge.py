"""One arm's settings: the spec's with the chosen levels put in, and checked."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bench.augment.settings import AugmentSettings
from bench.errors import SpecError
from bench.spec.document import Document
from bench.spec.fields import known_keys
from bench.spec.messages import Problem, format_value, problems
from bench.spec.schema import TrialSettings
from bench.spec.yaml12 import KeyPath
from bench.texts import fault_of


@dataclass(frozen=True)
class AxisValue:
    """A value for one axis, and where in the spec it stands."""

    axis: str
    value: Any
    where: KeyPath

    @property
    def target(self) -> KeyPath:
        """Where in the settings the value goes."""
        return tuple(self.axis.split("."))

    @property
    def declared(self) -> KeyPath:
        """Where in the spec the axis stands."""
        return self.where[: self.where.index(self.axis) + 1]


def merged_settings(document: Document, axis_values: Sequence[AxisValue]) -> TrialSettings:
    """The spec's settings with `axis_values` applied, wider axes first (`model`, `model.width`).

    Raises:
        SpecError: the first of the errors in the order of the spec's lines.
    """
    tree = {key: value for key, value in document.tree.items() if key in TrialSettings.model_fields}
    tree = copy.deepcopy(tree)
    # wider axes first: `model` would overwrite `model.width`
    for axis_value in sorted(axis_values, key=lambda axis_value: len(axis_value.target)):
        _put(tree, axis_value, document)
    try:
        settings = TrialSettings.model_validate(tree)
    except ValidationError as error:
        found = problems(error, tree, lambda path: known_keys(path, tree))
    else:
        found = list(_misnamed_classes(settings))
        if not found:
            return settings
    errors = [
        document.error(_origin(problem, axis_values, document), problem.message)
        for problem in found
    ]
    raise min(errors, key=lambda error: error.line or 0)


def _misnamed_classes(settings: TrialSettings) -> Iterator[Problem]:
    """Names of classes and labels that cannot be seen in a table.

    Not a part of the settings' own checks, which read what is recorded, too.
    """
    for key in ("classes", "labels"):
        for i, name in enumerate(getattr(settings.data, key, None) or ()):
            if fault := fault_of(str(name)):
                yield Problem(("data", key, i), f"the name {fault}", "value_error")


def _put(tree: dict[str, Any], axis_value: AxisValue, document: Document) -> None:
    """Set the axis's value, with the mappings above it that are missing."""
    *parents, last = axis_value.target
    node = tree
    for depth, parent in enumerate(parents):
        child = node.get(str(parent))
        # short spellings become the mappings that they stand for
        if parent == "augment" and depth == 0 and isinstance(child, list):
            child = {"transforms": child}
        elif parent == "augment" and depth == 0 and _is_pipeline(child, axis_value.target[1]):
            child = {"pipeline": child}
        elif parent == "task" and depth == 0 and isinstance(child, str):
            child = {"target" if ":" in child else "name": child}
        if child is None:
            child = [] if parent == "mistakes" else {}
        if not isinstance(child, dict):
            raise _no_mapping(axis_value, depth, child, document)
        node[str(parent)] = child
        node = child
    node[str(last)] = copy.deepcopy(axis_value.value)


def _is_pipeline(augment: Any, key: str | int) -> bool:
    """Whether `augment` is the short spelling of a pipeline, and `key` none of its arguments."""
    is_short = isinstance(augment, dict) and "target" in augment
    return is_short and key not in augment and key in AugmentSettings.model_fields


def _no_mapping(axis_value: AxisValue, depth: int, found: Any, document: Document) -> SpecError:
    """The error for an axis that leads through something else than a mapping."""
    section = axis_value.target[:1]
    if depth == 0 and section != ("mistakes",) and document.tree.get(str(section[0])) == found:
        return document.error(section, f"must be a mapping, not {format_value(found)}")
    through = ".".join(axis_value.axis.split(".")[: depth + 1])
    return document.error(
        axis_value.declared, f"is not an axis: {through} is {format_value(found)}, not a mapping"
    )


def _origin(problem: Problem, axis_values: Sequence[AxisValue], document: Document) -> KeyPath:
    """Where in the spec the value at a path of the merged settings was written."""
    path = problem.path
    by_depth = sorted(axis_values, key=lambda axis_value: len(axis_value.target), reverse=True)
    for axis_value in by_depth:
        if axis_value.target[: len(path)] == path:
            # the axis itself names an unknown key, or one inside what is no mapping
            inside = path != axis_value.target and path not in document.locations
            if problem.kind == "extra_forbidden" or (problem.wrong_type and inside):
                return axis_value.declared
    for axis_value in by_depth:
        if path[: len(axis_value.target)] == axis_value.target:
            return (*axis_value.where, *path[len(axis_value.target) :])
    return path
