"""Which of the recorded trials belong to the latest plan's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.analysis.imported_trials import in_file_order
from bench.analysis.plan_check import correct_plan
from bench.errors import StoreError, UnconfirmedError
from bench.plan.recorded import is_imported
from bench.record.confirm import checked_config
from bench.record.store import TrialFiles
from bench.states import BENCH_SOURCE

Labels = tuple[tuple[str, str], ...]


class Membership(NamedTuple):
    """What belongs to a report.

    Attributes:
        plan: the plan as the trials' own records confirm it; None where there is none.
        members: the trials, as dicts with at least id, seed and axes.
        left_out: the others.
        cautions: what of the plan was corrected, a sentence each.
    """

    plan: dict[str, Any] | None
    members: list[dict[str, Any]]
    left_out: tuple[LeftOut, ...]
    cautions: tuple[str, ...] = ()


class LeftOut(NamedTuple):
    """A recorded trial that the report does not count, and why."""

    id: str
    reason: str


def find_members(plan: Mapping[str, Any] | None, files: Mapping[str, TrialFiles]) -> Membership:
    """The trials of a report, and those left out.

    Planned trials come first, in the plan's order. A folder that is not of the trial that it is
    called after is left out. A trial that is not planned belongs when it shares the plan's `common`
    settings and axes, unless its labels stand for other settings now (another `arm` hash). Where
    labels that the plan does not have stand for several settings, the latest updated stay. Without
    a plan all trials belong.
    """
    configs, left_out = _configs(files)
    if plan is None:
        members = in_file_order(configs.values())
        return Membership(None, members, tuple(sorted(left_out)))
    found, impossible, cautions = correct_plan(plan, configs)
    planned: list[dict[str, Any]] = [{**configs.get(t["id"], {}), **t} for t in found["trials"]]
    ids = {trial["id"] for trial in (*planned, *plan["trials"])}
    others = [config for name, config in configs.items() if name not in ids]
    others, strangers = _same_settings(found, others)
    others, doubles = _one_arm_per_labels(planned, others, files)
    left_out += [*map(LeftOut._make, impossible), *strangers, *doubles]
    members = planned + in_file_order(others)
    return Membership(found, members, tuple(sorted(left_out)), cautions)


def _configs(
    files: Mapping[str, TrialFiles],
) -> tuple[dict[str, dict[str, Any]], list[LeftOut]]:
    """Every trial's config.yaml by id, where it is that trial's; and the others."""
    found: dict[str, dict[str, Any]] = {}
    left_out: list[LeftOut] = []
    for trial in files.values():
        try:
            config = checked_config(trial)
        except UnconfirmedError as error:
            left_out.append(LeftOut(trial.id, error.reason))
        except StoreError as error:
            left_out.append(LeftOut(trial.id, f"its config.yaml cannot be used: {error}"))
        else:
            axes = {axis: str(label) for axis, label in (config.get("axes") or {}).items()}
            found[trial.id] = {"seed": None, **config, "axes": axes}
    return found, left_out


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
    return (("", str(trial.get("source") or BENCH_SOURCE)), *labels)


def _updated(trial: TrialFiles) -> str:
    """When the trial's status last changed; ISO times sort as text."""
    try:
        return trial.status().updated or ""
    except StoreError:
        return ""
