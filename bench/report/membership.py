"""Which of the recorded trials belong to the latest plan's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.errors import StoreError
from bench.record.store import TrialFiles
from bench.report.imported import in_the_file_s_order, is_imported
from bench.states import OWN

Labels = tuple[tuple[str, str], ...]


class LeftOut(NamedTuple):
    """A recorded trial that the report does not count, and why."""

    id: str
    reason: str


def belonging(
    plan: Mapping[str, Any] | None, files: Mapping[str, TrialFiles]
) -> tuple[list[dict[str, Any]], tuple[LeftOut, ...]]:
    """The trials of a report, as dicts with at least id, seed and axes; and those left out.

    Planned trials come first, in the plan's order. A trial that is not planned belongs when it
    shares the plan's `common` settings and axes, unless its labels stand for other settings now
    (another `arm` hash). Where labels that the plan does not have stand for several settings, the
    latest updated stay. Without a plan all trials belong.
    """
    planned: list[dict[str, Any]] = list(plan["trials"]) if plan is not None else []
    ids = {trial["id"] for trial in planned}
    others: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    for trial in files.values():
        if trial.id in ids:
            continue
        try:
            config = trial.config()
            others.append({**config, "id": trial.id, "axes": config["axes"] or {}})
            others[-1].setdefault("seed", None)
        except (StoreError, KeyError) as error:
            left_out.append(LeftOut(trial.id, f"its config.yaml cannot be used: {error}"))
    if plan is not None:
        others, strangers = _same_settings(plan, others)
        others, doubles = _one_arm_per_labels(planned, others, files)
        left_out += [*strangers, *doubles]
    return planned + in_the_file_s_order(others), tuple(sorted(left_out))


def _same_settings(
    plan: Mapping[str, Any], others: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    """Those with the plan's axes and common settings, and the rest."""
    kept, left_out = [], []
    for trial in others:
        if is_imported(trial):
            kept.append(trial)
        elif set(trial["axes"]) != set(plan["axes"]):
            axes = ", ".join(trial["axes"]) or "none"
            left_out.append(LeftOut(trial["id"], f"other axes than the plan's: {axes}"))
        elif trial.get("common") != plan["common"]:
            left_out.append(LeftOut(trial["id"], "other settings than the latest plan's"))
        else:
            kept.append(trial)
    return kept, left_out


def _one_arm_per_labels(
    planned: list[dict[str, Any]], others: list[dict[str, Any]], files: Mapping[str, TrialFiles]
) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    """No two settings under one name: the plan's stay, else those updated last."""
    current: dict[Labels, str] = {_labels(trial): trial["arm"] for trial in planned}
    for trial in sorted(others, key=lambda trial: _updated(files[trial["id"]]), reverse=True):
        current.setdefault(_labels(trial), trial["arm"])
    kept, left_out = [], []
    for trial in others:
        if trial["arm"] == current[_labels(trial)]:
            kept.append(trial)
        else:
            name = ", ".join(map(str, trial["axes"].values())) or "the only arm"
            left_out.append(LeftOut(trial["id"], f"other settings under the same labels: {name}"))
    return kept, left_out


def _labels(trial: Mapping[str, Any]) -> Labels:
    """The source, then the labels by their axes' names."""
    labels = sorted((axis, str(label)) for axis, label in trial["axes"].items())
    return (("", str(trial.get("source") or OWN)), *labels)


def _updated(trial: TrialFiles) -> str:
    """When the trial's status last changed; ISO times sort as text."""
    try:
        return trial.status().updated or ""
    except StoreError:
        return ""
