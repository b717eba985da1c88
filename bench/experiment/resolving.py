"""What trials name by other experiments and files, settled against the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.experiment.earlier_experiments import check_extractor_works, finished, lookup
from bench.plan.extractor import resolve_extractors
from bench.plan.plan import Plan
from bench.plan.pretrained import resolve_weights
from bench.record.store import Store

ResolvePlan = Callable[[Plan], Plan]
"""Settles what trials name by other experiments and files."""


def resolver(results: Path, specs: Path, *, trust_code: bool = False) -> ResolvePlan:
    """Settles plans by what is in `results`; `specs` is the folder where other specs may lie.

    With `trust_code`, code that only a recorded trial names (`target:`) is run.
    """
    store = Store(results)
    earlier, checkpoint = lookup(store, specs), finished(store)

    def resolve(plan: Plan) -> Plan:
        plan = resolve_weights(plan, earlier)
        return resolve_extractors(
            plan, earlier, checkpoint, check_extractor_works, trust_code=trust_code
        )

    return resolve
