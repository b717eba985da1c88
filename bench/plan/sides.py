"""Which arms a hypothesis compares: in the plan that checks it and in the records that test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.spec.hypotheses import Hypothesis


@dataclass(frozen=True)
class Sides:
    """Which arms a hypothesis compares, and what else tells them apart.

    Attributes:
        a, b: positions of the arms on each side; `b` is empty where it is a number.
        strata: the axes left open on which arms are paired.
        along: axes left open on which the sides have one label each, and not the same: what varies
            together with a named axis. Label of a, label of b.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]
    strata: tuple[str, ...]
    along: Mapping[str, tuple[str, str]]


def sides(hypothesis: Hypothesis, arms: Sequence[Mapping[str, str]]) -> Sides:
    """Find the two sides of `hypothesis`, whose labels are canonical, among `arms`."""
    b = hypothesis.b if isinstance(hypothesis.b, dict) else None
    of_a = _with_labels(hypothesis.a, arms)
    of_b = _with_labels(b, arms) if b is not None else ()
    named = {*hypothesis.a, *(b or ())}
    left_open = [a for a in dict.fromkeys(k for arm in arms for k in arm) if a not in named]
    along = {}
    for axis in left_open if b is not None else ():
        labels_a, labels_b = {arms[i].get(axis) for i in of_a}, {arms[i].get(axis) for i in of_b}
        if len(labels_a) == len(labels_b) == 1 and labels_a != labels_b:
            along[axis] = (str(labels_a.pop()), str(labels_b.pop()))
    strata = tuple(axis for axis in left_open if axis not in along)
    return Sides(of_a, of_b, strata, along)


def _with_labels(labels: Mapping[str, Any], arms: Sequence[Mapping[str, str]]) -> tuple[int, ...]:
    return tuple(i for i, arm in enumerate(arms) if labels.items() <= arm.items())
