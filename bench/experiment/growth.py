"""Experiments that grow: what is recorded of their trials decides which come next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

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
        log: what looks.json keeps of it: under `taken` a mapping for each look, of `seeds` and
            `hypotheses` by id (`state`, `claim`, `p`, …); None: nothing.
    """

    trials: tuple[Trial, ...] = ()
    lines: tuple[str, ...] = ()
    summary: str = ""
    log: Mapping[str, Any] | None = None


class Growth(Protocol):
    """Decides which trials come after those of the plan.

    A pure function of plan and records that looks at final trials only. So neither the order in
    which trials end nor interruptions change what it says, and several runs agree.
    """

    def __call__(self, plan: Plan, records: Records) -> Round:
        """The next round. `records` has every trial that belongs, those not planned too."""
        ...


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
