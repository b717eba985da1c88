"""What figures are made from: the records, and what several figures need of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from bench.analysis.arm_summary import arm_summary, ranking
from bench.analysis.arms import Arm, arm_numbers, arms_of
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.image_scores import (
    ScoresByTrial,
    by_trial,
    figures_of,
    read_image_scores,
)
from bench.analysis.measurement_conditions import MEMORY, TIMES, measurement_conditions
from bench.analysis.records import Records
from bench.analysis.score_reader import ImageFigure, ScoreTable
from bench.report.format.folding import LARGE, best_and_worst, evenly_spaced
from bench.report.tables.ablation import AblationView
from bench.report.tables.effects import EffectTables
from bench.states import BENCH_SOURCE


@dataclass(frozen=True)
class ExperimentData:
    """An experiment with all that was found out about it.

    Attributes:
        records, summary, arms: what was recorded, per trial and per arm.
        tested: its hypotheses' outcomes.
        effects: what its axes change.
        ablation: of a design, its configurations.
    """

    records: Records
    summary: pd.DataFrame
    arms: Sequence[Arm]
    tested: Sequence[HypothesisOutcome] = ()
    effects: Sequence[EffectTables] = field(default=())
    ablation: AblationView | None = None

    @classmethod
    def of(cls, records: Records) -> ExperimentData:
        """From records alone."""
        return cls(records, arm_summary(records), arms_of(records))

    @property
    def metric(self) -> str:
        """The selected metric."""
        return self.records.select.metric

    @cached_property
    def done(self) -> pd.DataFrame:
        """The finished trials with their arm's number in `arm`."""
        return self.records.done.assign(arm=arm_numbers(self.records, self.arms))

    @cached_property
    def order(self) -> list[int]:
        """Numbers of the arms by the figure that ranks them, best first."""
        return ranking(self.summary, self.records.best_column, self.records.select.mode)

    def trials_of(self, number: int) -> list[str]:
        """Ids of an arm's finished trials."""
        return list(self.done["id"][self.done["arm"] == number])

    @cached_property
    def image_scores(self) -> ScoreTable:
        """Scores of single images: by the selected metric, and what hypotheses need."""
        wanted = [ImageFigure(split, self.metric, "selected") for split in ("test", "val")]
        for outcome in self.tested:
            wanted += figures_of(outcome.hypothesis, self.metric) or []
        return read_image_scores(self.records, dict.fromkeys(wanted))

    @cached_property
    def best_image_scores(self) -> tuple[Arm, ImageFigure, ScoresByTrial] | None:
        """The best of the arms that have scores of single images: its own by the selected metric.

        On the test split, or where no trial was tested on the validation split.
        """
        arms = {arm.number: arm for arm in self.arms}
        for split in ("test", "val"):
            figure = ImageFigure(split, self.metric, "selected")
            for number in self.order:
                found = by_trial(self.image_scores, figure, self.trials_of(number))
                if found is not None:
                    return arms[number], figure, found
        return None

    @cached_property
    def _conditions(self) -> dict[str, pd.Series[str]]:
        return {
            kind: measurement_conditions(self.records, kind)
            for kind in ("epoch_seconds", "peak_memory_mb")
        }

    def conditions(self, column: str) -> pd.Series[str]:
        """For every run a text, equal where `column` was measured under the same conditions."""
        if column in TIMES or column == "images_per_second":
            return self._conditions["epoch_seconds"]
        if column in MEMORY:
            return self._conditions["peak_memory_mb"]
        return pd.Series("", self.records.runs.index, dtype="str")

    def comparable(self, column: str) -> bool:
        """Whether all finished trials that have `column` measured it under the same conditions."""
        return self.conditions(column)[self.done.index[self.done[column].notna()]].nunique() <= 1

    def same_timing_conditions(self, trials: Collection[str]) -> bool:
        """Whether these trials' times were measured under the same conditions."""
        rows = self.done.index[self.done["id"].isin(trials)]
        return self.conditions("epoch_seconds")[rows].nunique() <= 1

    @property
    def is_large(self) -> bool:
        """Whether figures show the best and the worst arms only."""
        return len(self.arms) > LARGE

    def extremes(self, numbers: Sequence[int], most: int) -> tuple[list[Arm], list[Arm]]:
        """As `leading`; in a large experiment the first are half the best, half the worst."""
        if not self.is_large:
            return self.leading(numbers, most)
        wanted = set(numbers)
        best, worst = best_and_worst([number for number in self.order if number in wanted], most)
        chosen = {*best, *worst}
        known = [arm for arm in self.arms if arm.number in wanted]
        return (
            [arm for arm in known if arm.number in chosen],
            [arm for arm in known if arm.number not in chosen],
        )

    def backdrop(self, behind: Sequence[Arm], most: int = LARGE) -> list[Arm]:
        """Of arms that stand behind others at most so many: at equal steps down to the worst."""
        places = {number: place for place, number in enumerate(self.order)}
        ranked = sorted(behind, key=lambda arm: places.get(arm.number, len(places)))
        return evenly_spaced(ranked, most)

    def leading(self, numbers: Sequence[int], most: int) -> tuple[list[Arm], list[Arm]]:
        """Of these arms the best `most` by the selected metric, in the arms' order; the others.

        Arms logged elsewhere are always among the first: they are what others are held against.
        """
        known = [arm for arm in self.arms if arm.number in set(numbers)]
        if len(known) <= most:
            return known, []
        own = {arm.number for arm in known if arm.source == BENCH_SOURCE}
        places = {number: place for place, number in enumerate(self.order)}
        ranked = sorted(known, key=lambda a: (a.number in own, places.get(a.number, len(places))))
        chosen = {arm.number for arm in ranked[:most]}
        return (
            [arm for arm in known if arm.number in chosen],
            [arm for arm in known if arm.number not in chosen],
        )
