"""From the files of an experiment to two tables: a row per trial and a row per epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from bench import health
from bench.analysis.data_sets import data_of
from bench.analysis.epoch_figures import cross_fitted_figures, last_ten_figures
from bench.analysis.frames import (
    Curves,
    check_kinds,
    curves_of,
    history_frame,
    runs_columns,
    task_columns,
    typed,
)
from bench.analysis.image_scores import usual_figures
from bench.analysis.imported_trials import imported_metrics, imported_select, origins, resummarised
from bench.analysis.membership import LeftOut, find_members
from bench.analysis.path import with_path
from bench.analysis.records import Folds, Records, SelectedMetric
from bench.analysis.score_reader import ScoreReader
from bench.errors import StoreError, UnconfirmedError, printable
from bench.metric_columns import MetricKind, curve_metric, val_curve
from bench.plan.design import Design
from bench.plan.plan import claims_digest
from bench.plan.recorded import is_imported
from bench.record.columns import Status
from bench.record.confirm import Confirmed, confirmed
from bench.record.directions import Mode, default_metric, direction
from bench.record.files import damaged
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.spec.hypotheses import Hypothesis, Over, StatisticsSettings
from bench.spec.repeats import RepeatPlan
from bench.states import BENCH_SOURCE
from bench.tasks.settings import SUPPORT


def load(store: Store, experiment: str, plan: dict[str, Any] | None = None) -> Records:
    """Read the records of an experiment as the latest plan sees them.

    Args:
        store: where the records are.
        experiment: a name that the store has.
        plan: in the form of plan.json; default: the one recorded. Without any, all trials belong.

    Raises:
        StoreError: there is no such experiment, or its plan cannot be read.
    """
    plan = plan or store.plan(experiment)
    files = {trial.id: trial for trial in store.trials(experiment)}
    if plan is None and not files:
        store.existing(experiment)
    belong = find_members(plan, files)
    members, plan = belong.members, belong.plan
    found, histories, refused = _confirmed(members, files, plan)
    # a planned trial has a row in any case, if only to say why nothing of it is counted
    planned = frozenset(trial["id"] for trial in (plan or {}).get("trials", ()))
    members = [m for m in members if m["id"] not in refused or m["id"] in planned]
    logged = {name: record.history for name, record in found.items()}
    summaries = {name: record.summary for name, record in found.items()}
    problems: dict[str, str] = dict(belong.left_out) | refused
    findings = _findings(summaries, problems)
    plan = plan or _plan_of(members, histories)
    others = (*refused.items(), *store.strangers(experiment).items())
    data, unread = data_of(store, experiment, {member["id"] for member in members})
    select = SelectedMetric(curve_metric(plan["select"]["metric"]), plan["select"]["mode"])
    axes, metrics = _axes(plan["axes"], members), {**plan["metrics"]}
    metrics = metrics | {k: v for k, v in imported_metrics(members).items() if k not in metrics}
    metrics.setdefault(select.metric, select.mode)
    chosen_by = val_curve(select.metric)
    hypotheses, reader = _hypotheses(plan, store.plan_path(experiment)), ScoreReader()
    usual = usual_figures(select.metric, hypotheses)
    more = [
        resummarised(members, logged, chosen_by, metrics),
        last_ten_figures({name: histories[name] for name in summaries}, metrics),
        cross_fitted_figures(reader, _finished(found, files), select.metric, select.mode, usual),
    ]
    for name, figures in (each for of_all in more for each in of_all.items()):
        summaries[name] = {**summaries.get(name, {}), **figures}
    statuses = {name: record.status for name, record in found.items()}
    rows = [
        _row(experiment, member, statuses.get(member["id"]), summaries, problems)
        for member in members
    ]
    records = Records(
        experiment=experiment,
        task=str(plan["task"]),
        spec=plan["spec"],
        notes=(*plan.get("notes", ()), *unread),
        cautions=(*plan.get("cautions", ()), *belong.cautions, *_edited_hypotheses(plan)),
        axes=axes,
        metrics=metrics,
        select=select,
        incomparable=_incomparable(plan.get("incomparable", {}), axes),
        closing=tuple(task_columns(summaries.values())),
        runs=typed(pd.DataFrame(rows, columns=_columns(axes, metrics, summaries, rows))),
        history=history_frame(histories, metrics),
        left_out=tuple(sorted({*belong.left_out, *map(LeftOut._make, others)})),
        folders={m["id"]: files[m["id"]].folder for m in members if m["id"] in found},
        hypotheses=hypotheses,
        findings=findings,
        origins=origins(members),
        data=data,
        planned=planned,
        scoring=plan.get("scoring"),
        design=_design(plan, store.plan_path(experiment)),
        over=_over(plan, store.plan_path(experiment)),
        repeats=repeats_in(plan, store.plan_path(experiment)),
        folds=_folds(members, plan),
        reported=_reported(store.looks(experiment), planned="repeats" in plan),
        scores=reader,
    )
    return records if _edited_hypotheses(plan) else with_path(records)


def _finished(
    found: Mapping[str, Confirmed], files: Mapping[str, TrialFiles]
) -> dict[str, TrialFiles]:
    return {name: files[name] for name, one in found.items() if one.status.status == Status.DONE}


def _columns(
    axes: Mapping[str, list[str]],
    metrics: Mapping[str, Mode],
    summaries: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
) -> list[str]:
    """The columns of runs.csv; `fold` where some trial is of one."""
    found = runs_columns(axes, metrics, summaries.values())
    if any("fold" in row for row in rows):
        found.insert(found.index("seed") + 1, "fold")
    return found


def _folds(members: Sequence[Mapping[str, Any]], plan: Mapping[str, Any]) -> Folds | None:
    """Of cross-validation, as the trials' own settings say, or the plan where none has begun."""
    count = max((m["fold"] + 1 for m in members if m.get("fold") is not None), default=0)
    if not count:
        return None
    settings = [(m.get("settings") or {}).get("data") or {} for m in members]
    known = [data["folds"] for data in settings if data.get("folds")]
    found = known[0] if known else plan.get("folds") or {}
    return Folds(max(count, int(found.get("k", 0))), bool(found.get("repartition", False)))


def _plan_of(members: list[dict[str, Any]], histories: Mapping[str, Curves]) -> dict[str, Any]:
    """What a plan would say, read off the trials themselves."""
    settings: dict[str, Any] = next((m["settings"] for m in members if m.get("settings")), {})
    names = {
        curve_metric(key): None
        for curves in histories.values()
        for key in curves
        if key.startswith(MetricKind.CURVE) and curve_metric(key) not in SUPPORT
    }
    recorded = imported_metrics(members)
    metrics: dict[str, Mode] = {
        name: recorded.get(name) or direction(name)
        for name in sorted(names, key=lambda n: n != "loss")
    }
    best = default_metric(metrics)
    default = {"metric": val_curve(best), "mode": metrics.get(best, "min")}
    return {
        "task": (settings.get("task") or {}).get("name", ""),
        "spec": None,
        "axes": {},
        "metrics": metrics,
        "select": settings.get("select") or imported_select(members) or default,
    }


def _edited_hypotheses(plan: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence where what is tested is not what was planned; none in older records."""
    known = (None, claims_digest(plan), claims_digest(plan, with_design=False))
    if plan.get("hypotheses_digest") in known:
        return ()
    return (
        "the hypotheses, looks or design in plan.json were changed after they were planned, or "
        "what they generalise over, and no hypothesis is tested: `bench report SPEC` tests those "
        "of a spec",
    )


def _hypotheses(plan: Mapping[str, Any], path: Path) -> tuple[Hypothesis, ...]:
    if _edited_hypotheses(plan):
        return ()
    try:
        return tuple(map(Hypothesis.model_validate, plan.get("hypotheses", ())))
    except ValidationError as error:
        reason = f"its hypotheses: {error.errors()[0]['msg']}"
        raise damaged(path, reason) from error


def _over(plan: Mapping[str, Any], path: Path) -> Over | None:
    """What the planned spec wants all verdicts to generalise over."""
    recorded = {} if _edited_hypotheses(plan) else plan.get("statistics") or {}
    try:
        return StatisticsSettings.model_validate(recorded).over
    except ValidationError as error:
        raise damaged(path, f"its statistics: {error.errors()[0]['msg']}") from error


def _design(plan: Mapping[str, Any], path: Path) -> Design | None:
    """The ablation design that was planned."""
    record = plan.get("design")
    try:
        return None if record is None else Design.of(record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, f"its design: {error!r}") from error


def _reported(looks: Mapping[str, Any], *, planned: bool) -> tuple[dict[str, int], ...]:
    """On how many seeds reports have tested what; what is no such thing is left out.

    So have looks, which cost nothing only where they are `planned`.
    """
    reports, taken = looks.get("reports"), looks.get("taken")
    known = [*reports] if isinstance(reports, list) else []
    for look in taken if isinstance(taken, list) and not planned else ():
        if isinstance(look, dict) and isinstance(look.get("hypotheses"), dict):
            known.append(dict.fromkeys(look["hypotheses"], look.get("seeds")))
    return tuple(
        {str(name): n for name, n in report.items() if type(n) is int}
        for report in known
        if isinstance(report, dict)
    )


def repeats_in(plan: Mapping[str, Any], path: Path) -> RepeatPlan | None:
    """How the recorded plan's seeds are added until all is settled; None where they are fixed.

    Raises:
        DamagedError: it cannot be read; `path` is the plan's.
    """
    if "repeats" not in plan:
        return None
    try:
        return RepeatPlan.model_validate(plan["repeats"])
    except ValidationError as error:
        raise damaged(path, f"its repeats: {error.errors()[0]['msg']}") from error


def _axes(planned: Mapping[str, list[str]], members: list[dict[str, Any]]) -> dict[str, list[str]]:
    """The levels in the plan's order, then those that only earlier trials have."""
    axes = {axis: dict.fromkeys(map(str, levels)) for axis, levels in planned.items()}
    for member in members:
        for axis, label in member["axes"].items():
            axes.setdefault(axis, {}).setdefault(str(label))
    return {axis: list(levels) for axis, levels in axes.items()}


def _incomparable(
    planned: Mapping[str, list[str]], axes: Mapping[str, list[str]]
) -> dict[str, tuple[str, ...]]:
    """What of the plan's still holds: axes of one level keep no arms apart."""
    found = {m: tuple(a for a in names if len(axes.get(a, ())) > 1) for m, names in planned.items()}
    return {metric: names for metric, names in found.items() if names}


def _confirmed(
    members: Sequence[Mapping[str, Any]],
    files: Mapping[str, TrialFiles],
    plan: Mapping[str, Any] | None,
) -> tuple[dict[str, Confirmed], dict[str, Curves], dict[str, str]]:
    """What is recorded of the members that have a record; and why that of some is not counted.

    Histories are apart, as arrays: of thousands of trials the rows would fill the memory. Only
    those that were logged elsewhere keep theirs.
    """
    found: dict[str, Confirmed] = {}
    histories: dict[str, Curves] = {}
    refused: dict[str, str] = {}
    metrics = plan["metrics"] if plan is not None else {}
    for member in members:
        trial = files.get(member["id"])
        if trial is None or "settings" not in member:
            continue
        try:
            record = confirmed(trial, member, metrics)
            check_kinds(record.summary, trial)
        except UnconfirmedError as error:
            refused[trial.id] = error.reason
        except StoreError as error:
            refused[trial.id] = str(error)
        else:
            histories[trial.id] = curves_of(record.history)
            found[trial.id] = record if is_imported(member) else replace(record, history=[])
    return found, histories, refused


def _findings(
    summaries: Mapping[str, Mapping[str, Any]], problems: dict[str, str]
) -> dict[str, list[health.HealthFinding]]:
    """What was found wrong with each trial that was looked at."""
    found = {}
    for trial, summary in summaries.items():
        try:
            findings = health.read(summary)
        except ValueError as error:
            problems.setdefault(trial, f"health: {error}")
            continue
        if findings is not None:
            found[trial] = findings
    return found


def _row(
    experiment: str,
    member: Mapping[str, Any],
    status: TrialStatus | None,
    summaries: Mapping[str, Mapping[str, Any]],
    problems: Mapping[str, str],
) -> dict[str, Any]:
    """One trial's row of runs.csv; an unreadable file is named where the message stands."""
    status = status or TrialStatus(Status.PLANNED)
    messages = [text for text in (status.message, problems.get(member["id"])) if text]
    return {
        **summaries.get(member["id"], {}),
        "id": member["id"],
        "experiment": experiment,
        "status": str(status.status),
        "failure": str(status.failure) if status.failure else None,
        "message": printable("; ".join(messages)) or None,
        "source": member.get("source") or BENCH_SOURCE,  # status.json is not in the identity
        "seed": member["seed"],
        **({} if member.get("fold") is None else {"fold": member["fold"]}),
        **{f"axis.{axis}": str(label) for axis, label in member["axes"].items()},
    }
