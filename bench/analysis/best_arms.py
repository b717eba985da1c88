"""Which arms may be the best: multiple comparisons with the best (Hsu 1984).

A 95% confidence set: with a chance of 95% it contains the arm that is truly best. Each arm has its
own variance over seeds. A common one would leave out a noisy best arm too often: in 23 to 31% of
simulated studies of 50 arms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from bench.record.directions import Mode

FEWEST_SEEDS = 3
_NORMAL_NODES, _CHI_NODES = 40, 64
_NO_SCATTER = 1e-12  # of the largest figure: what rounding alone leaves


@dataclass(frozen=True)
class BestArms:
    """The arms that may be the best.

    Attributes:
        arms: positions of the arms that may be, the best mean first. Empty, as the others, where
            fewer than two arms have three seeds in common.
        ranked: positions of the arms compared, those that have all `seeds`.
        seeds: positions of the seeds that count.
        critical: Dunnett's one-sided critical value for so many arms and seeds.
    """

    arms: tuple[int, ...]
    ranked: tuple[int, ...]
    seeds: tuple[int, ...]
    critical: float


def may_be_best(values: npt.ArrayLike, mode: Mode = "max", alpha: float = 0.05) -> BestArms:
    """The confidence set of the best arm, for new seeds on these images.

    Args:
        values: (arms, seeds), NaN where an arm lacks a seed. Arms and seeds that are compared are
            those that keep the most trials: an arm that lacks a seed which nearly all others have
            is unranked, a seed that many arms lack does not count.
        mode: whether less or more is better.
        alpha: chance that the best arm is missing.

    Arm i stays unless some arm j is ahead by more than `critical`·√((u_i + u_j)/S), with
    u = k/(k − 1)·(variance over the S seeds of an arm's figure minus the seed's mean over arms).
    """
    table = np.asarray(values, dtype=float)
    arms, seeds = _complete(np.isfinite(table))
    k, n = len(arms), len(seeds)
    if k < 2 or n < FEWEST_SEEDS:
        return BestArms((), (), (), math.nan)
    figures = table[np.ix_(arms, seeds)] * (1 if mode == "max" else -1)
    centered = figures - figures.mean(axis=0)
    variances = k / (k - 1) * centered.var(axis=1, ddof=1)
    means = figures.mean(axis=1)
    errors = np.sqrt((variances[:, None] + variances) / n)
    critical = dunnett_critical(k, n - 1, alpha)
    # arms without any scatter are left: a test cannot judge them
    flat = errors <= _NO_SCATTER * np.abs(figures).max()
    behind = (means - means[:, None] > critical * errors) & ~flat
    stay = np.flatnonzero(~behind.any(axis=1))
    order = stay[np.argsort(-means[stay], kind="stable")]
    return BestArms(tuple(arms[i] for i in order), tuple(arms), tuple(seeds), critical)


@lru_cache(maxsize=256)
def dunnett_critical(arms: int, df: float, alpha: float = 0.05) -> float:
    """Dunnett's (1955) one-sided critical value: `arms` − 1 comparisons with one of them.

    The c at which all (Z_j − Z_0)/√2 ≤ c·s has the chance 1 − α: Z independent standard normal, s
    the root of a χ²/df. Gauss–Hermite quadrature over Z_0, Gauss–Legendre over the chance of s.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NORMAL_NODES)
    weights = weights / weights.sum()
    points, chances = np.polynomial.legendre.leggauss(_CHI_NODES)
    spread = np.sqrt(special.chdtri(df, (1 - points) / 2) / df)

    def missed(critical: float) -> float:
        below = special.ndtr(math.sqrt(2) * critical * spread[:, None] + nodes)
        return 1 - float(chances / 2 @ (below ** (arms - 1) @ weights)) - alpha

    high = 2.0
    while missed(high) > 0:
        high *= 2
    return float(optimize.brentq(missed, 0.0, high, xtol=1e-8))


def _complete(known: npt.NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Arms and seeds of the largest complete table, trying the seeds that most arms have first."""
    order = np.argsort(-known.sum(axis=0), kind="stable")
    most, best = 0, 0
    for count in range(FEWEST_SEEDS, len(order) + 1):
        trials = count * int(known[:, order[:count]].all(axis=1).sum())
        if trials > most:  # of equally many trials those of more arms
            most, best = trials, count
    seeds = sorted(order[:best].tolist())
    return np.flatnonzero(known[:, seeds].all(axis=1)).tolist(), seeds
