"""plan.json against the trials' own records: where they differ, the trials are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.plan.recorded import fits_name, is_imported
from bench.record.directions import declared_directions, known_direction

Plan = Mapping[str, Any]
Configs = Mapping[str, Mapping[str, Any]]


def correct_plan(
    plan: Plan, configs: Configs
) -> tuple[dict[str, Any], list[tuple[str, str]], tuple[str, ...]]:
    """The plan as the trials' own config.yaml files confirm it.

    Args:
        plan: in the form of plan.json.
        configs: by id, those that are the trials' that they are said to be.

    Returns:
        The plan; the trials in it that cannot be, each with the reason; and what was corrected, a
        sentence each.
    """
    trials, impossible, edited = _trials(plan, configs)
    own = [config for t in trials if (config := configs.get(t["id"])) and not is_imported(config)]
    found = {**plan, "trials": trials, "axes": _levels(plan, trials)}
    sentences = []
    if edited:
        sentences.append(
            f"plan.json gave {len(edited)} trials other labels or seeds than their own config.yaml "
            f"has, which are used here (the first: {edited[0]})"
        )
    declared = declared_directions(own)
    metrics = {
        name: declared.get(name) or known_direction(name) or mode
        for name, mode in plan["metrics"].items()
    }
    for key, right in (*_of_trials(own, found["axes"]), ("metrics", metrics)):
        if plan[key] != right:
            found[key] = right
            sentences.append(
                f"plan.json had another {key} than its trials were trained with, which is used here"
            )
    return found, impossible, tuple(sentences)


def _trials(
    plan: Plan, configs: Configs
) -> tuple[list[dict[str, Any]], list[tuple[str, str]], list[str]]:
    """Those that can be, those that cannot and why, and the ids of those that were corrected."""
    kept: list[dict[str, Any]] = []
    impossible: list[tuple[str, str]] = []
    edited: list[str] = []
    for trial in {trial["id"]: trial for trial in plan["trials"]}.values():  # each id once
        own = configs.get(trial["id"])
        if own is not None and set(own["axes"]) in (set(trial["axes"]), set(plan["axes"])):
            labels = {axis: str(label) for axis, label in trial["axes"].items()}
            planned = (trial["seed"], trial.get("fold"), labels, trial["arm"])
            if planned != (own["seed"], own.get("fold"), own["axes"], own["arm"]):
                edited.append(trial["id"])
            known = {key: own[key] for key in ("seed", "axes", "arm", "common")}
            kept.append({**trial, **known, "fold": own.get("fold")})
        elif fits_name(trial["id"], trial["axes"], trial["seed"], trial.get("fold")):
            kept.append(dict(trial))
        else:
            reason = "plan.json gives it other labels or another seed than its id has"
            impossible.append((trial["id"], reason))
    return kept, impossible, edited


def _levels(plan: Plan, trials: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The levels of every axis that a planned trial has, in the plan's order."""
    used: dict[str, dict[str, None]] = {}
    for trial in trials:
        for axis, label in trial["axes"].items():
            used.setdefault(axis, {})[str(label)] = None
    order = {axis: list(map(str, plan["axes"].get(axis, ()))) for axis in (*plan["axes"], *used)}
    return {
        axis: [label for label in dict.fromkeys((*order[axis], *used[axis])) if label in used[axis]]
        for axis in order
        if axis in used
    }


def _of_trials(own: Sequence[Mapping[str, Any]], axes: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What a plan has in common with each of its trials, read off the first that has a record."""
    if not own:
        return []
    settings = own[0].get("settings") or {}
    known = {
        "task": (settings.get("task") or {}).get("name"),
        "select": settings.get("select"),
        "common": own[0].get("common") if set(own[0]["axes"]) == set(axes) else None,
    }
    return [(key, value) for key, value in known.items() if value]
