"""Means, their t-intervals over seeds, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95

Floats = npt.NDArray[np.float64]


class Interval(NamedTuple):
    """A mean with its confidence interval; what is not known is NaN.

    The interval is not clipped to the metric's range: a t-interval of a Dice near 1 may reach
    beyond 1, which says that the normal approximation is strained, not that such a Dice exists.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def known(self) -> bool:
        """Whether there is an interval, not only a mean."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def half_width(std: npt.ArrayLike, n: npt.ArrayLike, confidence: float = CONFIDENCE) -> Floats:
    """Half the width of Student's t-interval: t(1 − α/2, n − 1) · std / √n, NaN for n < 2.

    `std` is the sample's standard deviation (n − 1 in the denominator).
    """
    count = np.asarray(n, dtype=float)
    enough = count >= 2
    safe = np.where(enough, count, 2)
    quantile = stats.t.ppf(0.5 + confidence / 2, safe - 1)
    width = quantile * np.asarray(std, dtype=float) / np.sqrt(safe)
    return np.where(enough, width, np.nan)


def mean_interval(values: Iterable[float | None], confidence: float = CONFIDENCE) -> Interval:
    """Mean and t-interval of the values that are there; one value has a mean and no interval.

    Nor have infinite values.
    """
    known = np.array([v for v in values if v is not None and not math.isnan(v)], dtype=float)
    n = len(known)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(known.mean())
    if n == 1 or not np.isfinite(known).all():
        return Interval(mean, math.nan, math.nan, n)
    half = float(half_width(known.std(ddof=1), n, confidence))
    return Interval(mean, mean - half, mean + half, n)


def grouped_intervals(values: pd.Series[float], by: list[pd.Series[int]]) -> pd.DataFrame:
    """`mean_interval` of every group at once: columns mean, low, high, n and lowest, highest.

    `lowest` and `highest` are the extreme values themselves; missing values are left out.
    """
    found = values.groupby(by, sort=True).agg(["mean", "std", "count", "min", "max"])
    half = half_width(found["std"].to_numpy(), found["count"].to_numpy())
    return pd.DataFrame(
        {
            "mean": found["mean"],
            "low": found["mean"] - half,
            "high": found["mean"] + half,
            "n": found["count"],
            "lowest": found["min"],
            "highest": found["max"],
        }
    )


class Sample(NamedTuple):
    """What a t-test knows of differences: mean, standard deviation (n − 1) and number."""

    mean: float
    std: float
    n: int

    @property
    def error(self) -> float:
        """The mean's standard error."""
        return self.std / math.sqrt(self.n)


def holm(p_values: npt.ArrayLike) -> Floats:
    """p-values corrected by Holm's step-down method (1979), along the last axis.

    NaN stands for a test that could not be made: it counts among the tests and stays NaN.
    """
    given = np.asarray(p_values, dtype=float)
    order = np.argsort(given, axis=-1)  # NaN comes last
    count = given.shape[-1]
    scaled = np.take_along_axis(given, order, -1) * (count - np.arange(count))
    stepped = np.minimum(1.0, np.maximum.accumulate(scaled, axis=-1))
    corrected = np.empty_like(stepped)
    np.put_along_axis(corrected, order, stepped, -1)
    return corrected
