"""Experiments that grow: what is recorded of their trials decides which come next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.analysis.load import load
from bench.analysis.records import Records
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.store import Store
from bench.states import Status

FINAL = (Status.DONE, Status.FAILED)
"""What no run changes unless asked to; a trial that was killed fails only after its retries."""


@dataclass(frozen=True)
class Round:
    """What an experiment goes on with.

    Attributes:
        trials: to be added to the plan. None: it is over, or trials of the plan are not final.
        lines: what was decided, and why it goes on or stops; a sentence each.
        summary: the same in a few words.
    """

    trials: tuple[Trial, ...] = ()
    lines: tuple[str, ...] = ()
    summary: str = ""


class Growth(Protocol):
    """Decides which trials come after those of the plan.

    A pure function of plan and records that looks at final trials only. So neither the order in
    which trials end nor interruptions change what it says, and several runs agree.
    """

    def __call__(self, plan: Plan, records: Records) -> Round:
        """The next round. `records` has every trial that belongs, those not planned too."""
        ...


KINDS: list[Callable[[Plan], Growth | None]] = []
"""By what experiments can grow: each is None for plans that do not grow by it."""


def growth_of(plan: Plan) -> Growth | None:
    """By what the plan's experiment grows; None where its trials are all known."""
    return next((found for kind in KINDS if (found := kind(plan)) is not None), None)


def grown(plan: Plan, growth: Growth, store: Store) -> tuple[Plan, Round]:
    """The plan with the trials that its records ask for by now, and the last round asked for.

    Raises:
        StoreError: the records cannot be read.
    """
    while True:
        records = load(store, plan.experiment, plan.record())
        found = growth(plan, records)
        if not found.trials:
            return plan, found
        plan = plan.grown(found.trials)
        runs = records.runs
        final = set(runs["id"][runs["status"].isin([str(status) for status in FINAL])])
        if not final.issuperset(trial.id for trial in found.trials):
            return plan, found
