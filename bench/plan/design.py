"""Ablation designs as plain data: their components, and which configurations are trained.

What `bench.plan.design_spec` reads of a spec, and what plan.json keeps of it for the report.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from bench.plan.fraction import Fraction
from bench.spec.design import Resolution

CONFIGURATION = "configuration"
"""The axis that a design has: its levels are the configurations."""
ON, OFF = "on", "off"
FROM, TO = "from", "to"


class DesignKind(StrEnum):
    """The designs that a spec can have."""

    LEAVE_ONE_OUT = "leave_one_out"
    ADD_ONE = "add_one"
    CUMULATIVE = "cumulative"
    ONE_AT_A_TIME = "one_at_a_time"
    PATH = "path"
    FRACTIONAL = "fractional"


REFERENCES = {
    DesignKind.LEAVE_ONE_OUT: "full",
    DesignKind.ADD_ONE: "base",
    DesignKind.CUMULATIVE: "base",
    DesignKind.ONE_AT_A_TIME: "base",
    DesignKind.PATH: FROM,
}
"""What the other configurations are compared with; a fraction has no such one."""

Levels = Mapping[str, str]
"""The level of every component."""


class ComponentContrast(NamedTuple):
    """What a component is tested by.

    Attributes:
        component: its name.
        level: the alternative, of designs that have several; else empty.
        a, b: labels on `configuration`; of a fraction on the component itself.
        removes: whether a lacks what b has, so that a is expected to be worse.
    """

    component: str
    level: str
    a: Levels
    b: Levels
    removes: bool = False


@dataclass(frozen=True)
class Design:
    """An ablation design.

    Attributes:
        kind: which one.
        levels: the levels of each component. The first is that of the reference.
        configurations: by label, the level of every component; the reference comes first.
        varied: the settings that components change, as dotted paths.
        metric: the figure that the spec wants components tested in; None: the default.
        resolution: of a fraction.
        losses: by component that changes what the loss is a measure of, a text for each level,
            equal where it leaves the loss the same.
        steps: of a path, the components in the order in which they were taken, as far as the
            records decide it; no part of the plan's record.
    """

    kind: DesignKind
    levels: Mapping[str, tuple[str, ...]]
    configurations: Mapping[str, Levels]
    varied: tuple[str, ...]
    metric: str | None = None
    resolution: Resolution | None = None
    losses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = field(default=())

    @property
    def reference(self) -> str | None:
        """The full or the base configuration; None of a fraction."""
        return REFERENCES.get(self.kind)

    @property
    def components(self) -> tuple[str, ...]:
        """Their names, in the spec's order."""
        return tuple(self.levels)

    @property
    def combinations(self) -> int:
        """How many configurations a full factorial would have."""
        return math.prod(len(levels) for levels in self.levels.values())

    @cached_property
    def fraction(self) -> Fraction | None:
        """Of a fractional design, its runs and aliases."""
        return None if self.resolution is None else Fraction(self.components, self.resolution)

    @property
    def contrasts(self) -> tuple[ComponentContrast, ...]:
        """By what each component is tested."""
        if self.kind is DesignKind.FRACTIONAL:
            return tuple(ComponentContrast(c, "", {c: ON}, {c: OFF}) for c in self.components)
        if self.kind in (DesignKind.CUMULATIVE, DesignKind.PATH):
            return tuple(
                ComponentContrast(component, "", {CONFIGURATION: a}, {CONFIGURATION: b})
                for component, a, b in self._added()
            )
        reference = {CONFIGURATION: str(self.reference)}
        removes = self.kind is DesignKind.LEAVE_ONE_OUT
        found = []
        for label, levels in self.configurations.items():
            if changed := self._changed(levels):
                (component,) = changed
                level = levels[component] if self.kind is DesignKind.ONE_AT_A_TIME else ""
                a = {CONFIGURATION: label}
                found.append(ComponentContrast(component, level, a, reference, removes))
        return tuple(found)

    @property
    def sequence(self) -> tuple[str, ...]:
        """The configurations that are built upon each other, of cumulative designs and paths."""
        if self.kind is DesignKind.CUMULATIVE:
            return tuple(self.configurations)
        levels = {c: self.levels[c][0] for c in self.components}
        found = [self.label_of(levels)] if self.kind is DesignKind.PATH else []
        for component in self.steps:
            levels |= {component: self.levels[component][-1]}
            found.append(self.label_of(levels))
        return tuple(found)

    def label_of(self, levels: Levels) -> str:
        """The label of the configuration with these levels.

        Raises:
            KeyError: the design has none.
        """
        for label, own in self.configurations.items():
            if own == levels:
                return label
        raise KeyError(dict(levels))

    def loss_of(self, label: str) -> tuple[str, ...]:
        """Equal for configurations whose loss is a measure of the same."""
        if not self.losses or label not in self.configurations:
            return (label,)  # of earlier records, where no two of a design's were compared
        own = self.configurations[label]
        return tuple(by_level[own[name]] for name, by_level in self.losses.items())

    def candidates(self, taken: Sequence[str]) -> dict[str, str]:
        """Of a path on which these components are taken: what each other one leads to, by label."""
        base = {name: TO if name in taken else FROM for name in self.components}
        left = (name for name in self.components if name not in taken)
        return {name: path_label(base | {name: TO}) for name in left}

    @property
    def first_round(self) -> tuple[str, ...]:
        """The configurations that are planned: of a path its ends and its first candidates."""
        if self.kind is not DesignKind.PATH:
            return tuple(self.configurations)
        return tuple(dict.fromkeys((FROM, *self.candidates(()).values(), TO)))

    @property
    def most_configurations(self) -> int:
        """How many are trained at most; a path's rounds have one candidate fewer each."""
        count = len(self.components)
        return (
            count * (count + 1) // 2 + 1
            if self.kind is DesignKind.PATH
            else len(self.configurations)
        )

    def with_steps(self, steps: Sequence[str]) -> Design:
        """The path as far as it is known."""
        return replace(self, steps=tuple(steps))

    def record(self) -> dict[str, Any]:
        """As plan.json has it."""
        return {
            "kind": str(self.kind),
            "components": {name: list(levels) for name, levels in self.levels.items()},
            "configurations": {label: dict(own) for label, own in self.configurations.items()},
            "varied": list(self.varied),
            **({"metric": self.metric} if self.metric else {}),
            **({"resolution": self.resolution} if self.resolution else {}),
            **({"losses": {c: dict(own) for c, own in self.losses.items()}} if self.losses else {}),
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Design:
        """From what `record` gave.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is damaged.
        """
        levels = {str(name): tuple(map(str, found)) for name, found in record["components"].items()}
        configurations = {
            str(label): {name: str(own[name]) for name in levels}
            for label, own in record["configurations"].items()
        }
        design = cls(
            DesignKind(record["kind"]),
            levels,
            configurations,
            tuple(map(str, record["varied"])),
            record.get("metric"),
            record.get("resolution"),
            {
                str(name): {str(level): str(text) for level, text in own.items()}
                for name, own in record.get("losses", {}).items()
            },
        )
        if any(len(own) < 2 for own in levels.values()) or not levels:
            raise ValueError("a component with one level")
        if any(own.keys() != set(levels.get(name, ())) for name, own in design.losses.items()):
            raise ValueError("losses of other components or levels")
        if configurations != configurations_of(design.kind, levels, design.fraction):
            raise ValueError("configurations that are not of these components")
        return design

    def _changed(self, levels: Levels) -> list[str]:
        """The components that are not as the reference has them."""
        return [name for name in self.components if levels[name] != self.levels[name][0]]

    def _added(self) -> list[tuple[str, str, str]]:
        """Component, the configuration with it and the one before, along `sequence`."""
        labels = self.sequence
        order = self.components if self.kind is DesignKind.CUMULATIVE else self.steps
        return list(zip(order, labels[1:], labels[:-1], strict=True))


def configurations_of(
    kind: DesignKind, levels: Mapping[str, Sequence[str]], fraction: Fraction | None = None
) -> dict[str, Levels]:
    """The configurations of a design by label; of a path all that it may come by.

    Args:
        kind: which design.
        levels: of each component, the reference's first.
        fraction: of a fractional design.
    """
    base = {name: own[0] for name, own in levels.items()}
    if kind is DesignKind.FRACTIONAL:
        assert fraction is not None
        rows = [
            {name: ON if sign > 0 else OFF for name, sign in zip(base, row, strict=True)}
            for row in fraction.signs
        ]
        return {_with(row): row for row in rows}
    if kind is DesignKind.PATH:
        return _lattice(tuple(base))
    found: dict[str, Levels] = {REFERENCES[kind]: base}
    if kind is DesignKind.CUMULATIVE:
        row = dict(base)
        for name, own in levels.items():
            row[name] = own[1]
            found[f"plus {name}"] = dict(row)
        return found
    for name, own in levels.items():
        for level in own[1:]:
            found[_label(kind, name, level)] = base | {name: level}
    return found


def _lattice(components: Sequence[str]) -> dict[str, Levels]:
    """Every configuration that a path may come by, fewest steps from its beginning first."""
    rows = [
        {name: TO if name in taken else FROM for name in components}
        for count in range(len(components) + 1)
        for taken in itertools.combinations(components, count)
    ]
    return {path_label(row): row for row in rows}


def path_label(levels: Levels) -> str:
    """Of a configuration on a path: `from`, `with augmentation + EMA`, `to`."""
    taken = [name for name, level in levels.items() if level == TO]
    if len(taken) == len(levels):
        return TO
    return f"with {' + '.join(taken)}" if taken else FROM


def _label(kind: DesignKind, name: str, level: str) -> str:
    if kind is DesignKind.ONE_AT_A_TIME:
        return f"{name}: {level}"
    return f"without {name}" if kind is DesignKind.LEAVE_ONE_OUT else f"with {name}"


def _with(row: Levels) -> str:
    """Of a fraction's run: what is on in it."""
    present = [name for name, level in row.items() if level == ON]
    if len(present) == len(row):
        return "with all"
    return f"with {' + '.join(present)}" if present else "base"
