"""Contrasts that a hypothesis tests: each has one result, its verdict's, wherever it is shown.

An exploratory table corrects its p-values over another family than the hypotheses. Where both ask
the same of the same trials, two corrections would give two answers on one page. So the contrasts
of hypotheses take their verdicts along, and stay out of the tables' own families.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis import stats
from bench.analysis.arms import Arm, arm_numbers
from bench.analysis.hypotheses import ALPHA, HypothesisOutcome, Verdict
from bench.analysis.pairing import labels_of
from bench.analysis.records import Records
from bench.plan.sides import sides
from bench.spec.hypotheses import MetricTerm, figures

Rows = frozenset[int]
"""Positions of trials in `records.runs`."""
_DIFFERENT = {
    "higher": {Verdict.SUPPORTED: True, Verdict.REFUTED: True, Verdict.INCONCLUSIVE: False},
    "lower": {Verdict.SUPPORTED: True, Verdict.REFUTED: True, Verdict.INCONCLUSIVE: False},
    "equivalent": {Verdict.EQUIVALENT: False, Verdict.REFUTED: True, Verdict.INCONCLUSIVE: False},
    "not_higher": {Verdict.REFUTED: True, Verdict.INCONCLUSIVE: False},
    "not_lower": {Verdict.REFUTED: True, Verdict.INCONCLUSIVE: False},
}
"""Whether a verdict calls the sides different. That a is not higher says nothing of that."""


@dataclass(frozen=True)
class DeclaredContrast:
    """A hypothesis about one figure, and the trials of its sides."""

    outcome: HypothesisOutcome
    a: Rows
    b: Rows

    def sign(self, a: Rows, b: Rows) -> int:
        """1 where it compares these trials, −1 where it does so the other way round, else 0."""
        return 1 if (self.a, self.b) == (a, b) else -1 if (self.b, self.a) == (a, b) else 0


def significantly_different(found: Iterable[DeclaredContrast]) -> bool | None:
    """Whether two sides are significantly different by these verdicts; None: none of them says.

    Inconclusive ones keep them together, whatever another family's test would find.
    """
    said = [_DIFFERENT[each.outcome.hypothesis.expect].get(each.outcome.verdict) for each in found]
    return True if True in said else False if False in said else None


ContrastsByArms = Mapping[tuple[int, int], Sequence[DeclaredContrast]]
"""The hypotheses about two arms, by their numbers."""


def declared_contrasts(
    records: Records, column: str, tested: Iterable[HypothesisOutcome]
) -> list[DeclaredContrast]:
    """The hypotheses that compare `column` of runs.csv between two sides, in the spec's order."""
    asked = [
        outcome
        for outcome in tested
        if figures(outcome.hypothesis.metric) == [MetricTerm(column, None)]
        and isinstance(outcome.hypothesis.b, dict)
    ]
    if not asked:
        return []
    labels = labels_of(records)
    found = [sides(outcome.hypothesis, labels) for outcome in asked]
    return [
        DeclaredContrast(outcome, frozenset(each.a), frozenset(each.b))
        for outcome, each in zip(asked, found, strict=True)
    ]


def contrasts_between_arms(
    records: Records, column: str, tested: Iterable[HypothesisOutcome], arms: Sequence[Arm]
) -> ContrastsByArms:
    """The hypotheses whose sides are one arm each, by the numbers of the arms, both ways round."""
    rows: dict[int, set[int]] = {}
    for row, number in enumerate(arm_numbers(records, arms)):
        rows.setdefault(int(number), set()).add(row)
    arm_of = {frozenset(found): number for number, found in rows.items()}
    ours = {
        row for row, is_ours in enumerate(records.runs["source"] == records.protocol) if is_ours
    }
    pairs: dict[tuple[int, int], list[DeclaredContrast]] = {}
    for each in declared_contrasts(records, column, tested):
        a, b = (arm_of.get(frozenset(side & ours)) for side in (each.a, each.b))
        if a is not None and b is not None and each.outcome.pairs.source == records.protocol:
            pairs.setdefault((a, b), []).append(each)
            pairs.setdefault((b, a), []).append(each)
    return pairs


def with_verdicts(
    found: pd.DataFrame, records: Records, column: str, tested: Iterable[HypothesisOutcome]
) -> pd.DataFrame:
    """The frame of `level_differences`, rows that hypotheses test with their numbers.

    Adds `hypothesis` (its id) and `verdict`, empty for the others, whose `p_corrected` is then over
    them alone. A row that several hypotheses are about is repeated for each.
    """
    known = declared_contrasts(records, column, tested)
    rows_of = _rows_of_levels(records) if known else {}
    rows: list[dict[Hashable, Any]] = []
    for row in found.to_dict("records"):
        a, b = (rows_of.get((row["axis"], row[side]), frozenset()) for side in ("a", "b"))
        signed = [(each, each.sign(a, b)) for each in known]
        verdicts = [_settled(row, each.outcome, sign) for each, sign in signed if sign]
        rows += verdicts or [row | {"hypothesis": "", "verdict": ""}]
    columns = [*found.columns, "hypothesis", "verdict"]
    frame = pd.DataFrame(rows, columns=columns)
    explored = frame["hypothesis"] == ""
    frame.loc[explored, "p_corrected"] = stats.holm(frame.loc[explored, "p"])
    return frame


def significant(found: pd.DataFrame) -> pd.Series[bool]:
    """Which differences are: by the verdict of a hypothesis, else by the corrected test."""
    explored = found["hypothesis"] == ""
    settled = found["verdict"].isin([Verdict.SUPPORTED, Verdict.REFUTED, Verdict.EQUIVALENT])
    return (explored & (found["p_corrected"] <= ALPHA)) | (~explored & settled)


def _rows_of_levels(records: Records) -> dict[tuple[str, str], Rows]:
    """The trials of every level of every axis."""
    found: dict[tuple[str, str], set[int]] = {}
    for row, labels in enumerate(labels_of(records)):
        for axis, label in labels.items():
            found.setdefault((axis, label), set()).add(row)
    return {key: frozenset(rows) for key, rows in found.items()}


def _settled(
    row: dict[Hashable, Any], outcome: HypothesisOutcome, sign: int
) -> dict[Hashable, Any]:
    """A row with the hypothesis's numbers, a and b as in the row."""
    mean, low, high, n = outcome.test.estimate
    low, high = (low, high) if sign > 0 else (-high, -low)
    return row | {
        "estimate": sign * mean,
        "low": low,
        "high": high,
        "n": n,
        "seeds": len(outcome.pairs.seeds),
        "p": outcome.test.p,
        "p_corrected": outcome.p_corrected,
        "hypothesis": outcome.hypothesis.id,
        "verdict": str(outcome.verdict),
    }
