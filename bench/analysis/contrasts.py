"""One contrast, one result: whatever shows a difference asks the book for it.

The contrasts that hypotheses are about are one family, corrected by Holm at 5%; all others are
explored, a family with its own 5%. So a page cannot contradict itself. Explored contrasts are clear
or not, never supported.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.analysis import power, sample_size, sign_test
from bench.analysis.contrast_tests import (
    Basis,
    Contrast,
    Observed,
    Statement,
    Tested,
    has_folds_alone,
    run_test,
)
from bench.analysis.evidence import Bounds, Claim, is_expected
from bench.analysis.failures import is_withheld
from bench.analysis.repeats import Decision
from bench.analysis.stats import Interval, holm
from bench.analysis.two_sources import FEWEST_SEEDS, Over, TwoSources
from bench.spec.hypotheses import Expect

ALPHA = 0.05
_NO_BOUNDS = Bounds(0.0, 0.0)


@dataclass(frozen=True)
class Question:
    """A declared hypothesis: what it expects of which contrast."""

    id: str
    contrast: Contrast
    expect: Expect
    margin: float | None = None

    @property
    def bounds(self) -> Bounds:
        """The differences that separate what may be claimed."""
        return Bounds.of(self.expect, self.margin)


class Word(StrEnum):
    """What a page says: the first four of declared contrasts, the others of explored ones."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    CLEAR = "clear"
    NOT_CLEAR = "not clear"


@dataclass(frozen=True)
class Result:
    """The one result of an explored contrast, or of a hypothesis.

    Attributes:
        contrast: what is compared.
        id: of the hypothesis; empty of explored contrasts.
        estimate: mean difference with its interval, not corrected; against a number the median.
        basis: what it rests on.
        p, p_corrected: of the one test, and by Holm within the family; NaN without a test.
        claim: what this test says, significant or not; None without a test.
        word: what the page says.
        is_withheld: whether a significant claim is withheld for failures of the side it favours.
        statements: of hypotheses, over both, seeds and images, where there are scores of images.
        sources: the components of variance behind them.
        needs_seeds, needs_images: of an inconclusive test, what would settle it with 80% power if
            the truth is as found; None: no number would, or there is nothing to plan by.
    """

    contrast: Contrast
    id: str
    estimate: Interval
    basis: Basis
    p: float
    p_corrected: float
    claim: Claim | None
    word: Word
    is_withheld: bool = False
    statements: tuple[Statement, ...] = ()
    sources: TwoSources | None = None
    needs_seeds: int | None = None
    needs_images: int | None = None

    def turned(self) -> Result:
        """The same of b − a. Of a hypothesis it still says what the hypothesis expects."""
        other = self.contrast.reversed
        assert other is not None, "a number has no other side"
        mean, low, high, n = self.estimate
        claims = {Claim.ABOVE: Claim.BELOW, Claim.BELOW: Claim.ABOVE}
        return replace(
            self,
            contrast=other,
            estimate=Interval(-mean, -high, -low, n),
            claim=None if self.claim is None else claims.get(self.claim, self.claim),
            statements=tuple(replace(s, low=-s.high, high=-s.low) for s in self.statements),
            sources=None if self.sources is None else self.sources.turned(),
        )


class ContrastBook:
    """All contrasts of a page, each tested once.

    Attributes:
        declared: a result for each hypothesis, in their order.
        explored: for the other contrasts.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        explored: Iterable[Contrast],
        observed: Mapping[Contrast, Observed],
        decisions: Mapping[str, Decision] | None = None,
        interval_levels: Mapping[str, float] | None = None,
        judged: Mapping[str, Observed] | None = None,
    ) -> None:
        """Test all of them.

        Args:
            questions: the declared hypotheses.
            explored: other contrasts that the page shows. Repetitions and what is declared, either
                way round, are left out.
            observed: the records of each contrast, either way round.
            decisions: by hypothesis, where seeds were repeated until settled: the sequential p and
                claim stand instead of those of the seeds at hand.
            interval_levels: by hypothesis, of repeated intervals: the nominal level of its look.
            judged: by hypothesis, the records of its look, where another about the same contrast
                has other looks.
        """
        self._observed = observed
        levels, own = interval_levels or {}, judged or {}
        seen_of = [own.get(q.id) or self._seen(q.contrast) for q in questions]
        found = [
            _found(run_test(q.contrast, seen, q.bounds, levels.get(q.id, ALPHA)), q)
            for q, seen in zip(questions, seen_of, strict=True)
        ]
        if decisions:
            found = [_decided(one, decisions.get(one.id)) for one in found]
        found = _corrected(found, decisions or None)
        level = _open_level(found)
        self.declared = tuple(
            _with_needs(decide_verdict(one, q, seen), q, seen, level)
            for one, q, seen in zip(found, questions, seen_of, strict=True)
        )
        self.explored = tuple(self._explore(explored, {q.contrast for q in questions}))

    def results(self, contrast: Contrast) -> tuple[Result, ...]:
        """Of a contrast, a and b as asked for: of each hypothesis about it, else explored.

        Raises:
            KeyError: the page has no such contrast.
        """
        found = [
            one if one.contrast == contrast else one.turned()
            for one in (*self.declared, *self.explored)
            if contrast in (one.contrast, one.contrast.reversed)
        ]
        if not found:
            raise KeyError(contrast)
        return tuple(found)

    def _explore(self, contrasts: Iterable[Contrast], known: set[Contrast]) -> list[Result]:
        """Those not declared, a family of their own."""
        found = []
        for contrast in contrasts:
            if contrast in known or contrast.reversed in known:
                continue
            known.add(contrast)
            question = Question("", contrast, "higher")
            found.append(
                _found(
                    run_test(contrast, self._seen(contrast), _NO_BOUNDS, ALPHA, statements=False),
                    question,
                )
            )
        return [_with_clearness(one, self._seen(one.contrast)) for one in _corrected(found)]

    def _seen(self, contrast: Contrast) -> Observed:
        """The records of a contrast, turned where they are of b − a."""
        if contrast in self._observed:
            return self._observed[contrast]
        other = contrast.reversed
        if other is None or other not in self._observed:
            raise KeyError(contrast)
        return self._observed[other].turned()


def _found(test: Tested, question: Question) -> Result:
    """Before correction and verdict."""
    has_test = test.basis is Basis.TEST
    return Result(
        contrast=question.contrast,
        id=question.id,
        estimate=test.estimate,
        basis=test.basis,
        p=test.evidence.p,
        p_corrected=math.nan,
        claim=test.evidence.claim if has_test else None,
        word=Word.INCONCLUSIVE,
        statements=test.statements,
        sources=test.sources,
    )


def _decided(result: Result, decision: Decision | None) -> Result:
    """With the sequential p, and the claim of the look that settled it."""
    if decision is None or result.basis is Basis.EXACT:
        return result
    claim = decision.claim or result.claim
    return replace(result, p=decision.p, claim=claim, basis=Basis.TEST if claim else result.basis)


def _corrected(results: Sequence[Result], among: Container[str] | None = None) -> list[Result]:
    """By Holm, `among` these hypotheses; None: among all.

    What is exact is no test; what lacks data counts all the same, so that the others do not pass
    for want of it.
    """
    tests = [
        i
        for i, one in enumerate(results)
        if one.basis is not Basis.EXACT and (among is None or one.id in among)
    ]
    found = list(results)
    for i, p in zip(tests, holm([results[i].p for i in tests]), strict=True):
        found[i] = replace(results[i], p_corrected=float(p))
    return found


def _open_level(results: Sequence[Result]) -> float:
    """The level at which Holm tests the next of the hypotheses that are not settled."""
    n_open = sum(one.basis is not Basis.EXACT and not one.p_corrected <= ALPHA for one in results)
    return ALPHA / max(1, n_open)


def decide_verdict(result: Result, question: Question, seen: Observed) -> Result:
    """The same result with its verdict: supported, refuted, equivalent, or inconclusive as it was.

    Withheld where it would favour a side of which trials failed in a way that says something.
    """
    if result.basis is Basis.EXACT:
        claim = _exact_claim(result.estimate.mean, question.bounds)
    elif result.p_corrected <= ALPHA and result.claim is not None:
        claim = result.claim
    else:
        return result
    if claim and result.basis is Basis.TEST and is_withheld(claim, seen.mode, seen.failed):
        return replace(result, is_withheld=True)
    # a difference equal to its bound is on neither side of it, which no hypothesis expects
    expected = claim is not None and is_expected(claim, question.expect)
    kind = Word.EQUIVALENT if question.expect == "equivalent" else Word.SUPPORTED
    return replace(result, claim=claim, word=kind if expected else Word.REFUTED)


def _with_clearness(result: Result, seen: Observed) -> Result:
    if result.basis is Basis.EXACT:
        differs = result.estimate.mean != 0
        return replace(result, word=Word.CLEAR if differs else Word.NOT_CLEAR)
    if result.claim is None or not result.p_corrected <= ALPHA:
        return replace(result, word=Word.NOT_CLEAR)
    withheld = is_withheld(result.claim, seen.mode, seen.failed)
    word = Word.NOT_CLEAR if withheld else Word.CLEAR
    return replace(result, word=word, is_withheld=withheld)


def _exact_claim(mean: float, bounds: Bounds) -> Claim | None:
    """Where a known difference lies; None on a bound."""
    if mean > bounds.high:
        return Claim.ABOVE
    if mean < bounds.low:
        return Claim.BELOW
    return Claim.WITHIN if bounds.low < mean < bounds.high else None


def _with_needs(result: Result, question: Question, seen: Observed, level: float) -> Result:
    """What would settle an inconclusive hypothesis at the level that is left to it."""
    is_open = result.word is Word.INCONCLUSIVE and not result.is_withheld
    if not is_open or result.basis is not Basis.TEST or has_folds_alone(seen):
        return result
    over, sources, value = result.contrast.over, result.sources, question.bounds.low
    margin = question.margin if question.expect == "equivalent" else None
    if isinstance(result.contrast.b, float | int):
        return replace(result, needs_seeds=_runs_needed(result, question, seen, level))
    if over is Over.BOTH and sources is not None:
        return replace(
            result,
            needs_seeds=sample_size.needs_seeds(sources, level, value, margin),
            needs_images=sample_size.needs_images(sources, level, value, margin),
        )
    if over is Over.SEEDS and len(seen.differences) >= FEWEST_SEEDS:
        return replace(result, needs_seeds=_seeds_needed(seen, value, margin, level))
    return result


def _runs_needed(result: Result, question: Question, seen: Observed, level: float) -> int | None:
    """Runs, if the share beyond the bounds (or within) stays what it is."""
    low, high = question.bounds
    shares = {
        Claim.ABOVE: (seen.differences > high).mean(),
        Claim.BELOW: (seen.differences < low).mean(),
        Claim.WITHIN: min((seen.differences > low).mean(), (seen.differences < high).mean()),
    }
    return None if result.claim is None else sign_test.runs_needed(shares[result.claim], level)


def _seeds_needed(seen: Observed, value: float, margin: float | None, level: float) -> int | None:
    mean, std = float(seen.differences.mean()), float(seen.differences.std(ddof=1))
    if margin is None:
        return power.seeds_for_difference((mean - value) / std, level)
    if abs(mean) < margin:
        return power.seeds_for_equivalence(mean / std, margin / std, level)
    return power.seeds_for_difference((abs(mean) - margin) / std, level)
