"""Hypotheses tested: the declared contrasts, each with its one result.

Which test it is, what may be claimed, and how p-values are corrected is in `contrast_tests`,
`evidence` and `contrasts`. Intervals are 95% and not corrected. So a corrected test may be
inconclusive where the interval excludes 0, and two one-sided tests, which amount to a 90% interval
within the margin, may find equivalence where the 95% interval reaches a little beyond it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.contrast_tests import Basis, Observed, Tested, run_test
from bench.analysis.contrasts import ALPHA, ContrastBook, Question, Result, Word
from bench.analysis.fold_pool import over_folds
from bench.analysis.looks import HypothesisLook, Looks, looks_of
from bench.analysis.observations import (
    contrast_of,
    observed,
    observed_stratum,
    read_scores_of,
)
from bench.analysis.pairing import pairs_of
from bench.analysis.path import with_path
from bench.analysis.records import Records
from bench.analysis.sample_size import Scatter
from bench.analysis.score_reader import ScoreTable
from bench.analysis.stats import Interval
from bench.analysis.strata import SIDES, Pairs
from bench.analysis.two_sources import Over
from bench.spec.hypotheses import Hypothesis

_TYPES = {
    **dict.fromkeys(("claim", "verdict", "metric", "over"), "str"),
    **dict.fromkeys(("estimate", "ci_low", "ci_high", "p", "p_corrected"), "float64"),
    **dict.fromkeys(("needs_seeds", "needs_images"), "Int64"),
}
"""Of the columns of `verdict_frame` that may lack a value, or that there are always."""


@dataclass(frozen=True)
class HypothesisOutcome:
    """A hypothesis and what became of it.

    Attributes:
        hypothesis: as declared.
        pairs: the differences behind it.
        seen: the same over the complete seeds, and by image where there are scores.
        result: of the one test.
        strata: the same test for each of `pairs.strata`, not corrected.
        family: how many hypotheses are corrected together.
        look: what the looks say of it, where seeds are repeated until settled.
    """

    hypothesis: Hypothesis
    pairs: Pairs
    seen: Observed
    result: Result
    strata: tuple[Tested, ...]
    family: int
    look: HypothesisLook | None = None

    @property
    def verdict(self) -> Word:
        """What is concluded."""
        return self.result.word

    @property
    def against_number(self) -> bool:
        """Whether the claim is about the median run of one side."""
        return not isinstance(self.hypothesis.b, dict)

    def record(self) -> dict[str, Any]:
        """The entry of verdicts.json; what is not known is None."""
        found = self.result
        return {
            "id": self.hypothesis.id,
            "claim": self.hypothesis.claim,
            "verdict": str(self.verdict),
            "metric": self.hypothesis.metric,
            **_numbers(found.estimate, found.p),
            "p_corrected": _known(found.p_corrected),
            "needs_seeds": found.needs_seeds,
            "needs_images": found.needs_images,
            "over": str(found.contrast.over),
            "withheld": found.is_withheld,
            "statements": [
                {
                    "over": str(each.over),
                    "p": _known(each.p),
                    "ci_low": _known(each.low),
                    "ci_high": _known(each.high),
                }
                for each in found.statements
            ],
            "components": _components(found),
            "strata": [
                {
                    "axes": dict(stratum.axes),
                    **_numbers(test.estimate, test.evidence.p),
                    "missing": stratum.missing,
                    "unpaired": stratum.unpaired,
                    "unlike": stratum.unlike,
                    "counted": any(stratum is one for one in self.pairs.tested),
                }
                for stratum, test in zip(self.pairs.strata, self.strata, strict=True)
            ],
            "missing": self.pairs.count("missing"),
            "complete_seeds": len(self.pairs.complete),
            "planned_seeds": len(self.pairs.seeds),
            "shortages": [
                {
                    "axes": dict(short.axes),
                    "side": short.side,
                    "reason": short.reason,
                    "seeds": list(short.seeds),
                }
                for short in self.pairs.shortages
            ],
            "trials": {side: self.pairs.trials(side) for side in SIDES},
            "failures": self.pairs.failures,
            **({} if self.look is None else {"look": self.look.record()}),
        }


def verdict_frame(tested: Iterable[HypothesisOutcome]) -> pd.DataFrame:
    """A row per hypothesis, its columns the keys of verdicts.json; what is not known is NaN or NA.

    `statements`, `components`, `strata`, `shortages`, `trials` and `failures` hold lists and dicts.
    """
    rows = [outcome.record() for outcome in tested]
    keys = dict.fromkeys(key for row in rows for key in row)
    frame = pd.DataFrame(rows, columns=list(keys) or ["id", *_TYPES])
    typed = frame.astype(_TYPES)
    if rows:
        typed["components"] = frame["components"].where(frame["components"].notna(), pd.NA)
    return typed


def outcomes(records: Records) -> list[HypothesisOutcome]:
    """Test every hypothesis of the records, in the spec's order, over all folds of a seed."""
    records = over_folds(records)
    table = read_scores_of(records, records.hypotheses)
    return tested_outcomes(records, table, looks_of(records, table))


def tested_outcomes(
    records: Records, table: ScoreTable, looks: Looks | None
) -> list[HypothesisOutcome]:
    """The same with scores that were read, and looks that were taken."""
    hypotheses = records.hypotheses
    judged = [records if looks is None else looks.judged(records, each) for each in hypotheses]
    of_look = [None if looks is None else looks.of(each) for each in hypotheses]
    pairs = [pairs_of(own, each) for own, each in zip(judged, hypotheses, strict=True)]
    seen = [
        observed(own, hypothesis, each, table)
        for own, hypothesis, each in zip(judged, hypotheses, pairs, strict=True)
    ]
    questions = [
        Question(h.id, contrast_of(records, h, each, one.sources), h.expect, h.margin)
        for h, each, one in zip(hypotheses, pairs, seen, strict=True)
    ]
    known = [(h.id, look) for h, look in zip(hypotheses, of_look, strict=True) if look is not None]
    book = ContrastBook(
        questions,
        (),
        {q.contrast: one for q, one in zip(questions, seen, strict=True)},
        {name: look.decision for name, look in known},
        {name: look.level for name, look in known},
        {q.id: one for q, one in zip(questions, seen, strict=True)},
    )
    family = sum(one.basis is not Basis.EXACT for one in book.declared)
    found = []
    for place, question in enumerate(questions):
        strata = tuple(
            _test_alone(
                question,
                observed_stratum(judged[place], hypotheses[place], pairs[place], stratum, table),
            )
            for stratum in pairs[place].strata
        )
        found.append(
            HypothesisOutcome(
                hypotheses[place],
                pairs[place],
                seen[place],
                book.declared[place],
                strata,
                family,
                of_look[place],
            )
        )
    return found


def with_hypotheses(records: Records, hypotheses: tuple[Hypothesis, ...]) -> Records:
    """The records with other hypotheses than those planned, which a caution tells."""
    stated = with_path(dataclasses.replace(records, hypotheses=hypotheses))
    if stated.hypotheses == records.hypotheses:
        return records
    planned = "those of the trials' plan differ" if records.spec else "no trial was planned by it"
    caution = f"the hypotheses are the spec's as it stands now; {planned}"
    return dataclasses.replace(stated, cautions=(*records.cautions, caution))


def _test_alone(question: Question, seen: Observed) -> Tested:
    """A stratum by the hypothesis's own test, over seeds where its images have no scores."""
    contrast = question.contrast
    if seen.sources is None:
        contrast = dataclasses.replace(contrast, over=Over.SEEDS)
    return run_test(contrast, seen, question.bounds, ALPHA, statements=False)


def _components(found: Result) -> dict[str, float | int] | None:
    """Standard deviations of single seeds, images and their interaction, and how many there are."""
    sources = found.sources
    if sources is None or sources.n_seeds < 2 or math.isnan(sources.images):
        return None
    scatter = Scatter.of(sources)
    return {
        "sd_seeds": scatter.seeds,
        "sd_images": scatter.images,
        "sd_interaction": scatter.interaction,
        "n_seeds": sources.n_seeds,
        "n_images": sources.n_images,
        "n_groups": sources.n_groups,
    }


def _numbers(estimate: Interval, p: float) -> dict[str, float | int | None]:
    return {
        "estimate": _known(estimate.mean),
        "ci_low": _known(estimate.low),
        "ci_high": _known(estimate.high),
        "n_pairs": estimate.n,
        "p": _known(p),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
