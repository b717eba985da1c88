from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.analysis.cross_validation import corrected_resampled
from bench.analysis.evidence import Bounds, of_sample
from bench.analysis.stats import Sample
from bench.analysis.two_sources import two_sources

from .simulated import bound, cross_validated

ZERO = Bounds(0.0, 0.0)
FOLDS = np.array([0.01, 0.03, 0.02, 0.05, 0.0])


def two_sided(sample: Sample) -> float:
    return of_sample(sample, ZERO).p


def test_by_hand() -> None:
    found = corrected_resampled(FOLDS)
    variance = FOLDS.var(ddof=1) * (1 / 5 + 1 / 4)
    t = FOLDS.mean() / math.sqrt(variance)
    assert two_sided(found) == pytest.approx(2 * stats.t.sf(t, 4))
    assert found.error == pytest.approx(math.sqrt(variance))


def test_seeds_are_averaged_first() -> None:
    assert corrected_resampled([FOLDS, FOLDS + 0.02]) == pytest.approx(
        corrected_resampled(FOLDS + 0.01)
    )


def test_few_folds_have_no_test() -> None:
    assert math.isnan(two_sided(corrected_resampled(FOLDS[:4])))


def test_errors_of_one_seed() -> None:
    tables = cross_validated(600, 60, 1, 5)
    by_fold = np.stack([tables[:, 0, fold::5].mean(axis=1) for fold in range(5)], axis=1)
    corrected = [two_sided(corrected_resampled(row)) for row in by_fold]
    naive = stats.ttest_1samp(by_fold, 0, axis=1).pvalue
    assert np.mean(np.array(corrected) <= 0.05) <= bound(0.05, 600)
    assert np.mean(naive <= 0.05) > np.mean(np.array(corrected) <= 0.05)


def test_errors_of_three_seeds() -> None:
    """Equal ridge regressions, one partition of 60 images in 5 folds for all seeds."""
    tables = cross_validated(1500, 60, 3, 5)
    corrected = [two_sources(table, n_folds=5).p() <= 0.05 for table in tables]
    assert np.mean(corrected) <= 0.06
