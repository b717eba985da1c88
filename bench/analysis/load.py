"""From the files of an experiment to two tables: a row per trial and a row per epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    read = _read_trials(store, experiment, plan or store.plan(experiment))
    plan, path = read.plan, store.plan_path(experiment)
    select = SelectedMetric(curve_metric(plan["select"]["metric"]), plan["select"]["mode"])
    axes, metrics = _axes(plan["axes"], read.members), _metrics(plan, read.members, select)
    hypotheses, reader = _hypotheses(plan, path), ScoreReader()
    read.add_figures(select, metrics, hypotheses, reader)
    rows = [read.row(experiment, member) for member in read.members]
    data, unread = data_of(store, experiment, {member["id"] for member in read.members})
    others = (*read.refused.items(), *store.strangers(experiment).items())
    records = Records(
        experiment=experiment,
        task=str(plan["task"]),
        spec=plan["spec"],
        notes=(*plan.get("notes", ()), *unread),
        stopped=plan.get("stopped", ""),
        cautions=(*plan.get("cautions", ()), *read.cautions, *_edited_hypotheses(plan)),
        axes=axes,
        metrics=metrics,
        select=select,
        incomparable=_incomparable(plan.get("incomparable", {}), axes),
        closing=tuple(task_columns(read.summaries.values())),
        runs=typed(pd.DataFrame(rows, columns=_columns(axes, metrics, read.summaries, rows))),
        history=history_frame(read.histories, metrics),
        left_out=tuple(sorted({*read.left_out, *map(LeftOut._make, others)})),
        folders={
            m["id"]: read.files[m["id"]].folder for m in read.members if m["id"] in read.found
        },
        hypotheses=hypotheses,
        findings=read.findings,
        origins=origins(read.members),
        data=data,
        planned=read.planned,
        scoring=plan.get("scoring"),
        design=_design(plan, path),
        over=_over(plan, path),
        repeats=repeats_in(plan, path),
        folds=_folds(read.members, plan),
        reported=_reported(store.looks(experiment), planned="repeats" in plan),
        scores=reader,
    )
    return records if _edited_hypotheses(plan) else with_path(records)


@dataclass
class _Trials:
    """What is recorded of the trials that belong to a plan.

    Attributes:
        plan: as given, or read off the trials themselves.
        planned: the ids of its trials.
        members: the configurations of those that belong: a row of runs.csv each.
        files: of all recorded trials, by id.
        found, histories: what could be confirmed of them.
        refused: why of others nothing is counted.
        problems: what is wrong with a trial, in words, by id.
        left_out, cautions: of `find_members`.
        summaries: the figures by trial, with those that are computed here.
    """

    plan: dict[str, Any]
    planned: frozenset[str]
    members: list[dict[str, Any]]
    files: dict[str, TrialFiles]
    found: dict[str, Confirmed]
    histories: dict[str, Curves]
    refused: dict[str, str]
    problems: dict[str, str]
    left_out: Sequence[LeftOut]
    cautions: Sequence[str]
    summaries: dict[str, dict[str, Any]]
    findings: dict[str, list[health.HealthFinding]]

    def add_figures(
        self,
        select: SelectedMetric,
        metrics: Mapping[str, Mode],
        hypotheses: Sequence[Hypothesis],
        reader: ScoreReader,
    ) -> None:
        """Add to the summaries what follows from histories and scores of single images."""
        logged = {name: record.history for name, record in self.found.items()}
        of_done = {name: self.histories[name] for name in self.summaries}
        usual, finished = (
            usual_figures(select.metric, hypotheses),
            _finished(self.found, self.files),
        )
        more = [
            resummarised(self.members, logged, val_curve(select.metric), metrics),
            last_ten_figures(of_done, metrics),
            cross_fitted_figures(reader, finished, select.metric, select.mode, usual),
        ]
        for name, figures in (each for of_all in more for each in of_all.items()):
            self.summaries[name] = {**self.summaries.get(name, {}), **figures}

    def row(self, experiment: str, member: Mapping[str, Any]) -> dict[str, Any]:
        """One trial's row of runs.csv."""
        record = self.found.get(member["id"])
        status = None if record is None else record.status
        return _row(experiment, member, status, self.summaries, self.problems)


def _read_trials(store: Store, experiment: str, plan: dict[str, Any] | None) -> _Trials:
    """Find the trials that belong to a plan, and read what can be confirmed of them."""
    files = {trial.id: trial for trial in store.trials(experiment)}
    if plan is None and not files:
        store.existing(experiment)
    belong = find_members(plan, files)
    found, histories, refused = _confirmed(belong.members, files, belong.plan)
    # a planned trial has a row in any case, if only to say why nothing of it is counted
    planned = frozenset(trial["id"] for trial in (belong.plan or {}).get("trials", ()))
    members = [m for m in belong.members if m["id"] not in refused or m["id"] in planned]
    summaries = {name: record.summary for name, record in found.items()}
    problems: dict[str, str] = dict(belong.left_out) | refused
    findings = _findings(summaries, problems)
    return _Trials(
        belong.plan or _plan_of(members, histories), planned, members, files, found, histories,
        refused, problems, belong.left_out, belong.cautions, summaries, findings,
    )  # fmt: skip


def _metrics(
    plan: Mapping[str, Any], members: Sequence[dict[str, Any]], select: SelectedMetric
) -> dict[str, Mode]:
    """The plan's, then those of histories logged elsewhere, and the one that selects."""
    metrics: dict[str, Mode] = {**plan["metrics"]}
    imported = imported_metrics([*members])
    metrics |= {name: mode for name, mode in imported.items() if name not in metrics}
    metrics.setdefault(select.metric, select.mode)
    return metrics


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
