"""Which points a search chooses in the end."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from bench.plan.objectives import Objective


def completed_points(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those with values, each point once, by number."""
    found: dict[tuple[tuple[str, object], ...], FrozenTrial] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            found.setdefault(tuple(sorted(trial.params.items())), trial)
    return list(found.values())


def pareto_front(
    trials: Sequence[FrozenTrial], objectives: Sequence[Objective]
) -> list[FrozenTrial]:
    """The points that no other one beats in every objective, best by the first objective first."""
    known = completed_points(trials)
    members = [
        one for one in known if not any(_dominates(other, one, objectives) for other in known)
    ]
    sign = -1 if objectives[0].mode == "max" else 1
    return sorted(members, key=lambda trial: (sign * trial.values[0], trial.number))


def choose_points(
    trials: Sequence[FrozenTrial], objectives: Sequence[Objective], limit: int
) -> list[FrozenTrial]:
    """At most so many: the best by one objective, or members of the front from end to end."""
    if len(objectives) == 1:
        sign = -1 if objectives[0].mode == "max" else 1
        ordered = sorted(
            completed_points(trials), key=lambda trial: (sign * trial.values[0], trial.number)
        )
        return ordered[:limit]
    members = pareto_front(trials, objectives)
    if len(members) <= limit:
        return members
    if limit == 1:
        return members[:1]
    indices = [round(k * (len(members) - 1) / (limit - 1)) for k in range(limit)]
    return [members[index] for index in indices]


def _dominates(a: FrozenTrial, b: FrozenTrial, objectives: Sequence[Objective]) -> bool:
    pairs = list(zip(objectives, a.values, b.values, strict=True))
    never_worse = not any(objective.better(theirs, ours) for objective, ours, theirs in pairs)
    return never_worse and any(objective.better(ours, theirs) for objective, ours, theirs in pairs)
