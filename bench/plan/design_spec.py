"""A spec's `design:`: its components with their settings, checked, as an axis of configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.errors import did_you_mean
from bench.plan.axes import TASK_AXES, Axis, canonical_label, default_label, format_label
from bench.plan.comparable import LOSS_DEFINING_SETTINGS
from bench.plan.design import (
    CONFIGURATION,
    FROM,
    OFF,
    ON,
    TO,
    Design,
    DesignKind,
    configurations_of,
)
from bench.plan.folds import NO_AXIS, names_folds
from bench.plan.fraction import Fraction
from bench.plan.trial import canonical_json
from bench.spec.document import Document
from bench.spec.load import Spec
from bench.spec.merge import AxisValue
from bench.spec.messages import format_value
from bench.spec.schema import AXIS_ROOTS
from bench.spec.yaml12 import KeyPath, dotted
from bench.texts import fault_of

MOST_STEPS = 10
"""Of a path: all that it may come by, 1,024 configurations, is checked before it begins."""
_BASE = "base"
"""The level of a component that is as the spec's own settings have it."""


@dataclass
class Component:
    """A part of the configuration that a design changes.

    Attributes:
        name: for people.
        where: it stands in the spec.
        levels: the settings of each level; the reference's first.
    """

    name: str
    where: KeyPath
    levels: dict[str, list[AxisValue]] = field(default_factory=dict)

    @property
    def settings(self) -> list[AxisValue]:
        """Of all its levels."""
        return [value for level in self.levels.values() for value in level]


@dataclass
class ConfigurationAxis(Axis):
    """The axis of a design: each of its levels sets what its components do.

    Attributes:
        design: as plain data.
        components: by name, with their settings.
    """

    design: Design = None  # type: ignore[assignment]  # always given; fields before it have defaults
    components: Mapping[str, Component] = field(default_factory=dict)

    def values(self, label: str) -> list[AxisValue]:
        """The settings of a configuration."""
        levels = self.design.configurations[label]
        return [v for name, level in levels.items() for v in self.components[name].levels[level]]

    def add(
        self,
        document: Document,
        label: str,
        value: Any,  # noqa: ARG002 - as of every axis
        where: KeyPath,
        *,
        allow_repeat: bool = False,  # noqa: ARG002
    ) -> None:
        """A design decides itself which configurations it has.

        Raises:
            SpecError: always.
        """
        message = f"the design has no such configuration{did_you_mean(label, self.levels)}"
        raise document.error(where, message)

    def with_design(self, design: Design) -> ConfigurationAxis:
        """The same axis with the configurations of `design`, whose components are the same."""
        found = ConfigurationAxis(self.name, self.where, design=design, components=self.components)
        for label, levels in design.configurations.items():
            changed = [n for n in design.components if levels[n] != design.levels[n][0]]
            where = self.components[changed[-1]].where if changed else self.where
            found.levels[label] = AxisValue(self.name, {}, where)
            found.order.append(label)
        return found


def read_design(spec: Spec, axes: Mapping[str, Axis]) -> ConfigurationAxis | None:
    """The axis that a spec's `design:` stands for; None where there is none.

    Args:
        spec: checked.
        axes: of its grid and zip, with all of whose levels the configurations are combined.

    Raises:
        SpecError: components that cannot be, or do not go together with each other or the axes.
    """
    settings = spec.sweep.design
    if settings is None:
        return None
    document, kind = spec.document, DesignKind(settings.kind)
    components = list(_components(document, kind))
    _check_names(document, components, axes)
    _check_settings(document, kind, components, axes)
    names = tuple(component.name for component in components)
    fraction = None
    if settings.fractional is not None:
        try:
            fraction = Fraction(names, settings.fractional)
        except ValueError as error:
            raise document.error(("design", "fractional"), str(error)) from error
    if kind is DesignKind.PATH and len(components) > MOST_STEPS:
        message = (
            f"{len(components)} components make {2 ** len(components)} configurations that it may "
            f"come by; at most {MOST_STEPS} are possible: join some, or use leave_one_out"
        )
        raise document.error(("design", "path"), message)
    levels = {component.name: tuple(component.levels) for component in components}
    design = Design(
        kind,
        levels,
        configurations_of(kind, levels, fraction),
        tuple(dict.fromkeys(value.axis for c in components for value in c.settings)),
        settings.metric,
        settings.fractional,
        losses_of(components),
    )
    where: KeyPath = ("design", _listed_under(kind))
    by_name = {component.name: component for component in components}
    axis = ConfigurationAxis(CONFIGURATION, where, design=design, components=by_name)
    return axis.with_design(design)


def losses_of(components: Iterable[Component]) -> dict[str, dict[str, str]]:
    """The components that change what the loss is a measure of: a text for each level.

    A level that leaves such a setting as it is is taken to differ from one that sets it.
    """
    found = {}
    for component in components:
        texts = {
            level: canonical_json([_of_loss(value) for value in settings if _of_loss(value)])
            for level, settings in component.levels.items()
        }
        if len(set(texts.values())) > 1:
            found[component.name] = texts
    return found


def _of_loss(value: AxisValue) -> dict[str, Any]:
    """What of a component's setting, or section of settings, decides the loss."""
    found = {}
    for setting in LOSS_DEFINING_SETTINGS:
        if value.axis == setting or value.axis.startswith(f"{setting}."):
            found[value.axis] = value.value
        elif setting.startswith(f"{value.axis}."):
            node: Any = value.value
            for key in setting.removeprefix(f"{value.axis}.").split("."):
                node = node.get(key) if isinstance(node, dict) else None
            found |= {} if node is None else {setting: node}
    return found


def design_of(axes: Mapping[str, Axis]) -> Design | None:
    """The design that one of the axes stands for."""
    axis = axes.get(CONFIGURATION)
    return axis.design if isinstance(axis, ConfigurationAxis) else None


def component_of(axes: Mapping[str, Axis], setting: str) -> Component | None:
    """The component of a design that changes a setting, or what it is a part of."""
    axis = axes.get(CONFIGURATION)
    if not isinstance(axis, ConfigurationAxis):
        return None
    for component in axis.components.values():
        if any(f"{setting}.".startswith(f"{value.axis}.") for value in component.settings):
            return component
    return None


def same_configuration(axes: Mapping[str, Axis], first: str, second: str) -> str:
    """Why a design cannot have two configurations of the same settings, and what to do."""
    design = design_of(axes)
    assert design is not None
    remedy = "give it other settings than these, or leave it out"
    if first == design.reference:
        return f"changes nothing: the configuration {first!r} has these settings already; {remedy}"
    if design.kind is DesignKind.CUMULATIVE:
        return f"changes nothing that {first!r} has not changed before; {remedy}"
    return f"the configurations {first!r} and {second!r} have the same settings; {remedy}"


def _listed_under(kind: DesignKind) -> str:
    return "components" if kind is DesignKind.FRACTIONAL else str(kind)


def _components(document: Document, kind: DesignKind) -> Iterable[Component]:
    """The components in the spec's order, each with its levels."""
    where: KeyPath = ("design", _listed_under(kind))
    given: dict[str, Any] = document.tree["design"][_listed_under(kind)]
    if kind is DesignKind.PATH:
        yield from _of_path(document, where, given)
        return
    for name, value in given.items():
        if kind is DesignKind.ONE_AT_A_TIME:
            yield _with_alternatives(document, name, value, (*where, name))
        else:
            yield _two_level(document, kind, name, value, (*where, name))


def _two_level(
    document: Document, kind: DesignKind, name: str, value: Any, where: KeyPath
) -> Component:
    """On and off: both given, or that which is not as the spec's own settings have it."""
    removes = kind is DesignKind.LEAVE_ONE_OUT
    if isinstance(value, dict) and value and value.keys() <= {ON, OFF}:
        by_level = {k: _settings(document, name, v, (*where, k)) for k, v in value.items()}
    else:
        by_level = {OFF if removes else ON: _settings(document, name, value, where)}
    first, second = (ON, OFF) if removes else (OFF, ON)
    return Component(
        name, where, {first: by_level.get(first, []), second: by_level.get(second, [])}
    )


def _of_path(document: Document, where: KeyPath, given: Mapping[str, Any]) -> Iterable[Component]:
    ends: dict[str, dict[str, Any]] = {end: given.get(end) or {} for end in (FROM, TO)}
    names = list(dict.fromkeys((*ends[TO], *ends[FROM])))
    if not names:
        message = "names no component; give their settings in `from:`, `to:` or both"
        raise document.error(where, message)
    for name in names:
        levels = {
            end: _settings(document, name, own[name], (*where, end, name)) if name in own else []
            for end, own in ends.items()
        }
        yield Component(name, (*where, TO if name in ends[TO] else FROM, name), levels)


def _with_alternatives(document: Document, name: str, value: Any, where: KeyPath) -> Component:
    """A setting with other values of it, or a name with labelled settings."""
    is_setting = name.split(".")[0] in AXIS_ROOTS
    if isinstance(value, list) and is_setting:
        labelled = {default_label(document, v, (*where, i)): (i, v) for i, v in enumerate(value)}
        if len(labelled) < len(value):
            raise document.error(where, "has a label twice; write `label: value` for each")
    elif isinstance(value, dict) and value:
        labelled = {canonical_label(label): (label, v) for label, v in value.items()}
    else:
        wanted = "a list of values" if is_setting else "a mapping of alternatives to their settings"
        raise document.error(where, f"must be {wanted}, not {format_value(value)}")
    component = Component(name, where, {_base_label(document, name, labelled): []})
    for label, (key, own) in labelled.items():
        if fault := fault_of(label):
            raise document.error((*where, key), f"the label {fault}")
        component.levels[label] = _settings(document, name, own, (*where, key))
    if not labelled:
        raise document.error(where, "has no alternative; give one at least")
    return component


def _base_label(document: Document, name: str, taken: Mapping[str, Any]) -> str:
    """What the base has: the setting's value where it stands in the spec and is short."""
    node: Any = document.tree
    for key in name.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    named = isinstance(node, dict) and isinstance(node.get("name"), str)
    known = isinstance(node, str | int | float | bool) or named
    label = (default_label(document, node, ()) if named else format_label(node)) if known else _BASE
    return _BASE if label in taken else label


def _settings(document: Document, name: str, value: Any, where: KeyPath) -> list[AxisValue]:
    """`{train.lr: 1e-3, …}`, or the value of the setting that the component is called after."""
    roots = [str(key).split(".")[0] for key in value] if isinstance(value, dict) else []
    if roots and set(roots) <= set(AXIS_ROOTS):
        return [AxisValue(str(key), own, (*where, key)) for key, own in value.items()]
    if name.split(".")[0] in AXIS_ROOTS:
        return [AxisValue(name, value, where)]
    if isinstance(value, dict) and value:
        key = next(key for key in value if str(key).split(".")[0] not in AXIS_ROOTS)
        hint = did_you_mean(str(key).split(".")[0], AXIS_ROOTS)
        message = f"is no setting that a component can change{hint}; write it as train.lr: 1e-3"
        raise document.error((*where, key), message)
    raise document.error(
        where, f"must be settings, such as {{train.lr: 1e-3}}, not {format_value(value)}"
    )


def _check_names(
    document: Document, components: Iterable[Component], axes: Mapping[str, Axis]
) -> None:
    for component in components:
        if fault := fault_of(component.name):
            raise document.error(component.where, f"the name {fault}")
        if component.name == CONFIGURATION:
            message = f"{CONFIGURATION!r} is the axis of a design; call the component otherwise"
            raise document.error(component.where, message)
        if component.name in axes:
            raise _axis_and_component(document, component.where, axes[component.name])


def _axis_and_component(document: Document, where: KeyPath, axis: Axis) -> Exception:
    return document.error(
        where,
        f"is an axis too, at {dotted(axis.where)}; keep {axis.name} in the design or in the "
        f"{axis.where[0]}, not in both",
    )


def _check_settings(
    document: Document,
    kind: DesignKind,
    components: Iterable[Component],
    axes: Mapping[str, Axis],
) -> None:
    """What components set is neither an axis nor set differently by another component."""
    first: dict[str, tuple[Component, AxisValue]] = {}
    for component in components:
        for value in component.settings:
            if value.axis in axes:
                raise _axis_and_component(document, value.where, axes[value.axis])
            if value.axis in TASK_AXES:
                message = (
                    "an experiment has one task; components can change its settings (task.…), "
                    "not which it is"
                )
                raise document.error(value.where, message)
            if names_folds(value.axis):
                raise document.error(value.where, NO_AXIS)
            if kind is DesignKind.ONE_AT_A_TIME:
                continue  # no two alternatives are ever taken together
            other, before = first.setdefault(value.axis, (component, value))
            if other is component or canonical_json(before.value) == canonical_json(value.value):
                continue
            message = (
                f"{other.name!r} sets {value.axis} too, to another value; make one component of "
                "both, or alternatives of `one_at_a_time`"
            )
            raise document.error(value.where, message)
