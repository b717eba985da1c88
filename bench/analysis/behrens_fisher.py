"""Behrens–Fisher distribution: the weighted sum of two independent Student variables.

T = √λ·T₁ + √(1 − λ)·T₂, with f₁ and f₂ degrees of freedom, is the fiducial (or Bayesian, with flat
priors) distribution of a standardised mean whose variance is the sum of two estimated parts, of
which the first has the share λ (Behrens 1929, Fisher 1935). All functions take arrays that
broadcast against each other, but degrees of freedom are scalars.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.float64]

# Relative error of tails down to 1e-10 against 512 nodes: 2e-8 with 96 nodes, 2e-5 with 64.
_NODES = 96
_NEGLIGIBLE = 1e-18  # probability of the beta variable left out at either end
_STEPS = 100  # ten suffice
_NEAR = 1e-13  # of the logarithm of the tail


class _Mixture(NamedTuple):
    """Nodes B of a Beta(f₁/2, f₂/2) variable: their weights, f₁/B and f₂/(1 − B)."""

    weights: Floats
    first: Floats
    second: Floats


@lru_cache(maxsize=256)
def _mixture(df1: float, df2: float) -> _Mixture:
    """Trapezoidal rule over the log-odds of B, on which the integrand is smooth at both ends.

    Over B itself the square root at 0 and 1 costs all accuracy at 2 degrees of freedom.
    """
    low = special.betaincinv(df1 / 2, df2 / 2, _NEGLIGIBLE)
    high = special.betaincinv(df2 / 2, df1 / 2, _NEGLIGIBLE)
    log_odds = np.linspace(np.log(low / (1 - low)), -np.log(high / (1 - high)), _NODES)
    log_b, log_not_b = -np.logaddexp(0, -log_odds), -np.logaddexp(0, log_odds)
    log_density = (df1 * log_b + df2 * log_not_b) / 2
    weights = np.exp(log_density - log_density.max())
    return _Mixture(weights / weights.sum(), df1 * np.exp(-log_b), df2 * np.exp(-log_not_b))


def upper_tail(t: npt.ArrayLike, share: npt.ArrayLike, df1: float, df2: float) -> Floats:
    """P(T > t), where the first source has `share` (λ, in 0…1) of the variance.

    Conditional on B = χ₁²/(χ₁² + χ₂²) ~ Beta(f₁/2, f₂/2) the sum is a Student variable of f₁ + f₂
    degrees of freedom, scaled by √((λ·f₁/B + (1 − λ)·f₂/(1 − B))/(f₁ + f₂)): one smooth integral
    (Ruben 1960). NaN in, NaN out.
    """
    mixture = _mixture(float(df1), float(df2))
    part = np.asarray(share, dtype=float)[..., None]
    scale = np.sqrt((df1 + df2) / (part * mixture.first + (1 - part) * mixture.second))
    tails = special.stdtr(df1 + df2, -np.asarray(t, dtype=float)[..., None] * scale)
    found: Floats = tails @ mixture.weights
    return found


def two_sided_p(t: npt.ArrayLike, share: npt.ArrayLike, df1: float, df2: float) -> Floats:
    """P(|T| > |t|)."""
    return np.minimum(1.0, 2 * upper_tail(np.abs(t), share, df1, df2))


def quantile(tail: npt.ArrayLike, share: npt.ArrayLike, df1: float, df2: float) -> Floats:
    """The t with P(T > t) = `tail`, for tails in (0, 0.5].

    By regula falsi on the logarithm of the tail, which is nearly straight, with a side that stays
    twice counted half (Illinois; Dowell and Jarratt 1971).
    """
    wanted, part = np.broadcast_arrays(np.asarray(tail, float), np.asarray(share, float))

    def excess(t: Floats) -> Floats:
        return np.asarray(np.log(upper_tail(t, part, df1, df2) / wanted))

    low, high = np.zeros(wanted.shape), np.ones(wanted.shape)
    above, below = excess(low), excess(high)
    while (more := below > 0).any():
        low, above = np.where(more, high, low), np.where(more, below, above)
        high = np.where(more, 2 * high, high)
        below = np.where(more, excess(high), below)
    before = np.zeros(wanted.shape)  # which end moved last: 1 the lower one, −1 the upper one
    for _ in range(_STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):  # both ends are the root
            middle = np.where(above > below, (low * -below + high * above) / (above - below), low)
        at = excess(middle)
        if not (np.abs(at) > _NEAR).any():
            break
        more = at > 0
        below = np.where(more, np.where(before > 0, below / 2, below), at)
        above = np.where(more, at, np.where(before < 0, above / 2, above))
        low, high = np.where(more, middle, low), np.where(more, high, middle)
        before = np.where(more, 1.0, -1.0)
    return np.asarray(middle)
