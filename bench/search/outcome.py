"""What a study says in the end, as plain data for files: search.json and best.yaml."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial

from bench.masking import masked_url
from bench.plan.objectives import Objective
from bench.plan.space import Space, Value
from bench.plan.trial import Trial
from bench.search import selection
from bench.search.importance import importances
from bench.search.points import FACTS, FIGURES, MESSAGE, REUSED, TRIALS, PointState, state_of
from bench.search.pruning import curve_of
from bench.search.study import OWNER
from bench.spec import yaml12

_LONGEST_NAME = 64


@dataclass(frozen=True)
class Confirmation:
    """A chosen point, trained again with fresh seeds.

    Attributes:
        number: of the point.
        trials: one for each seed.
        figures: by seed, of those that are done: the objectives and the test split's.
    """

    number: int
    trials: tuple[Trial, ...]
    figures: Mapping[int, Mapping[str, float]]

    def record(self, searched: Mapping[str, float]) -> dict[str, Any]:
        """What the search found for the point, next to what fresh seeds give."""
        return {
            "number": self.number,
            "ids": [trial.id for trial in self.trials],
            "seeds": [trial.seed for trial in self.trials],
            "searched": dict(searched),
            "confirmed": {str(seed): dict(found) for seed, found in self.figures.items()},
        }


def record(
    space: Space,
    objectives: Sequence[Objective],
    storage: str,
    trials: Sequence[FrozenTrial],
    chosen: Sequence[int],
    confirmations: Sequence[Confirmation],
    *,
    over: bool,
) -> dict[str, Any]:
    """The content of search.json: all that a report needs, without Optuna."""
    search = space.search
    by_number = {trial.number: trial for trial in trials}
    return {
        "study": space.spec.experiment,
        "storage": masked_url(storage),
        "over": over,
        "objectives": [
            {"metric": objective.metric, "direction": objective.mode} for objective in objectives
        ],
        "sampler": search.sampler.model_dump(),
        "pruner": search.pruner.model_dump(),
        "trials_wanted": search.trials,
        "constraints": list(search.constraints),
        "seeds": list(search.seeds),
        "confirm_seeds": list(search.confirm_seeds),
        "space": space.record(),
        "trials": [_trial(trial, objectives) for trial in trials],
        "front": [trial.number for trial in selection.pareto_front(trials, objectives)],
        "chosen": list(chosen),
        "confirmations": [
            confirmed.record(_values(by_number[confirmed.number], objectives))
            for confirmed in confirmations
        ],
        "importances": (
            {objective.metric: importances(trials, i) for i, objective in enumerate(objectives)}
            if over
            else {}
        ),
    }


def _trial(trial: FrozenTrial, objectives: Sequence[Objective]) -> dict[str, Any]:
    known = trial.user_attrs
    state = state_of(trial)
    curve = trial.intermediate_values or curve_of(known)
    facts: list[dict[str, Any]] = known.get(FACTS, [])
    seconds = [fact["train_seconds"] for fact in facts if fact.get("train_seconds") is not None]
    owner = known.get(OWNER) or {}
    return {
        "number": trial.number,
        "state": str(state),
        "params": dict(trial.params),
        "values": _values(trial, objectives) if state is PointState.COMPLETE else None,
        "intermediate": {str(step): value for step, value in sorted(curve.items())},
        "ids": known.get(TRIALS, []),
        "figures": known.get(FIGURES, []),
        "facts": facts,
        "constraints": dict(trial.constraints),
        "message": known.get(MESSAGE),
        "reused": known.get(REUSED),
        "train_seconds": sum(seconds) if seconds else None,
        "seconds": trial.duration.total_seconds() if trial.duration is not None else None,
        "started": _time(trial.datetime_start),
        "ended": _time(trial.datetime_complete),
        "host": owner.get("host"),
    }


def _values(trial: FrozenTrial, objectives: Sequence[Objective]) -> dict[str, float]:
    return {
        objective.metric: value for objective, value in zip(objectives, trial.values, strict=True)
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def best_spec(space: Space, point: Mapping[str, Value], threads: int | None) -> str:
    """A spec whose trials are those of the point, ids included, in an experiment of its own."""
    tree = copy.deepcopy(space.spec.document.tree)
    del tree["search"]
    name = space.spec.experiment
    tree["experiment"] = f"{name[: _LONGEST_NAME - len('_best')]}_best"
    by_name = {dimension.name: dimension for dimension in space.dimensions}
    grid: dict[str, Any] = {}
    for key in space.names:
        if key in point:
            value, levels = point[key], by_name[key].levels
            grid[key] = {str(value): levels[str(value)].value} if levels else [value]
    tree["grid"] = grid
    tree["seeds"] = list(space.search.seeds)
    if threads is not None:
        tree["machine"] = {**(tree.get("machine") or {}), "threads": threads}
    return yaml12.dump(tree)
