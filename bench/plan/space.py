"""The space of a search: which points there are, and what settings each of them stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import SpecError, did_you_mean
from bench.plan.arms import refuse_multiple_tasks
from bench.plan.axes import Axis, canonical_label, default_label, format_label, new_axis
from bench.plan.trial import NO_LEVEL, Trial
from bench.spec.document import Document
from bench.spec.load import Spec
from bench.spec.merge import AxisValue
from bench.spec.messages import format_value
from bench.spec.schema import TrialSettings
from bench.spec.search import Choices, FloatRange, IntRange, SearchSettings
from bench.spec.unused_settings import UnusedSetting, unused_settings
from bench.spec.yaml12 import KeyPath

Value = str | int | float
"""A choice's label, or a number."""
Point = Mapping[str, Value]
"""A value for every dimension that there is at that point."""

_SPACE: KeyPath = ("search", "space")
_NOT_WITH_SEARCH = dict.fromkeys(
    ("grid", "zip", "include", "exclude"), "turn its axes into dimensions of search.space"
) | {
    "design": "a search has no arms; make an experiment of it",
    "seeds": "use search.seeds_per_trial",
    "hypotheses": "a search selects by its results, which invalidates the tests",
    "statistics": "a search selects by its results, which invalidates the tests",
}
"""What to do instead, by key of the spec."""
_MAX_COUNTED = 100_000  # counting enumerates the points


@dataclass(frozen=True)
class Dimension:
    """One thing that a search varies.

    Attributes:
        name: a dotted path into the settings, as an axis has.
        kind: what it can be.
        where: where it stands in the spec.
        levels: by label, where it is a choice.
        when: the labels of other dimensions under which there is this one.
    """

    name: str
    kind: FloatRange | IntRange | Choices
    where: KeyPath
    levels: Mapping[str, AxisValue]
    when: Mapping[str, tuple[str, ...]]

    def axis_value(self, value: Value) -> AxisValue:
        """What a value puts into the settings, and where it is written."""
        if isinstance(self.kind, Choices):
            return self.levels[str(value)]
        key = "float" if isinstance(self.kind, FloatRange) else "int"
        ends = {number: (end,) for end, number in enumerate(self.kind.bounds)}
        return AxisValue(self.name, value, (*self.where, key, *ends.get(float(value), ())))

    @property
    def representative_values(self) -> list[Value]:
        """Values that stand for all: every choice, or both ends of a range."""
        return list(self.levels if isinstance(self.kind, Choices) else self.kind.bounds)

    @property
    def size(self) -> float:
        """How many values it has."""
        if isinstance(self.kind, Choices):
            return len(self.levels)
        low, high = self.kind.bounds
        return math.inf if self.kind.step is None else 1 + round((high - low) // self.kind.step)

    def record(self) -> dict[str, Any]:
        """As plain data, from which two spaces can be distinguished."""
        if isinstance(self.kind, Choices):
            found: dict[str, Any] = {"choice": {k: c.value for k, c in self.levels.items()}}
        else:
            found = self.kind.model_dump(by_alias=True, exclude={"when"}, exclude_defaults=True)
        when = {name: list(labels) for name, labels in self.when.items()}
        return found | ({"when": when} if when else {})


@dataclass(frozen=True)
class Space:
    """All points that a search can try.

    Attributes:
        spec: where it comes from.
        dimensions: in an order in which each comes after those that its `when` names.
    """

    spec: Spec
    dimensions: tuple[Dimension, ...]

    @property
    def search(self) -> SearchSettings:
        """The search's settings."""
        assert self.spec.sweep.search is not None
        return self.spec.sweep.search

    @property
    def names(self) -> list[str]:
        """Of the dimensions, as the spec orders them."""
        return list(self.search.space)

    def is_active(self, dimension: Dimension, point: Point) -> bool:
        """Whether there is this dimension at a point which has the ones before it."""
        return all(point.get(name) in labels for name, labels in dimension.when.items())

    def axes(self, point: Point) -> dict[str, str]:
        """The label of the point on every dimension."""
        return {
            name: format_label(point[name]) if name in point else NO_LEVEL for name in self.names
        }

    def settings(self, point: Point) -> TrialSettings:
        """The settings of the point; a SpecError where they do not go together."""
        present = [dimension for dimension in self.dimensions if dimension.name in point]
        return self.spec.settings([d.axis_value(point[d.name]) for d in present])

    def trials(self, point: Point, seeds: Sequence[int]) -> tuple[Trial, ...]:
        """The point with each of these seeds."""
        settings, axes = self.settings(point), self.axes(point)
        return tuple(Trial(self.spec.experiment, seed, axes, settings) for seed in seeds)

    def samples(self) -> list[dict[str, Value]]:
        """Points in which every choice and both ends of every range stand once at least."""
        found: dict[tuple[tuple[str, Value], ...], dict[str, Value]] = {}
        for dimension in (None, *self.dimensions):
            for value in [None] if dimension is None else dimension.representative_values:
                wanted = {} if dimension is None or value is None else {dimension.name: value}
                point = self._sample_with(wanted)
                found.setdefault(tuple(sorted(point.items())), point)
        return list(found.values())

    def sample_trials(self) -> tuple[Trial, ...]:
        """A trial of each of these points; equal ones once."""
        found = [trial for point in self.samples() for trial in self.trials(point, (0,))]
        return tuple({trial.arm: trial for trial in found}.values())

    @property
    def size(self) -> int | None:
        """How many points there are; None where there are very many."""
        if math.prod(dimension.size for dimension in self.dimensions) > _MAX_COUNTED:
            return None
        points: list[dict[str, Value]] = [{}]
        for dimension in self.dimensions:
            points = [more for point in points for more in self._extended(point, dimension)]
        return len(points)

    def record(self) -> dict[str, Any]:
        """As plain data, from which two spaces can be distinguished."""
        by_name = {dimension.name: dimension.record() for dimension in self.dimensions}
        return {name: by_name[name] for name in self.names}

    def _extended(self, point: dict[str, Value], dimension: Dimension) -> list[dict[str, Value]]:
        if not self.is_active(dimension, point):
            return [point]
        if isinstance(dimension.kind, Choices):
            values: list[Value] = list(dimension.levels)
        else:
            low, step = dimension.kind.bounds[0], dimension.kind.step or 1
            values = [low + step * k for k in range(int(dimension.size))]
        return [point | {dimension.name: value} for value in values]

    def _sample_with(self, wanted: dict[str, Value]) -> dict[str, Value]:
        """A point with what is wanted, and with what that needs; the rest as usual."""
        by_name = {dimension.name: dimension for dimension in self.dimensions}
        left = list(wanted)
        while left:
            for parent, labels in by_name[left.pop()].when.items():
                if wanted.setdefault(parent, labels[0]) == labels[0]:
                    left.append(parent)
        point: dict[str, Value] = {}
        for dimension in self.dimensions:
            if self.is_active(dimension, point):
                # not a range's lowest value, which often is the default: that shows no effect
                usual = dimension.representative_values[
                    0 if isinstance(dimension.kind, Choices) else 1
                ]
                point[dimension.name] = wanted.get(dimension.name, usual)
        return point


def read_space(spec: Spec) -> Space:
    """The space of a spec's search, each of its dimensions tried with the settings' schema.

    Raises:
        SpecError: the spec has no search, or one that cannot be; names file, line and key.
    """
    document = spec.document
    if spec.sweep.search is None:
        raise SpecError("has no `search:`; use `bench run`", source=document.source)
    for key in _NOT_WITH_SEARCH:
        if key in document.tree:
            instead = _NOT_WITH_SEARCH[key]
            raise document.error((key,), f"cannot be combined with `search`: {instead}")
    seen: dict[str, KeyPath] = {}
    axes = {
        name: new_axis(document, name, (*_SPACE, name), seen) for name in spec.sweep.search.space
    }
    for name, kind in spec.sweep.search.space.items():
        if isinstance(kind, Choices):
            _add_levels(document, axes[name], kind)
    found = [
        Dimension(name, kind, (*_SPACE, name), axes[name].levels, _when(spec, axes, name))
        for name, kind in spec.sweep.search.space.items()
    ]
    refuse_multiple_tasks(spec, axes.values())
    space = Space(spec, _topological_order(document, found))
    for point in space.samples():  # also checks every value against the settings' schema
        settings = space.settings(point)
        if settings.data.folds is not None:
            message = (
                "cannot be combined with `search`: cross-validate what it finds by `bench run`"
            )
            raise document.error(("data", "folds"), message)
        for unused in unused_settings(settings):
            raise _unused_error(space, point, unused)
    return space


def _add_levels(document: Document, axis: Axis, kind: Choices) -> None:
    if isinstance(kind.choice, dict):
        for written, value in kind.choice.items():
            axis.add(document, canonical_label(written), value, (*axis.where, "choice", written))
    else:
        for i, value in enumerate(kind.choice):
            where = (*axis.where, "choice", i)
            axis.add(document, default_label(document, value, where), value, where)


def _when(spec: Spec, axes: Mapping[str, Axis], name: str) -> dict[str, tuple[str, ...]]:
    """The condition of a dimension, with labels as their own dimensions spell them."""
    assert spec.sweep.search is not None
    found: dict[str, tuple[str, ...]] = {}
    for parent, wanted in (spec.sweep.search.space[name].when or {}).items():
        where = (*_SPACE, name, "when", parent)
        if parent not in axes or parent == name:
            others = [other for other in axes if other != name]
            message = f"unknown dimension {parent!r}{did_you_mean(parent, others)}"
            raise spec.document.error(where, message)
        if not axes[parent].levels:
            message = f"{parent} is a range; a condition needs a choice"
            raise spec.document.error(where, message)
        labels = wanted if isinstance(wanted, list) else [wanted]
        if not labels:
            raise spec.document.error(where, "is empty; fill it or leave it out")
        found[parent] = tuple(_level(spec.document, axes[parent], label, where) for label in labels)
    return found


def _level(document: Document, axis: Axis, value: Any, where: KeyPath) -> str:
    """The label of an existing level that a scalar means."""
    if isinstance(value, dict | list):
        raise document.error(where, f"must be a label, not {format_value(value)}")
    labels = (format_label(value), canonical_label(str(value)))
    found = next((label for label in labels if label in axis.levels), None)
    if found is None:
        hint = did_you_mean(format_label(value), axis.levels)
        raise document.error(where, f"{axis.name} has no choice {format_label(value)!r}{hint}")
    return found


def _topological_order(document: Document, found: Sequence[Dimension]) -> tuple[Dimension, ...]:
    ordered: dict[str, Dimension] = {}
    while len(ordered) < len(found):
        ready = [d for d in found if d.name not in ordered and d.when.keys() <= ordered.keys()]
        if not ready:
            circular = next(d for d in found if d.name not in ordered)
            raise document.error((*circular.where, "when"), "the conditions are circular")
        ordered |= {d.name: d for d in ready}
    return tuple(ordered.values())


def _unused_error(space: Space, point: Point, unused: UnusedSetting) -> SpecError:
    setters = [d for d in space.dimensions if f"{unused.setting}.".startswith(f"{d.name}.")]
    setter = max(setters, key=lambda d: len(d.name), default=None)
    if setter is None:
        path: KeyPath = tuple(unused.setting.split("."))
        return space.spec.document.error(path, f"{unused.message}; leave it out")
    where = setter.axis_value(point[setter.name]).where
    by = [name for name in unused.because_of if name in point and name != setter.name]
    labels = ", ".join(f"{name}: {format_label(point[name])}" for name in by)
    remedy = f"; give it a `when:` without {labels}" if labels else "; leave it out"
    return space.spec.document.error(where, unused.message + remedy)


def enqueued(space: Space) -> list[dict[str, Value]]:
    """The points of `enqueue`, as far as it names their values.

    Raises:
        SpecError: an unknown dimension, or a value that is not in it; names its line.
    """
    by_name = {dimension.name: dimension for dimension in space.dimensions}
    found = []
    for i, entry in enumerate(space.search.enqueue):
        point: dict[str, Value] = {}
        for name, value in entry.items():
            where = ("search", "enqueue", i, name)
            if name not in by_name:
                hint = did_you_mean(name, by_name)
                raise space.spec.document.error(where, f"unknown dimension {name!r}{hint}")
            point[name] = _value(space.spec.document, by_name[name], value, where)
        for name in point:
            for parent, labels in by_name[name].when.items():
                if parent in point and point[parent] not in labels:
                    message = f"does not exist with {parent}: {format_label(point[parent])}"
                    where = ("search", "enqueue", i, name)
                    raise space.spec.document.error(where, f"{message}; leave it out")
        found.append(point)
    return found


def _value(document: Document, dimension: Dimension, value: Any, where: KeyPath) -> Value:
    kind = dimension.kind
    if isinstance(kind, Choices):
        axis = Axis(dimension.name, dimension.where, dict(dimension.levels))
        return _level(document, axis, value, where)
    whole = isinstance(kind, IntRange)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        wanted = "an integer" if whole else "a number"
        raise document.error(where, f"must be {wanted}, not {format_value(value)}")
    low, high = kind.bounds
    if not low <= value <= high:
        raise document.error(where, f"must be from {low:g} to {high:g}, not {value:g}")
    if kind.step is not None:
        steps = (value - low) / kind.step
        if abs(steps - round(steps)) > 1e-8:  # 0.3 / 0.1 is not 3 in floating point
            message = f"must be {low:g} and a number of steps of {kind.step:g}, not {value:g}"
            raise document.error(where, message)
    return value if whole else float(value)
