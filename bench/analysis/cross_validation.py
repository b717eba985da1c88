"""The corrected resampled t-test, for one or two seeds of cross-validation.

From three seeds on, `bench.analysis.two_sources` with `n_folds` tests folds; with fewer there is no
scatter over seeds to estimate.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from bench.analysis.stats import Sample

FEWEST_FOLDS = 5


def corrected_resampled(differences: npt.ArrayLike) -> Sample:
    """Differences by fold, for a t-test of k − 1 degrees (Nadeau and Bengio 2003).

    Args:
        differences: (folds,), or (seeds, folds), which are averaged over seeds first.

    The variance of the mean is s²·(1/k + n_test/n_train) = s²·(1/k + 1/(k − 1)) instead of s²/k,
    since the folds share training data. Returned as a sample of k with that standard error.
    """
    by_fold = np.atleast_2d(np.asarray(differences, dtype=float)).mean(axis=0)
    k = len(by_fold)
    if k < FEWEST_FOLDS:
        return Sample(float(by_fold.mean()), math.nan, k)
    scale = math.sqrt(1 + k / (k - 1))
    return Sample(float(by_fold.mean()), scale * float(by_fold.std(ddof=1)), k)
