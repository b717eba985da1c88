"""A round of an ablation path, as the records decide it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class StepState(StrEnum):
    """Where a step stands whose candidates get seeds until the best of them is settled."""

    OPEN = "open"
    SETTLED = "settled"
    """All other candidates are significantly worse than one that is left, or failed."""
    FUTILE = "futile"
    """Several are left, and more seeds will hardly tell them apart."""
    LAST_LOOK = "not settled"
    """Several are left after the last look."""
    BUDGET = "budget used up"
    """Several are left, and no further seeds may be begun."""


@dataclass(frozen=True)
class PathRound:
    """One round.

    Attributes:
        candidates: by component, the mean score with it; NaN where trials of it failed.
        taken: the best; None where trials have not ended, or all candidates have failed ones.
        is_final: whether all its trials have ended.
        seeds: by configuration, how many seeds of a candidate the round rests on or waits for;
            empty where seeds are fixed.
        looks: how many looks it has taken; 0 where seeds are fixed.
        state: where its race stands; None where seeds are fixed.
        left: components that are not beaten; of a step that is not settled any may be the best.
    """

    candidates: Mapping[str, float]
    taken: str | None
    is_final: bool
    seeds: Mapping[str, int] = field(default_factory=dict)
    looks: int = 0
    state: StepState | None = None
    left: tuple[str, ...] = ()

    @property
    def is_unsettled(self) -> bool:
        """Whether what it took is the best so far, and no more."""
        return self.taken is not None and self.state not in (None, StepState.SETTLED)

    def record(self) -> dict[str, Any]:
        """As looks.json has it."""
        return {
            "taken": self.taken,
            "state": None if self.state is None else str(self.state),
            "looks": self.looks,
            "seeds": dict(self.seeds),
            "means": {c: None if mean != mean else mean for c, mean in self.candidates.items()},
            "left": list(self.left),
        }


def seeds_of_path(rounds: Iterable[PathRound]) -> dict[str, int]:
    """By configuration, the seeds that the rounds rest on or wait for; the most of each."""
    found: dict[str, int] = {}
    for one in rounds:
        for label, n in one.seeds.items():
            found[label] = max(n, found.get(label, 0))
    return found
