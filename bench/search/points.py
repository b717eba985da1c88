"""A point of the space while it is being tried: drawing it, what is known of it, how it ended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from bench.plan.objectives import Objective
from bench.plan.space import Space, Value
from bench.plan.trial import Trial
from bench.spec.search import Choices, IntRange

TRIALS = "bench:trials"
FIGURES = "bench:figures"
FACTS = "bench:facts"
MESSAGE = "bench:message"
REUSED = "bench:reused"
INFEASIBLE = "bench:infeasible"
_RECORDED_FACTS = ("threads", "device", "best_epoch", "epochs", "train_seconds")


class PointState(StrEnum):
    """How far a point is."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    INFEASIBLE = "infeasible"
    FAILED = "failed"


def state_of(trial: FrozenTrial) -> PointState:
    """How far the point of an Optuna trial is."""
    if trial.user_attrs.get(INFEASIBLE):
        return PointState.INFEASIBLE
    return {
        TrialState.WAITING: PointState.WAITING,
        TrialState.RUNNING: PointState.RUNNING,
        TrialState.COMPLETE: PointState.COMPLETE,
        TrialState.PRUNED: PointState.PRUNED,
        TrialState.FAIL: PointState.FAILED,
    }[trial.state]


def point_of(trial: FrozenTrial) -> dict[str, Value]:
    """The point that an Optuna trial stands for."""
    return dict(trial.params)


def draw_point(space: Space, trial: optuna.Trial) -> dict[str, Value]:
    """A value for each dimension that there is, from those before it on."""
    point: dict[str, Value] = {}
    for dimension in space.dimensions:
        if not space.is_active(dimension, point):
            continue
        name, kind = dimension.name, dimension.kind
        if isinstance(kind, Choices):
            point[name] = str(trial.suggest_categorical(name, list(dimension.levels)))
        elif isinstance(kind, IntRange):
            low, high = kind.bounds
            point[name] = trial.suggest_int(name, low, high, step=kind.step, log=kind.log)
        else:
            point[name] = trial.suggest_float(name, *kind.bounds, step=kind.step, log=kind.log)
    return point


@dataclass
class ActivePoint:
    """A point that this process tries.

    Attributes:
        handle: Optuna's trial.
        trials: one for each seed, in the order in which they are trained.
        figures: the objectives' values of those that are done.
        running: the id of the one that is being trained.
        judged: the last epoch of the first one that the pruning policy saw.
        so_far: what the curve came to until then.
        pruned: why it is to be ended.
    """

    handle: optuna.Trial
    trials: tuple[Trial, ...]
    figures: list[dict[str, float]] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)
    running: str | None = None
    judged_epoch: int = 0
    so_far: float | None = None
    pruned: str | None = None

    @property
    def number(self) -> int:
        """Of the point in the study."""
        return self.handle.number

    @property
    def next(self) -> Trial:
        """The one that comes next, or is running."""
        return self.trials[len(self.figures)]

    @property
    def complete(self) -> bool:
        """Whether every seed is done."""
        return len(self.figures) == len(self.trials)

    def values(self, objectives: Sequence[Objective]) -> list[float]:
        """The objectives: means over the seeds."""
        return [
            statistics.fmean(found[objective.metric] for found in self.figures)
            for objective in objectives
        ]

    def add(self, summary: Mapping[str, Any], objectives: Sequence[Objective]) -> str | None:
        """Note what the running seed came to; else why it is nothing: an objective is missing."""
        # NaN is neither better nor worse, and infinity beats everything
        missing = [
            objective.metric
            for objective in objectives
            if not isinstance(value := summary.get(objective.metric), int | float)
            or not math.isfinite(value)
        ]
        if missing:
            return f"{self.next.id} has no {', '.join(missing)}"
        self.figures.append(
            {objective.metric: float(summary[objective.metric]) for objective in objectives}
        )
        self.facts.append({name: summary.get(name) for name in _RECORDED_FACTS})
        self.handle.set_user_attr(FIGURES, self.figures)
        self.handle.set_user_attr(FACTS, self.facts)
        return None
