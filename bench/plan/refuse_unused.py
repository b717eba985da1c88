"""Refuses settings that have no effect, before somebody reads one into a result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench.errors import SpecError
from bench.plan.arms import ArmLabels
from bench.plan.axes import Axis
from bench.plan.design import CONFIGURATION
from bench.plan.design_spec import component_of, design_of
from bench.spec.load import Spec
from bench.spec.schema import TrialSettings
from bench.spec.unused_settings import UnusedSetting, unused_settings
from bench.spec.yaml12 import KeyPath


def refuse_unused_settings(
    spec: Spec, axes: dict[str, Axis], arms: Sequence[tuple[ArmLabels, TrialSettings]]
) -> None:
    """Refuse settings without effect; a default is none.

    What all arms share need only act in one of them: `train.momentum` with an axis of optimizers.
    But a level without effect in its arm is refused there: the arm would repeat another one under
    a name that says something else.

    Raises:
        SpecError: there is one; names its line and, where axes are to blame, the arms.
    """
    found = [
        (number, unused)
        for number, (_, made) in enumerate(arms)
        for unused in unused_settings(made)
    ]
    times = Counter((unused.setting, unused.item) for _, unused in found)
    for number, unused in found:
        labels = arms[number][0]
        setters = [
            (value, axis)
            for axis in axes.values()
            for value in axis.values(labels[axis.name])
            if f"{unused.setting}.".startswith(f"{value.axis}.")
        ]
        value, axis = max(setters, key=lambda found: len(found[0].axis), default=(None, None))
        if value is not None and axis is not None and axis.name == CONFIGURATION:
            remedy = "leave it out, or make one component of it and of what it needs"
            raise spec.document.error(value.where, f"{unused.message}; {remedy}")
        if axis is not None:  # the narrowest: set last
            raise _of_a_level(spec, axes, axis, number, arms[number][0], len(arms), unused)
        concerned = _arms_with_the_same(axes, arms, number, unused.setting)
        if times[unused.setting, unused.item] == concerned < len(arms):
            component = component_of(axes, unused.setting)
            assert component is not None
            message = f"{unused.message}, so that {component.name!r} changes nothing; leave it out"
            raise spec.document.error(component.where, message)
        if times[unused.setting, unused.item] == len(arms):
            path: KeyPath = tuple(unused.setting.split("."))
            raise spec.document.error(path, f"{unused.message}; leave it out")


def _arms_with_the_same(
    axes: dict[str, Axis],
    arms: Sequence[tuple[ArmLabels, TrialSettings]],
    number: int,
    setting: str,
) -> int:
    """How many arms have the spec's own value of a setting, which a component may change."""
    component, design = component_of(axes, setting), design_of(axes)
    if component is None or design is None:
        return len(arms)

    def level(arm: int) -> str:
        return design.configurations[arms[arm][0][CONFIGURATION]][component.name]

    return sum(level(arm) == level(number) for arm in range(len(arms)))


def _of_a_level(
    spec: Spec,
    axes: dict[str, Axis],
    axis: Axis,
    number: int,
    arm: ArmLabels,
    arms: int,
    unused: UnusedSetting,
) -> SpecError:
    """The error for a level that has no effect in one arm."""
    included = number - (arms - len(spec.sweep.include))
    if included >= 0:
        return spec.document.error(("include", included, axis.name), f"{unused.message}; fix it")
    inside = unused.setting.removeprefix(axis.name).split(".")[1:]
    where = (*axis.levels[arm[axis.name]].where, *inside)
    concerned = [name for name in axes if _meet(name, axis.name, *unused.because_of)]
    if concerned == [axis.name]:
        return spec.document.error(where, f"{unused.message}; leave it out")
    labels = ", ".join(f"{name}: {arm[name]}" for name in concerned)
    return spec.document.error(where, f"{unused.message}; exclude the arms {{{labels}}}")


def _meet(name: str, *settings: str) -> bool:
    """Whether an axis sets, or is in, one of these settings."""
    ends = [f"{setting}." for setting in settings]
    return any(f"{name}.".startswith(end) or end.startswith(f"{name}.") for end in ends)
