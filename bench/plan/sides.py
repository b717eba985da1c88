"""Which arms a hypothesis compares: in the plan that checks it and in the records that test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.plan.design import CONFIGURATION, Design, DesignKind
from bench.spec.hypotheses import Hypothesis


@dataclass(frozen=True)
class Sides:
    """Which arms a hypothesis compares, and what else tells them apart.

    Attributes:
        a, b: positions of the arms on each side; `b` is empty where it is a number.
        strata: the axes left open on which arms are paired.
        along: axes left open on which the sides have one label each, and not the same: what varies
            together with a named axis. Label of a, label of b.
        partners: by position, which configurations of a design make a pair within a stratum, where
            a side has several.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]
    strata: tuple[str, ...]
    along: Mapping[str, tuple[str, str]]
    partners: Mapping[int, str] = field(default_factory=dict)


def sides(
    hypothesis: Hypothesis, arms: Sequence[Mapping[str, str]], design: Design | None = None
) -> Sides:
    """Find the two sides of `hypothesis`, whose labels are canonical, among `arms`.

    `design` is theirs, by whose components a hypothesis can name arms, too.
    """
    b = hypothesis.b if isinstance(hypothesis.b, dict) else None
    named = {*hypothesis.a, *(b or ())}
    if design is not None and named & design.levels.keys():
        return _of_components(hypothesis, arms, design)
    of_a = _with_labels(hypothesis.a, arms)
    of_b = _with_labels(b, arms) if b is not None else ()
    left_open = [a for a in dict.fromkeys(k for arm in arms for k in arm) if a not in named]
    along = {}
    for axis in left_open if b is not None else ():
        labels_a, labels_b = {arms[i].get(axis) for i in of_a}, {arms[i].get(axis) for i in of_b}
        if len(labels_a) == len(labels_b) == 1 and labels_a != labels_b:
            along[axis] = (str(labels_a.pop()), str(labels_b.pop()))
    strata = tuple(axis for axis in left_open if axis not in along)
    return Sides(of_a, of_b, strata, along)


def _of_components(
    hypothesis: Hypothesis, arms: Sequence[Mapping[str, str]], design: Design
) -> Sides:
    """The sides of a hypothesis that names components.

    Elsewhere than in a fraction only configurations are compared that are alike in all other
    components. In a fraction no two are: there the mean over one half of its runs is compared with
    that over the other half, in which every other component is on as often. Which run of the one is
    paired with which of the other changes neither the mean of a seed nor that of an image.
    """
    levels = [design.configurations.get(arm.get(CONFIGURATION, ""), {}) for arm in arms]
    known = [{**own, **arm} for own, arm in zip(levels, arms, strict=True)]
    b = hypothesis.b if isinstance(hypothesis.b, dict) else None
    named = {*hypothesis.a, *(b or ())}
    of_a = _with_labels(hypothesis.a, known)
    of_b = _with_labels(b, known) if b is not None else ()
    left_open = [
        axis
        for axis in dict.fromkeys(key for arm in arms for key in arm)
        if axis not in named and axis != CONFIGURATION
    ]
    partners: dict[int, str] = {}
    if b is None or design.kind is not DesignKind.FRACTIONAL:
        others = [name for name in design.components if name not in named]
        partners = {i: " + ".join(known[i][name] for name in others) for i in (*of_a, *of_b)}
        if b is not None:
            shared = {partners[i] for i in of_a} & {partners[i] for i in of_b}
            of_a, of_b = (tuple(i for i in s if partners[i] in shared) for s in (of_a, of_b))
    else:
        for side in (of_a, of_b):
            labels = dict.fromkeys(
                label for label in design.configurations
                if any(arms[i][CONFIGURATION] == label for i in side)
            )  # fmt: skip
            place = {label: str(number) for number, label in enumerate(labels, start=1)}
            partners |= {i: place[arms[i][CONFIGURATION]] for i in side}
    return Sides(of_a, of_b, tuple(left_open), {}, {i: partners[i] for i in (*of_a, *of_b)})


def _with_labels(labels: Mapping[str, Any], arms: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
    return tuple(i for i, arm in enumerate(arms) if labels.items() <= arm.items())
