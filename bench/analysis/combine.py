"""Several experiments in one report: the experiment is an axis, and what differs comes first.

Trials of different experiments make pairs only where all experiments saw the same data in the same
splits; then a seed means the same there, too. Whatever else differs between their settings comes
first, because a difference between experiments is a difference between all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.analysis.frames import history_columns, runs_columns, typed
from bench.analysis.membership import LeftOut
from bench.analysis.records import Folds, Records
from bench.analysis.score_definitions import scores_sentence
from bench.analysis.setting_differences import setting_differences
from bench.errors import StoreError
from bench.plan.comparable import LOSS_DEFINING_SETTINGS
from bench.record.data_file import DataSetRecord
from bench.record.directions import Mode
from bench.states import BENCH_SOURCE

AXIS = "experiment"


def combine_experiments(parts: Sequence[Records], name: str) -> Records:
    """The records of several experiments as those of one, called `name`.

    Ids become `<experiment>/<id>`, as the store finds them. Hypotheses stay with their experiments,
    whose own reports test them: corrected over more of them they could come out otherwise here.

    Raises:
        StoreError: they have nothing to compare: different tasks, or metrics that contradict.
    """
    _refuse_strangers(parts)
    metrics, axes = _metrics(parts), _axes(parts)
    differences, why_incomparable = setting_differences(parts), _why_incomparable(parts)
    return Records(
        experiment=name,
        task=next((part.task for part in parts if part.task), ""),
        spec="\n".join(f"# {p.experiment}\n{p.spec}" for p in parts if p.spec) or None,
        notes=_naming_experiments(parts, "notes"),
        cautions=(
            *_naming_experiments(parts, "cautions"),
            *_cautions(parts, differences, why_incomparable),
        ),
        axes=axes,
        metrics=metrics,
        select=parts[0].select,
        incomparable=_incomparable(parts, metrics, differences),
        closing=tuple(dict.fromkeys(column for part in parts for column in part.closing)),
        runs=_runs(parts, axes, metrics),
        history=_history(parts, metrics),
        left_out=_left_out(parts),
        folders=_by_trial(parts, "folders"),
        findings=_by_trial(parts, "findings"),
        origins=tuple(origin for part in parts for origin in part.origins),
        combined_from=tuple(part.experiment for part in parts),
        uncompared_axes=(AXIS,) if why_incomparable else (),
        scoring=parts[0].scoring if _scored_alike(parts) else None,
        setting_differences=differences,
        planned=_planned(parts),
        data=_data(parts),
        folds=_folds(parts),
    )


def _metrics(parts: Sequence[Records]) -> dict[str, Mode]:
    """Of all parts, each with the direction that the first that has it gives."""
    found: dict[str, Mode] = {}
    for part in parts:
        found |= {name: mode for name, mode in part.metrics.items() if name not in found}
    return found


def _axes(parts: Sequence[Records]) -> dict[str, list[str]]:
    """The experiment, then every part's axes with all their levels."""
    axes = {AXIS: [part.experiment for part in parts]}
    for part in parts:
        for axis, levels in part.axes.items():
            axes[axis] = list(dict.fromkeys([*axes.get(axis, ()), *levels]))
    return axes


def _by_trial(parts: Sequence[Records], what: str) -> dict[str, Any]:
    """An attribute that has an entry for each trial, under the trials' names here."""
    return {
        f"{part.experiment}/{trial}": value
        for part in parts
        for trial, value in getattr(part, what).items()
    }


def _left_out(parts: Sequence[Records]) -> tuple[LeftOut, ...]:
    return tuple(
        LeftOut(f"{part.experiment}/{left.id}", left.reason)
        for part in parts
        for left in part.left_out
    )


def _planned(parts: Sequence[Records]) -> frozenset[str]:
    return frozenset(
        f"{part.experiment}/{name}" for part in parts for name in part.runs["id"][part.is_planned]
    )


def _data(parts: Sequence[Records]) -> tuple[DataSetRecord, ...]:
    """The data sets of all parts; one that several share stands there once."""
    users: dict[str, list[str]] = {}
    found: dict[str, DataSetRecord] = {}
    for part in parts:
        for entry in part.data:
            key = f"{entry.survey.fingerprint} {entry.target} {entry.label}"
            found.setdefault(key, entry)
            users.setdefault(key, []).append(part.experiment)
    if len(found) == 1:
        return tuple(found.values())
    return tuple(
        replace(entry, label=", ".join(filter(None, [", ".join(users[key]), entry.label])))
        for key, entry in found.items()
    )


def _refuse_strangers(parts: Sequence[Records]) -> None:
    tasks = list(dict.fromkeys(part.task for part in parts if part.task))
    if len(tasks) > 1:
        raise StoreError(f"{' and '.join(tasks)} cannot be compared: report on them one by one")
    for part in parts:
        if AXIS in part.axes:
            raise StoreError(
                f"{part.experiment}: has an axis called {AXIS!r} already: report on it alone"
            )
        for metric, mode in part.metrics.items():
            if parts[0].metrics.get(metric, mode) != mode:
                raise StoreError(f"{metric} is better the higher in one experiment only")
    if not set.intersection(*(set(part.metrics) for part in parts)):
        raise StoreError("the experiments have no metric in common: report on them one by one")


def _runs(parts: Sequence[Records], axes: Iterable[str], metrics: Iterable[str]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    for part in parts:
        frame = part.runs.assign(**{f"axis.{AXIS}": part.experiment})
        frame["id"] = part.experiment + "/" + frame["id"]
        plain = frame.astype(object).where(frame.notna(), None)
        rows += [{str(k): v for k, v in row.items()} for row in plain.to_dict("records")]
    figures = [
        {k: v for k, v in row.items() if not k.startswith("axis.") and k != "fold"} for row in rows
    ]
    columns = runs_columns(axes, metrics, figures)
    if any("fold" in part.runs for part in parts):
        columns.insert(columns.index("seed") + 1, "fold")
    return typed(pd.DataFrame(rows, columns=columns))


def _folds(parts: Sequence[Records]) -> Folds | None:
    """The most that an experiment has; `over_folds` counts those of each."""
    found = [part.folds for part in parts if part.folds is not None]
    if not found:
        return None
    return Folds(max(each.k for each in found), any(each.repartition for each in found))


def _history(parts: Sequence[Records], metrics: Iterable[str]) -> pd.DataFrame:
    frames = [part.history.assign(id=part.experiment + "/" + part.history["id"]) for part in parts]
    return typed(pd.concat(frames, ignore_index=True).reindex(columns=history_columns(metrics)))


def _naming_experiments(parts: Iterable[Records], what: str) -> tuple[str, ...]:
    """Notes or cautions, each with its experiments."""
    found: dict[str, list[str]] = {}
    for part in parts:
        for text in getattr(part, what):
            found.setdefault(text, []).append(part.experiment)
    return tuple(f"{', '.join(names)}: {text}" for text, names in found.items())


def _scored_alike(parts: Sequence[Records]) -> bool:
    """Whether Dice and IoU are the same measures in all of them."""
    scorings = [part.scoring or {} for part in parts]
    return all(
        each.get(key) == scorings[0].get(key)
        for each in scorings
        for key in ("average", "empty_mask", "background")
    )


def _why_incomparable(parts: Sequence[Records]) -> str:
    """Why seeds of different experiments are no pairs; empty where they are."""
    prints = []
    for part in parts:
        own = part.done[part.done["source"] == BENCH_SOURCE]
        prints.append(set(own["data_fingerprint"].dropna()) if len(own) else set())
    if any(len(found) != 1 for found in prints):
        return "it is not known that all saw the same data"
    if len(set.union(*prints)) > 1:
        return "they did not see the same data in the same splits"
    return ""


def _cautions(
    parts: Sequence[Records], differences: Mapping[str, Sequence[str]], why_incomparable: str
) -> Iterable[str]:
    if why_incomparable:
        reason = f"because {why_incomparable}"
        yield f"experiments are shown side by side and compared by no test, {reason}"
    if differences:
        count = f"{len(differences)} settings" if len(differences) > 1 else next(iter(differences))
        yield f"experiments differ in {count} besides their axes"
    if not _scored_alike(parts):
        definitions = "; ".join(
            f"{part.experiment}: {scores_sentence(part.scoring)}" for part in parts
        )
        yield f"scores are not defined alike. {definitions}"
    selects = {part.select.metric for part in parts}
    if len(selects) > 1:
        chosen = ", ".join(f"{part.experiment} val/{part.select.metric}" for part in parts)
        yield f"best epochs were chosen by different metrics: {chosen}"


def _incomparable(
    parts: Sequence[Records], metrics: Iterable[str], differences: Mapping[str, object]
) -> dict[str, tuple[str, ...]]:
    """What is incomparable within one of them, and losses where experiments measure others."""
    found: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for metric, axes in part.incomparable.items():
            found[metric] = tuple(dict.fromkeys((*found.get(metric, ()), *axes)))
    if any(name in LOSS_DEFINING_SETTINGS for name in differences):
        for metric in metrics:
            if metric.split("_")[0] == "loss":
                found[metric] = (*found.get(metric, ()), AXIS)
    return found
