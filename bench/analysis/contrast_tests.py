"""The one test of a contrast: which it is, and what it finds."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from bench.analysis.cross_validation import corrected_resampled
from bench.analysis.evidence import (
    UNTESTED,
    Bounds,
    Evidence,
    larger,
    of_runs,
    of_sample,
    of_two_sources,
)
from bench.analysis.sign_test import FEWEST_RUNS, median_interval
from bench.analysis.stats import Floats, Interval, Sample, half_width
from bench.analysis.strata import Side
from bench.analysis.two_sources import FEWEST_SEEDS, Over, TwoSources
from bench.record.directions import Mode

_NO_SCATTER = 1e-12  # of the largest difference: what rounding alone leaves

Trials = frozenset[Hashable]


@dataclass(frozen=True)
class Contrast:
    """What is compared.

    Attributes:
        figure: a metric, as hypotheses name it.
        a, b: the trials of either side, all strata together, so that a contrast within one stratum
            is another than that over all; `b` may be a number.
        over: what the statement generalises over.
    """

    figure: str
    a: Trials
    b: Trials | float
    over: Over = Over.SEEDS

    @property
    def reversed(self) -> Contrast | None:
        """b − a; None against a number."""
        if isinstance(self.b, float | int):
            return None
        return Contrast(self.figure, self.b, self.a, self.over)


@dataclass(frozen=True)
class Observed:
    """What the records say of a contrast.

    Attributes:
        differences: a − b of the complete seeds, means over the planned strata; against a number
            runs minus the number.
        sources: the same by seed and image, where there are scores of images (`two_sources`, which
            keeps no table).
        by_fold: (seeds, folds), the same by fold, of cross-validation.
        failed: by side, planned trials whose failure says something of the arm.
        mode: whether less or more of the figure is better; None: neither.
        is_exact: whether the figure follows from the models alone, so that no seed changes it.
    """

    differences: Floats
    sources: TwoSources | None = None
    by_fold: Floats | None = None
    failed: Mapping[Side, int] = field(default_factory=dict)
    mode: Mode | None = None
    is_exact: bool = False

    def turned(self) -> Observed:
        """The same of b − a."""
        return replace(
            self,
            differences=-self.differences,
            sources=None if self.sources is None else self.sources.turned(),
            by_fold=None if self.by_fold is None else -self.by_fold,
            failed={"a": self.failed.get("b", 0), "b": self.failed.get("a", 0)},
        )


class Basis(StrEnum):
    """What a result rests on.

    test: a test. few: nothing, there are too few complete seeds or images. no_scores: nothing, it
    was to be over images, which have no scores. flat: nothing; all say the same, though another
    seed might not. exact: all say the same, and models alone decide.
    """

    TEST = "test"
    FEW = "few"
    NO_SCORES = "no scores"
    FLAT = "flat"
    EXACT = "exact"


@dataclass(frozen=True)
class Statement:
    """The p-value of the hypothesis's test and the interval of the mean, over one thing."""

    over: Over
    p: float
    low: float
    high: float


@dataclass(frozen=True)
class Tested:
    """What the test of a contrast found.

    Attributes:
        estimate: mean difference, against a number the median, with its interval, not corrected;
            n counts seeds.
        basis: what it rests on.
        evidence: p-values of what may be claimed.
        statements: over both, seeds and images, where there are scores of images.
        sources: the components of variance behind them.
    """

    estimate: Interval
    basis: Basis
    evidence: Evidence
    statements: tuple[Statement, ...] = ()
    sources: TwoSources | None = None


def run_test(
    contrast: Contrast, seen: Observed, bounds: Bounds, level: float, *, statements: bool = True
) -> Tested:
    """Test a contrast.

    Args:
        contrast: what is compared, over what.
        seen: its records.
        bounds: of the hypothesis; both 0 where a difference is tested.
        level: of the intervals: 5%, or a look's nominal level for repeated intervals.
        statements: whether what each of seeds, images and both say is wanted, too.
    """
    sources = seen.sources
    if contrast.over is not Over.SEEDS and sources is None:
        over_seeds = run_test(replace(contrast, over=Over.SEEDS), seen, bounds, level)
        return _untested(Basis.NO_SCORES, over_seeds.estimate)
    if isinstance(contrast.b, float | int):
        found = _against_number(contrast, seen, sources, bounds, level)
    elif contrast.over is not Over.IMAGES and has_folds_alone(seen):
        found = _over_folds(seen, bounds, level)
    elif contrast.over is Over.SEEDS or sources is None:
        found = _over_seeds(seen, bounds, level)
    else:
        found = _over_images(contrast.over, seen, sources, bounds, level)
    if sources is None:
        return found
    all_three = (
        tuple(_statement(sources, bounds, over, level) for over in Over) if statements else ()
    )
    return replace(found, statements=all_three, sources=sources)


def _statement(sources: TwoSources, bounds: Bounds, over: Over, level: float) -> Statement:
    found = of_two_sources(sources, bounds, over)
    return Statement(over, found.p, *sources.interval(level, over))


def _against_number(
    contrast: Contrast, seen: Observed, sources: TwoSources | None, bounds: Bounds, level: float
) -> Tested:
    """The median of runs by the sign test; over images, what a test over these supports, too."""
    runs = seen.differences
    median = float(np.median(runs)) if len(runs) else math.nan
    estimate = Interval(median, *median_interval(runs, level), len(runs))
    if basis := _untestable(seen, FEWEST_SEEDS if seen.is_exact else FEWEST_RUNS):
        return _untested(basis, estimate)
    found = of_runs(runs, bounds)
    if contrast.over is Over.SEEDS or sources is None:
        return Tested(estimate, Basis.TEST, found)
    if not sources.testable(contrast.over):
        return _untested(Basis.FEW, estimate)
    return Tested(
        estimate, Basis.TEST, larger(found, of_two_sources(sources, bounds, contrast.over))
    )


def _over_seeds(seen: Observed, bounds: Bounds, level: float) -> Tested:
    """Student's t-test."""
    values = seen.differences
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    sample = Sample(mean, float(values.std(ddof=1)) if n > 1 else math.nan, n)
    estimate = _t_interval(sample, n, level)
    if basis := _untestable(seen, FEWEST_SEEDS):
        return _untested(basis, estimate)
    return Tested(estimate, Basis.TEST, of_sample(sample, bounds))


def has_folds_alone(seen: Observed) -> bool:
    """Whether there are folds, but too few seeds to say anything of these."""
    return seen.by_fold is not None and 0 < len(seen.differences) < FEWEST_SEEDS


def _over_folds(seen: Observed, bounds: Bounds, level: float) -> Tested:
    """The corrected resampled t-test of one or two seeds."""
    assert seen.by_fold is not None
    sample = corrected_resampled(seen.by_fold)
    estimate = _t_interval(sample, len(seen.differences), level)
    if not sample.std > 0:
        return _untested(Basis.FEW, estimate)
    return Tested(estimate, Basis.TEST, of_sample(sample, bounds))


def _t_interval(sample: Sample, n_seeds: int, level: float) -> Interval:
    half = float(half_width(sample.std, sample.n, 1 - level))
    return Interval(sample.mean, sample.mean - half, sample.mean + half, n_seeds)


def _over_images(
    over: Over, seen: Observed, sources: TwoSources, bounds: Bounds, level: float
) -> Tested:
    estimate = Interval(sources.mean, *sources.interval(level, over), sources.n_seeds)
    if not sources.is_enough(over):
        return _untested(Basis.FEW, estimate)
    if not sources.testable(over):
        return _untested(Basis.EXACT if seen.is_exact else Basis.FLAT, estimate)
    return Tested(estimate, Basis.TEST, of_two_sources(sources, bounds, over))


def _untestable(seen: Observed, fewest: int) -> Basis | None:
    """Why differences by seed allow no test; None where they do."""
    values = seen.differences
    if len(values) < fewest:
        return Basis.FEW
    if len(values) and np.ptp(values) > _NO_SCATTER * np.abs(values).max():
        return None
    return Basis.EXACT if seen.is_exact else Basis.FLAT


def _untested(basis: Basis, estimate: Interval) -> Tested:
    """An estimate without a test; what is exact has an interval of no width, what is flat none."""
    if basis is Basis.EXACT:
        estimate = Interval(estimate.mean, estimate.mean, estimate.mean, estimate.n)
    elif basis is Basis.FLAT:
        estimate = Interval(estimate.mean, math.nan, math.nan, estimate.n)
    return Tested(estimate, basis, UNTESTED)
