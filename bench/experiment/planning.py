"""From a checked spec to a plan that can be run: what it names is looked up and checked."""

from __future__ import annotations

from pathlib import Path

from bench.experiment.resolving import resolver
from bench.plan.expand import check_targets, make_plan
from bench.plan.plan import Plan
from bench.plan.pretrained import check_weights
from bench.spec.load import Spec


def plan_of(spec: Spec, folder: Path, results: Path, *, trust_code: bool = False) -> Plan:
    """The spec's plan, with weights and classifiers of earlier experiments found in `results`.

    Args:
        spec: checked.
        folder: where the spec is.
        results: the folder of all records.
        trust_code: build a `target:` that only a recorded trial names.

    Raises:
        BenchError: something that the spec names is not there, or does not fit.
    """
    plan = make_plan(spec)
    check_targets(plan)
    plan = resolver(results, folder, trust_code=trust_code)(plan)
    check_weights(plan)
    return plan
