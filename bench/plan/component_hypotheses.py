"""The hypotheses of a design: one for each component, which nobody has to write."""

from __future__ import annotations

import re
from collections.abc import Collection

from bench.plan.design import CONFIGURATION, TO, ComponentContrast, Design, DesignKind
from bench.spec.hypotheses import Expect, Hypothesis
from bench.tasks.settings import Mode

_LONGEST_ID = 56  # characters: a number may follow


def component_hypotheses(
    design: Design, metric: str, mode: Mode, taken: Collection[str] = ()
) -> list[Hypothesis]:
    """That each component helps; of a path also that all of it does.

    The test is two-sided whatever is expected: that a component harms is found as well.

    Args:
        design: the components and what each is tested by.
        metric: the figure that is compared.
        mode: whether more or less of it is better.
        taken: ids that others have.
    """
    better: Expect = "higher" if mode == "max" else "lower"
    worse: Expect = "lower" if mode == "max" else "higher"
    contrasts = list(design.contrasts)
    if design.kind is DesignKind.PATH:
        whole = {CONFIGURATION: TO}, {CONFIGURATION: str(design.reference)}
        contrasts.append(ComponentContrast("", "", *whole))
    ids = set(taken)
    found = []
    for contrast in contrasts:
        expect = worse if contrast.removes else better
        name, claim = _words(design, contrast, metric, expect)
        found.append(
            Hypothesis(
                id=_unused_id(name, ids),
                claim=claim,
                metric=metric,
                a=dict(contrast.a),
                b=dict(contrast.b),
                expect=expect,
            )
        )
    return found


def _words(
    design: Design, contrast: ComponentContrast, metric: str, expect: Expect
) -> tuple[str, str]:
    """A name and a claim."""
    component = contrast.component
    if not component:
        return "whole path", f"At the end of the path, {metric} is {expect} than at its beginning"
    if contrast.removes:
        return f"without {component}", f"Without {component}, {metric} is {expect}"
    if contrast.level:
        of_base = design.levels[component][0]
        instead = "that of the base" if of_base == design.reference else of_base
        return (
            f"{component} {contrast.level}",
            f"With {contrast.level} as {component} instead of {instead}, {metric} is {expect}",
        )
    if design.kind in (DesignKind.CUMULATIVE, DesignKind.PATH):
        before = contrast.b[CONFIGURATION]
        return f"plus {component}", f"Adding {component} to {before!r} makes {metric} {expect}"
    return f"with {component}", f"With {component}, {metric} is {expect}"


def _unused_id(name: str, taken: set[str]) -> str:
    made = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:_LONGEST_ID] or "component"
    found, number = made, 1
    while found in taken:
        number += 1
        found = f"{made}_{number}"
    taken.add(found)
    return found
