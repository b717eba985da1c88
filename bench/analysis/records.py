"""The records of an experiment as tables: a row per trial and a row per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from bench import health
from bench.analysis.imported_trials import ImportedFile
from bench.analysis.membership import LeftOut
from bench.analysis.path_round import PathRound
from bench.analysis.score_reader import ScoreReader
from bench.errors import StoreError
from bench.metric_columns import best_val, cross_val, on_test
from bench.plan.design import Design
from bench.record.columns import Status
from bench.record.data_file import DataSetRecord
from bench.record.directions import Mode
from bench.record.store import TrialFiles
from bench.spec.hypotheses import Hypothesis, Over
from bench.spec.repeats import RepeatPlan
from bench.states import BENCH_SOURCE

NO_LABEL = "–"
"""Of a trial without a level on an axis."""


@dataclass(frozen=True)
class SelectedMetric:
    """What chooses the best epoch: the metric's name without `val/`, and its direction."""

    metric: str
    mode: Mode


class Folds(NamedTuple):
    """Cross-validation: how many folds, and whether each seed has others."""

    k: int
    repartition: bool


@dataclass(frozen=True)
class Records:
    """All that a report is made from.

    Attributes:
        experiment: its name.
        task: for example `segmentation`; empty for histories logged elsewhere.
        spec: the resolved spec as text, where a plan is kept.
        notes: what a reader should know of the data.
        axes: the levels of every axis, in the spec's order.
        metrics: the validation metrics (`dice`) and their directions, in the task's order.
        select: which of them chooses the best epoch.
        cautions: what to know before believing differences, a sentence each.
        incomparable: metrics (`loss`) that do not measure the same on all levels of some axes, and
            which axes those are.
        closing: columns of `runs` that only this task has (`frechet`).
        runs: the columns of `record.columns.RUNS`, a row per trial: planned ones first, in the
            plan's order, then earlier ones of the same settings. Missing is NaN or NA.
        history: `id` and the columns of `record.columns.HISTORY`, in the order of `runs`.
        left_out: recorded trials that do not belong here, and why.
        folders: where each trial's files are; planned ones that never started have none.
        hypotheses: what was claimed when the trials were planned.
        findings: by id, what was found wrong with those that were looked at.
        origins: where imported trials come from.
        combined_from: the experiments that are here together, on one axis; none where it is one.
        uncompared_axes: axes along which nothing can be compared, neither figures nor costs.
        scoring: how masks are scored (`bench.plan.scoring.scoring`); None: not recorded.
        setting_differences: settings in which the experiments differ though no axis decides
            them: a value for each.
        data: what the data sets were like, where it is on record.
        planned: the ids of the latest plan's trials; empty where no plan is kept.
        design: of an ablation; None: every combination of the axes.
        over: what the spec wants verdicts to generalise over; None: it does not say.
        repeats: how seeds are added until the hypotheses are settled; None: they are fixed.
        folds: of cross-validation; None: there are none.
        fold_records: where a row of `runs` is an arm and seed over all its folds, the records with
            a row for each of these; else None. See `bench.analysis.fold_pool`.
        trials_of: by the id of such a row, its trials by fold.
        path: of an ablation path, its rounds as far as the records decide them.
        stopped: why not all of the plan was run, where a budget ended it; empty: none did.
        reported: by hypothesis, on how many seeds each earlier report has tested it.
        scores: reads the scores of single images.
    """

    experiment: str
    task: str
    spec: str | None
    notes: tuple[str, ...]
    cautions: tuple[str, ...]
    axes: dict[str, list[str]]
    metrics: dict[str, Mode]
    select: SelectedMetric
    incomparable: dict[str, tuple[str, ...]]
    closing: tuple[str, ...]
    runs: pd.DataFrame
    history: pd.DataFrame
    left_out: tuple[LeftOut, ...]
    folders: Mapping[str, Path]
    hypotheses: tuple[Hypothesis, ...] = ()
    findings: Mapping[str, list[health.HealthFinding]] = field(default_factory=dict)
    origins: tuple[ImportedFile, ...] = ()
    combined_from: tuple[str, ...] = ()
    uncompared_axes: tuple[str, ...] = ()
    scoring: Mapping[str, Any] | None = None
    setting_differences: Mapping[str, list[str]] = field(default_factory=dict)
    data: tuple[DataSetRecord, ...] = ()
    planned: frozenset[str] = frozenset()
    design: Design | None = None
    over: Over | None = None
    repeats: RepeatPlan | None = None
    folds: Folds | None = None
    fold_records: Records | None = None
    trials_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    path: tuple[PathRound, ...] = ()
    reported: tuple[Mapping[str, int], ...] = ()
    stopped: str = ""

    @property
    def trial_records(self) -> Records:
        """The records with a row for each trial, also where there are folds."""
        return self if self.fold_records is None else self.fold_records

    scores: ScoreReader = field(default_factory=ScoreReader, compare=False, repr=False)

    @property
    def selection_column(self) -> str:
        """The column of `runs` with what chose the epoch: `best_val_dice`."""
        return best_val(self.select.metric)

    @property
    def decided_settings(self) -> tuple[str, ...]:
        """What axes and the components of a design decide, as dotted paths."""
        return (*self.axes, *(self.design.varied if self.design else ()))

    @cached_property
    def best_column(self) -> str:
        """The column of `runs` that says which arm is best: `test_dice`.

        Where some arm has no figure of a test split, `cross_val_dice`, whose epoch was chosen on
        other images than it is scored on; where some arm has neither, the selection's own figure,
        which is too good by the luck of the best epoch.
        """
        done = self.done[self.done["source"] == self.protocol]
        chosen = done[done[self.selection_column].notna()]
        arms = [f"axis.{axis}" for axis in self.axes]
        for column in (on_test(self.select.metric), cross_val(self.select.metric)):
            known = chosen[chosen[column].notna()] if column in chosen else chosen[:0]
            if len(known) and len(known[arms].drop_duplicates()) == len(
                chosen[arms].drop_duplicates()
            ):
                return column
        return self.selection_column

    @cached_property
    def is_planned(self) -> pd.Series[bool]:
        """Whether the latest plan has each run; imported trials, and all without a plan, count."""
        ours = self.runs["source"] == BENCH_SOURCE
        return self.runs["id"].isin(self.planned) | (not self.planned) | ~ours

    @cached_property
    def labels(self) -> list[dict[str, str]]:
        """Each run's label on every axis."""
        columns = {
            axis: self.runs[f"axis.{axis}"].fillna(NO_LABEL).astype(str).tolist()
            for axis in self.axes
        }
        return [{axis: of[row] for axis, of in columns.items()} for row in range(len(self.runs))]

    @cached_property
    def protocol(self) -> str:
        """The source whose trials are compared and tested: ours, else that of most trials.

        Others trained with other programs, on other machines, perhaps on other data. They are
        shown as references, and no trial of theirs makes a pair with one of ours.
        """
        counts = self.runs["source"].value_counts()
        return (
            BENCH_SOURCE if BENCH_SOURCE in counts.index or counts.empty else str(counts.index[0])
        )

    @cached_property
    def environments(self) -> dict[str, dict[str, Any]]:
        """Every trial's environment.json by id; empty where there is none.

        A damaged one has an entry that says so."""
        found = {}
        for name, folder in self.folders.items():
            try:
                found[name] = TrialFiles(folder).environment()
            except StoreError:
                found[name] = {"environment.json": "cannot be read"}
        return found

    @property
    def done(self) -> pd.DataFrame:
        """The rows of finished trials."""
        return self.runs[self.runs["status"] == Status.DONE]
