"""Explored contrasts: those that a page shows and no hypothesis declares, one family by Holm.

A contrast that hypotheses are about has their results wherever it is shown, and stays out of this
family: one contrast, one result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from bench.analysis.arm_summary import arm_summary, ranking, text_facts
from bench.analysis.arms import Arm, arm_numbers, arms_of
from bench.analysis.contrast_tests import Contrast, Observed, Trials
from bench.analysis.contrasts import ContrastBook, Result, Word
from bench.analysis.fraction_effects import fraction_effects
from bench.analysis.hypotheses import HypothesisOutcome
from bench.analysis.level_contrasts import Explored, interactions, level_differences
from bench.analysis.measurement_conditions import comparable_axes, measured_on
from bench.analysis.observations import observed, read_scores_of, scores_of_column
from bench.analysis.pairing import pairs_of
from bench.analysis.records import Records
from bench.analysis.score_reader import ScoreTable
from bench.analysis.two_sources import Over
from bench.spec.hypotheses import Hypothesis, MetricTerm, figures

DIFFERENCE = ("axis", "a", "b")
COMPONENT = ("effect", "confounded_with")
INTERACTION = (*DIFFERENCE, "other", "c", "d")
NUMBERS = ("estimate", "low", "high", "n", "lost", "seeds", "p", "p_corrected")
SETTLED = (Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT, Word.CLEAR)
"""Words that something was concluded."""
_DIFFERENT: Mapping[str, Mapping[Word, bool]] = {
    "higher": {Word.SUPPORTED: True, Word.REFUTED: True, Word.INCONCLUSIVE: False},
    "lower": {Word.SUPPORTED: True, Word.REFUTED: True, Word.INCONCLUSIVE: False},
    "equivalent": {Word.EQUIVALENT: False, Word.REFUTED: True, Word.INCONCLUSIVE: False},
    "not_higher": {Word.REFUTED: True, Word.INCONCLUSIVE: False},
    "not_lower": {Word.REFUTED: True, Word.INCONCLUSIVE: False},
}
"""Whether a verdict calls the sides different. That a is not higher says nothing of that."""


@dataclass(frozen=True)
class Shown:
    """A result as a row or a sentence shows it, a and b as these have them.

    Attributes:
        result: of the contrast.
        outcome: the hypothesis that it is of; None: explored.
    """

    result: Result
    outcome: HypothesisOutcome | None = None

    @property
    def different(self) -> bool | None:
        """Whether a verdict calls the sides different; None where it does not say."""
        if self.outcome is None:
            return self.result.word is Word.CLEAR
        return _DIFFERENT[self.outcome.hypothesis.expect].get(self.result.word)


@dataclass(frozen=True)
class Exploration:
    """What a page shows besides its verdicts.

    Attributes:
        differences, interactions: by column of runs.csv, a row for each contrast, or for each
            hypothesis about it: names, `NUMBERS`, `over`, `conclusion` (a `Word`), and of a
            hypothesis `hypothesis` (its id) and `verdict`, else empty.
        components: of a fraction the same of the effects of its components, `COMPONENT`.
        leading: the two best arms that compare with each other, by number, best first.
        tested: the outcomes of the hypotheses.
    """

    differences: Mapping[str, pd.DataFrame]
    interactions: Mapping[str, pd.DataFrame]
    leading: Mapping[tuple[int, int], Sequence[Shown]]
    tested: Sequence[HypothesisOutcome]
    components: Mapping[str, pd.DataFrame] = field(default_factory=dict)


def compared_columns(records: Records) -> list[str]:
    """The figures that a reader wants compared: the result, overfitting, convergence, time.

    One figure of the selected metric, that which ranks arms: each more would take power from all.
    """
    names = [records.best_column, "final_val_loss", "overfit_gap"]
    same_kind = all(records.done[fact].nunique() <= 1 for fact in text_facts(records))
    closing = [c for c in records.closing if same_kind and is_numeric_dtype(records.runs[c])]
    if records.design is not None and records.design.metric is not None:
        names.insert(0, records.design.metric)
    names += [*closing, "epochs_to_95pct", "epoch_seconds"]
    return [name for name in dict.fromkeys(names) if name in records.runs]


def explore(records: Records, tested: Sequence[HypothesisOutcome] = ()) -> Exploration:
    """All that is compared besides the hypotheses, corrected together."""
    columns = [
        column
        for column in compared_columns(records)
        if comparable_axes(records, column) and records.done[column].notna().any()
    ]
    table = read_scores_of(records, (), {*columns, records.best_column})
    scores = {column: scores_of_column(records, table, column) for column in columns}
    differences = {c: level_differences(records, c, scores[c]) for c in columns}
    changes = {c: interactions(records, c, scores[c]) for c in columns}
    components = {c: fraction_effects(records, c, scores[c]) for c in columns}
    leading = _leading(records, table)
    every = [
        one
        for each in (differences, changes, components)
        for found in each.values()
        for one in found
    ]
    book = ExploredBook(records, [*every, *leading.values()], tested)
    return Exploration(
        {c: book.frame(found, DIFFERENCE) for c, found in differences.items()},
        {c: book.frame(found, INTERACTION) for c, found in changes.items()},
        {arms: book.shown(one) for arms, one in leading.items()},
        tested,
        {c: book.frame(found, COMPONENT) for c, found in components.items() if found},
    )


def contrasts_between_arms(
    records: Records, column: str, tested: Iterable[HypothesisOutcome], arms: Sequence[Arm]
) -> dict[tuple[int, int], list[Shown]]:
    """The hypotheses whose sides are one arm each, by the numbers of the arms, both ways round."""
    arm_of = {trials: number for number, trials in _trials_of_arms(records, arms).items()}
    pairs: dict[tuple[int, int], list[Shown]] = {}
    for outcome in _declared(records, column, tested):
        result = outcome.result
        assert not isinstance(result.contrast.b, float | int)
        a, b = arm_of.get(result.contrast.a), arm_of.get(result.contrast.b)
        if a is not None and b is not None:
            pairs.setdefault((a, b), []).append(Shown(result, outcome))
            pairs.setdefault((b, a), []).append(Shown(result.turned(), outcome))
    return pairs


class ExploredBook:
    """Explored contrasts with their results, and the hypotheses' where these are about them."""

    def __init__(
        self, records: Records, found: Iterable[Explored], tested: Sequence[HypothesisOutcome]
    ) -> None:
        self._records, self._tested = records, tested
        self._declared: dict[str, list[HypothesisOutcome]] = {}
        own = [one for one in found if not self._outcomes(one)]
        seen: dict[Contrast, Observed] = {}
        for one in own:
            contrast = self._contrast(one)
            if contrast not in seen and contrast.reversed not in seen:
                seen[contrast] = one.seen
        book = ContrastBook((), seen, seen)
        self._explored = {result.contrast: result for result in book.explored}

    def shown(self, one: Explored) -> list[Shown]:
        """The results of a contrast: of each hypothesis about it, else the explored one."""
        if declared := self._outcomes(one):
            same = [outcome.result.contrast.a == one.a for outcome in declared]
            return [
                Shown(outcome.result if as_asked else outcome.result.turned(), outcome)
                for outcome, as_asked in zip(declared, same, strict=True)
            ]
        contrast = self._contrast(one)
        if contrast in self._explored:
            return [Shown(self._explored[contrast])]
        other = contrast.reversed
        assert other is not None
        return [Shown(self._explored[other].turned())]

    def frame(self, found: Sequence[Explored], names: Sequence[str]) -> pd.DataFrame:
        """A row for each result."""
        rows = [
            dict(zip(names, one.names, strict=True)) | _row(one, shown)
            for one in found
            for shown in self.shown(one)
        ]
        columns = [*names, *NUMBERS, "over", "conclusion", "hypothesis", "verdict"]
        return pd.DataFrame(rows, columns=columns)

    def _outcomes(self, one: Explored) -> list[HypothesisOutcome]:
        """The hypotheses about the same figure of the same trials, whatever they are over."""
        if one.figure not in self._declared:
            self._declared[one.figure] = _declared(self._records, one.figure, self._tested)
        return [
            outcome
            for outcome in self._declared[one.figure]
            if {outcome.result.contrast.a, outcome.result.contrast.b} == {one.a, one.b}
        ]

    def _contrast(self, one: Explored) -> Contrast:
        by_image = one.seen.sources is not None
        wanted = self._records.over or (Over.BOTH if by_image else Over.SEEDS)
        return Contrast(one.figure, one.a, one.b, Over(wanted) if by_image else Over.SEEDS)


def _declared(
    records: Records, column: str, tested: Iterable[HypothesisOutcome]
) -> list[HypothesisOutcome]:
    """The hypotheses that compare `column` of runs.csv between two sides, in the spec's order."""
    return [
        outcome
        for outcome in tested
        if figures(outcome.hypothesis.metric) == [MetricTerm(column, None)]
        and not outcome.against_number
        and outcome.pairs.source == records.protocol
    ]


def _row(one: Explored, shown: Shown) -> dict[str, Any]:
    result, outcome = shown.result, shown.outcome
    mean, low, high, n = result.estimate
    return {
        "estimate": mean,
        "low": low,
        "high": high,
        "n": n,
        "lost": one.lost,
        "seeds": one.seeds if outcome is None else len(outcome.pairs.seeds),
        "p": result.p,
        "p_corrected": result.p_corrected,
        "over": str(result.contrast.over),
        "conclusion": str(result.word),
        "hypothesis": "" if outcome is None else outcome.hypothesis.id,
        "verdict": "" if outcome is None else str(result.word),
    }


def _leading(records: Records, table: ScoreTable) -> dict[tuple[int, int], Explored]:
    """The best arm against the next, wherever arms compare in the column that ranks them."""
    column, arms, summary = records.best_column, arms_of(records), arm_summary(records)
    compared = summary[summary["source"] == records.protocol]
    order = ranking(compared, column, records.select.mode)
    groups: dict[tuple[str, ...], list[int]] = {}
    for number in order:
        group = measured_on(records, column, arms[number].levels)
        groups.setdefault(group, []).append(number)
    trials = _trials_of_arms(records, arms)
    return {
        (best, second): _between(records, column, arms[best], arms[second], trials, table)
        for best, second, *_ in (group for group in groups.values() if len(group) > 1)
    }


def _between(
    records: Records,
    column: str,
    a: Arm,
    b: Arm,
    trials: Mapping[int, Trials],
    table: ScoreTable,
) -> Explored:
    """Two arms, as a hypothesis that names them would have them."""
    asked = Hypothesis.model_construct(
        id="", claim="", metric=column, a=dict(a.levels), b=dict(b.levels), expect="higher",
        margin=None, over=None,
    )  # fmt: skip
    pairs = pairs_of(records, asked)
    return Explored(
        column,
        (a.label, b.label),
        trials[a.number],
        trials[b.number],
        observed(records, asked, pairs, table),
        pairs.count("missing"),
        len(pairs.seeds),
    )


def _trials_of_arms(records: Records, arms: Sequence[Arm]) -> dict[int, Trials]:
    numbers = arm_numbers(records, arms).to_numpy()
    return {arm.number: frozenset(np.flatnonzero(numbers == arm.number).tolist()) for arm in arms}
