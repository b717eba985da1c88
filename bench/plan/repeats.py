"""Plans whose seeds are added until the hypotheses are settled."""

from __future__ import annotations

from bench.plan.design import DesignKind
from bench.plan.plan import Plan
from bench.spec.load import Spec
from bench.spec.repeats import RepeatPlan


def repeats_of(spec: Spec) -> RepeatPlan | None:
    """What a spec asks for, as if its experiment were new; None: fixed seeds."""
    repeats = spec.sweep.repeats
    return None if repeats is None else RepeatPlan.of(repeats)


def refuse_repeats(plan: Plan) -> None:
    """Refuse to add seeds until all is settled where that means nothing, or is not valid.

    Raises:
        SpecError: there are no hypotheses, or there are folds or a path.
    """
    if plan.repeats is None:
        return
    at, document = ("seeds", "until"), plan.spec.document
    fixed = "or give a number of seeds (seeds: 5)"
    if plan.design is not None and plan.design.kind is DesignKind.PATH:
        message = "cannot be combined with design.path, whose rounds compare equally many seeds"
        raise document.error(at, f"{message}: give a number of seeds (seeds: 5)")
    if not plan.hypotheses:
        raise document.error(at, f"there is nothing to settle: add `hypotheses:`, {fixed}")
    if any(getattr(trial.settings.data, "folds", None) is not None for trial in plan.trials):
        raise document.error(
            at,
            "cannot be combined with data.folds, for which no looks are known to be valid: remove "
            f"data.folds, {fixed}",
        )
