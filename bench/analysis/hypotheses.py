"""Hypotheses tested: from paired differences to verdicts.

The differences are those of complete seeds, which have a pair in every planned stratum.
One hypothesis has one test, whose p-value enters Holm's correction over all hypotheses of the
experiment. `higher` and `lower` are a two-sided paired t-test of 0, `not_higher` and `not_lower` of
the margin; the side on which the mean lies says what a rejection means. `equivalent` asks which of
two regions the mean is in, within the margin or beyond it. Of two regions that exclude each other
only one can be denied wrongly, so each is tested at the full level and the two need no correction
between them (partitioning: Goeman, Solari and Stijnen 2010, "Three-sided hypothesis testing"): a
mean inside is tested by two one-sided tests, a mean outside by a two-sided test of the margin.

Intervals are 95% and not corrected. So a corrected test may be inconclusive where the interval
excludes 0, and two one-sided tests, which amount to a 90% interval within the margin, may find
equivalence where the 95% interval reaches a little beyond it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from bench.analysis import power, stats
from bench.analysis.pairing import pairs_of
from bench.analysis.records import Records
from bench.analysis.stats import Floats, Interval, Sample
from bench.analysis.strata import SIDES, Pairs
from bench.spec.hypotheses import Hypothesis

ALPHA = 0.05
_NO_SCATTER = 1e-12  # of the largest difference: what rounding alone leaves


class Verdict(StrEnum):
    """What the records say of a hypothesis."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


class Basis(StrEnum):
    """What a verdict rests on.

    few: nothing, there are too few pairs. exact: every pair says the same, and the metric follows
    from the models alone. flat: nothing; every pair says the same, but another seed might not, and
    without scatter a t-test cannot judge. test: a t-test.
    """

    FEW = "few"
    EXACT = "exact"
    FLAT = "flat"
    TEST = "test"


@dataclass(frozen=True)
class PairedTest:
    """What differences between two sides say.

    Attributes:
        estimate: their mean with its 95% t-interval; `n` counts seeds.
        basis: whether there is a test.
        p: of that test, before correction; NaN without one.
    """

    estimate: Interval
    basis: Basis
    p: float


@dataclass(frozen=True)
class HypothesisOutcome:
    """A hypothesis and what became of it.

    Attributes:
        hypothesis: as declared.
        pairs: the differences behind it.
        test: over the complete seeds, each the mean of its planned strata.
        strata: the same for each of `pairs.strata`, uncorrected.
        p_corrected: by Holm over the experiment's hypotheses; NaN without a test.
        verdict: what is concluded.
        needs_seeds: for an inconclusive test, the seeds that would settle it with 80% power if the
            true mean and scatter are those found, at the level that Holm leaves to the hypotheses
            which are still open; None: no test, or more than a thousand.
    """

    hypothesis: Hypothesis
    pairs: Pairs
    test: PairedTest
    strata: tuple[PairedTest, ...]
    p_corrected: float
    verdict: Verdict
    needs_seeds: int | None

    def record(self) -> dict[str, Any]:
        """The entry of verdicts.json; what is not known is None."""
        return {
            "id": self.hypothesis.id,
            "claim": self.hypothesis.claim,
            "verdict": str(self.verdict),
            "metric": self.hypothesis.metric,
            **_numbers(self.test),
            "p_corrected": _known(self.p_corrected),
            "needs_seeds": self.needs_seeds,
            "strata": [
                {
                    "axes": dict(stratum.axes),
                    **_numbers(test),
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
        }


def outcomes(records: Records) -> list[HypothesisOutcome]:
    """Test every hypothesis of the records, in the spec's order."""
    hypotheses = records.hypotheses
    pairs = [pairs_of(records, hypothesis) for hypothesis in hypotheses]
    found = [paired_test(h, each.by_seed) for h, each in zip(hypotheses, pairs, strict=True)]
    corrected = correct(found)
    level = open_level(found, corrected)
    return [
        HypothesisOutcome(
            hypothesis=hypothesis,
            pairs=each,
            test=one,
            strata=tuple(
                paired_test(hypothesis, list(stratum.differences.values()))
                for stratum in each.strata
            ),
            p_corrected=p,
            verdict=(verdict := decide(hypothesis, one, p)),
            needs_seeds=(
                seeds_needed(hypothesis, one, each.by_seed, level)
                if verdict is Verdict.INCONCLUSIVE
                else None
            ),
        )
        for hypothesis, each, one, p in zip(hypotheses, pairs, found, corrected, strict=True)
    ]


def with_hypotheses(records: Records, hypotheses: tuple[Hypothesis, ...]) -> Records:
    """The records with other hypotheses than those planned, which a caution tells."""
    if hypotheses == records.hypotheses:
        return records
    planned = "those of the trials' plan differ" if records.spec else "no trial was planned by it"
    caution = f"the hypotheses are the spec's as it stands now; {planned}"
    return dataclasses.replace(
        records, hypotheses=hypotheses, cautions=(*records.cautions, caution)
    )


def paired_test(hypothesis: Hypothesis, differences: Sequence[float] | Floats) -> PairedTest:
    """Test one hypothesis on its differences, one a seed; before any correction.

    Differences that are not finite are none.
    """
    values = np.asarray(differences, dtype=float)
    values = values[np.isfinite(values)]
    estimate = stats.mean_interval(values)
    basis = _basis(hypothesis, values)
    if basis is Basis.TEST:
        sample = Sample(estimate.mean, float(values.std(ddof=1)), estimate.n)
        return PairedTest(estimate, basis, float(p_value(hypothesis, sample)))
    if basis is Basis.EXACT:
        estimate = Interval(estimate.mean, estimate.mean, estimate.mean, estimate.n)
    elif basis is Basis.FLAT:
        estimate = Interval(estimate.mean, math.nan, math.nan, estimate.n)
    return PairedTest(estimate, basis, math.nan)


def _basis(hypothesis: Hypothesis, values: Floats) -> Basis:
    if len(values) < power.FEWEST:
        return Basis.FEW
    if np.ptp(values) > _NO_SCATTER * np.abs(values).max():
        return Basis.TEST
    return Basis.EXACT if hypothesis.exact else Basis.FLAT


def p_value(hypothesis: Hypothesis, sample: Sample) -> Floats:
    """p of the one test of a hypothesis; arrays in, array out."""
    if hypothesis.expect == "equivalent":
        inside = np.abs(sample.mean) < _margin(hypothesis)
        near, far = (test(sample, _margin(hypothesis)) for test in (stats.within, stats.outside))
        return np.where(inside, near, far)
    return stats.two_sided(sample, bound(hypothesis))


def bound(hypothesis: Hypothesis) -> float:
    """The difference that separates what is expected from its contrary; not for `equivalent`."""
    shifts = {"not_higher": _margin(hypothesis), "not_lower": -_margin(hypothesis)}
    return shifts.get(hypothesis.expect, 0.0)


def _margin(hypothesis: Hypothesis) -> float:
    return hypothesis.margin or 0.0


def as_expected(hypothesis: Hypothesis, mean: float) -> bool:
    """Whether a mean difference lies on the side that the hypothesis expects."""
    if hypothesis.expect == "equivalent":
        return abs(mean) < _margin(hypothesis)
    upwards = hypothesis.expect in ("higher", "not_lower")
    return mean > bound(hypothesis) if upwards else mean < bound(hypothesis)


def correct(findings: Sequence[PairedTest]) -> list[float]:
    """p-values corrected by Holm; NaN where there is no test.

    What is known exactly is no test. A hypothesis that lacks pairs counts all the same: the others
    must not pass for want of its data.
    """
    tested = [i for i, found in enumerate(findings) if found.basis is not Basis.EXACT]
    corrected = [math.nan] * len(findings)
    for i, p in zip(tested, stats.holm([findings[i].p for i in tested]), strict=True):
        corrected[i] = float(p)
    return corrected


def open_level(findings: Sequence[PairedTest], corrected: Iterable[float]) -> float:
    """The level at which Holm tests the next of the hypotheses that are not settled."""
    settled = [p <= ALPHA for p in corrected]
    tested = [found.basis is not Basis.EXACT for found in findings]
    return ALPHA / max(1, sum(tested) - sum(settled))


def decide(hypothesis: Hypothesis, found: PairedTest, p_corrected: float) -> Verdict:
    """The verdict: what the corrected test, or exact knowledge, allows to say."""
    if found.basis is not Basis.EXACT and not p_corrected <= ALPHA:
        return Verdict.INCONCLUSIVE
    if not as_expected(hypothesis, found.estimate.mean):
        return Verdict.REFUTED
    return Verdict.EQUIVALENT if hypothesis.expect == "equivalent" else Verdict.SUPPORTED


def seeds_needed(
    hypothesis: Hypothesis, found: PairedTest, differences: Floats, level: float
) -> int | None:
    """Seeds with 80% power for the conclusion on whose side the mean found lies."""
    if found.basis is not Basis.TEST:
        return None
    mean, std = found.estimate.mean, float(differences.std(ddof=1))
    margin = _margin(hypothesis)
    if hypothesis.expect != "equivalent":
        return power.seeds_for_difference((mean - bound(hypothesis)) / std, level)
    if abs(mean) < margin:
        return power.seeds_for_equivalence(mean / std, margin / std, level)
    return power.seeds_for_difference((abs(mean) - margin) / std, level)


def _numbers(found: PairedTest) -> dict[str, float | int | None]:
    estimate = found.estimate
    return {
        "estimate": _known(estimate.mean),
        "ci_low": _known(estimate.low),
        "ci_high": _known(estimate.high),
        "n_pairs": estimate.n,
        "p": _known(found.p),
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
