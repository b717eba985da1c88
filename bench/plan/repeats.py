"""Plans whose seeds are added until the hypotheses are settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.plan.design import Design, DesignKind
from bench.plan.plan import Plan
from bench.plan.sides import sides
from bench.spec.hypotheses import Hypothesis
from bench.spec.repeats import RepeatPlan


def compared_arms(
    hypothesis: Hypothesis, arms: Sequence[Mapping[str, str]], design: Design | None
) -> frozenset[int]:
    """Positions of the arms that a hypothesis needs: of strata that both of its sides have."""
    found = sides(hypothesis, arms, design)
    if not isinstance(hypothesis.b, dict):
        return frozenset(found.a)

    def stratum(i: int) -> tuple[str, ...]:
        return *(arms[i][axis] for axis in found.strata), found.partners.get(i, "")

    common = {stratum(i) for i in found.a} & {stratum(i) for i in found.b}
    return frozenset(i for i in (*found.a, *found.b) if stratum(i) in common)


def with_repeats(plan: Plan) -> Plan:
    """The plan with its looks; only arms that a hypothesis compares get further seeds."""
    repeats = plan.spec.sweep.repeats
    if repeats is None:
        return plan
    _refuse(plan)
    first = plan.trials[0]
    arms = [trial.axes for trial in plan.trials if (trial.seed, trial.fold) == (first.seed, None)]
    named = {
        i for each in plan.hypotheses if not each.exact
        for i in compared_arms(each, arms, plan.design)
    }  # fmt: skip
    if _is_path(plan):  # any configuration may become a step's candidate
        return replace(plan, repeats=RepeatPlan.of(repeats))
    compared = {tuple(arms[i].items()) for i in named}
    further = tuple(t for t in plan.further if tuple(t.axes.items()) in compared)
    return replace(plan, repeats=RepeatPlan.of(repeats), further=further)


def _refuse(plan: Plan) -> None:
    """Refuse to add seeds until all is settled where that means nothing, or is not valid.

    Raises:
        SpecError: there are neither hypotheses nor steps of a path, or there are folds.
    """
    at, document = ("seeds", "until"), plan.spec.document
    fixed = "or give a number of seeds (seeds: 5)"
    if not plan.hypotheses and not _is_path(plan):
        raise document.error(at, f"there is nothing to settle: add `hypotheses:`, {fixed}")
    if any(getattr(trial.settings.data, "folds", None) is not None for trial in plan.trials):
        raise document.error(
            at,
            "cannot be combined with data.folds, for which no looks are known to be valid: remove "
            f"data.folds, {fixed}",
        )


def _is_path(plan: Plan) -> bool:
    return plan.design is not None and plan.design.kind is DesignKind.PATH
