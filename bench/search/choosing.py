"""Which points a search chooses in the end."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from bench.plan.objectives import Aim


def complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those with values, each point once, by number."""
    found: dict[tuple[tuple[str, object], ...], FrozenTrial] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            found.setdefault(tuple(sorted(trial.params.items())), trial)
    return list(found.values())


def front(trials: Sequence[FrozenTrial], aims: Sequence[Aim]) -> list[FrozenTrial]:
    """The points that no other one beats in every objective, best by the first objective first."""
    known = complete(trials)
    members = [one for one in known if not any(_dominates(other, one, aims) for other in known)]
    sign = -1 if aims[0].mode == "max" else 1
    return sorted(members, key=lambda trial: (sign * trial.values[0], trial.number))


def choose(trials: Sequence[FrozenTrial], aims: Sequence[Aim], most: int) -> list[FrozenTrial]:
    """At most so many: the best by one objective, or members of the front from end to end."""
    if len(aims) == 1:
        sign = -1 if aims[0].mode == "max" else 1
        ordered = sorted(complete(trials), key=lambda trial: (sign * trial.values[0], trial.number))
        return ordered[:most]
    members = front(trials, aims)
    if len(members) <= most:
        return members
    if most == 1:
        return members[:1]
    places = [round(k * (len(members) - 1) / (most - 1)) for k in range(most)]
    return [members[place] for place in places]


def _dominates(a: FrozenTrial, b: FrozenTrial, aims: Sequence[Aim]) -> bool:
    pairs = list(zip(aims, a.values, b.values, strict=True))
    never_worse = not any(aim.better(theirs, ours) for aim, ours, theirs in pairs)
    return never_worse and any(aim.better(ours, theirs) for aim, ours, theirs in pairs)
