"""Looking at the results while seeds are added: what each look may call significant.

A group-sequential test whose looks spend the level α little by little (Lan and DeMets 1983), by the
power family of Kim and DeMets (1987): by a look at n of N seeds, α·(n/N)^ρ in all. The nominal
levels are exact for a paired t-test of normal differences, however few the seeds. Where nothing
differs R_n = Σx/√(nΣx²), from which t = R√(n − 1)/√(1 − R²), is a Markov chain:

    R_{n+1} = (√n·R_n + W)/√((n + 1)(1 + W²)),   W = T_n/√n independent of the past,

so that one recursion in one dimension gives the chance to pass the boundary at each look, as that
of Armitage, McPherson and Rowe (1969) does for a known variance. Its state is the normal score of
|t|, on a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special

from bench.analysis.behrens_fisher import Floats
from bench.spec.repeats import rising

RHO = 1.5

_STEP = 0.025
_POINTS = 341  # normal scores 0…8.5: a two-sided probability of 2e-17
# where sequential p-values are tabulated
_ALPHAS = np.concatenate([np.geomspace(1e-10, 0.05, 46), np.geomspace(0.05, 1.0, 16)[1:]])
_LOG_ALPHAS = np.log(_ALPHAS)


@dataclass(frozen=True)
class Boundaries:
    """Nominal levels of a series of looks.

    Attributes:
        looks: numbers of seeds, rising.
        rho: how late α is spent; 1 evenly, larger later.
        earlier: boundaries in force when the first of these looks were taken, if they were others:
            `minimum` or `maximum` has changed since. Their levels stand, and what they left of α
            is spread over the looks to come.
        taken: how many looks were taken under `earlier`.
    """

    looks: tuple[int, ...]
    rho: float = RHO
    earlier: Boundaries | None = None
    taken: int = 0

    def __post_init__(self) -> None:
        rising(self.looks)
        if (
            self.earlier is not None
            and self.looks[: self.taken] != self.earlier.looks[: self.taken]
        ):
            raise ValueError(f"looks {self.looks} do not begin with those already taken")

    def level(self, look: int, alpha: npt.ArrayLike = 0.05) -> Floats:
        """What a two-sided p must not exceed at a look (0, 1, …), for an error of α in all."""
        return np.asarray(np.exp(np.interp(np.log(alpha), _LOG_ALPHAS, _log_levels(self)[look])))

    def sequential_p(self, look: int, p: npt.ArrayLike) -> Floats:
        """The smallest α at which a two-sided p would be significant at this look; NaN stays.

        The inverse of `level` (Liu and Anderson 2008). The smallest of a hypothesis's looks is a
        p-value, whenever it is taken. Not below 1e-10.
        """
        with np.errstate(divide="ignore"):
            log_p = np.log(np.asarray(p, dtype=float))
        return np.asarray(np.exp(np.interp(log_p, _log_levels(self)[look], _LOG_ALPHAS)))


def nominal_levels(
    looks: Sequence[int], alphas: npt.ArrayLike, rho: float = RHO, fixed: npt.ArrayLike = ()
) -> Floats:
    """Nominal two-sided levels, (looks, alphas); every α at once.

    `fixed`, (looks already taken, alphas), are the levels that were used there. What they left of
    α is spent over the other looks in proportion to the growth of n^ρ.
    """
    n = rising(looks)
    alpha = np.atleast_1d(np.asarray(alphas, dtype=float))
    given = np.asarray(fixed, dtype=float).reshape(-1, len(alpha))
    taken, start = len(given), n[len(given) - 1] ** rho if len(given) else 0.0
    spent = np.zeros(len(alpha))
    left = alpha
    found = []
    mass = _Mass.at(n[0], len(alpha))
    for k, count in enumerate(n):
        mass.go_on_to(count)
        if k < taken:
            cut = -special.ndtri(given[k] / 2)
            spent += mass.remove_beyond(cut)
            left = np.maximum(0.0, alpha - spent)
        else:
            target = alpha - left * (n[-1] ** rho - count**rho) / (n[-1] ** rho - start)
            cut = mass.cut_for(np.maximum(0.0, target - spent))
            spent += mass.remove_beyond(cut)
        found.append(2 * special.ndtr(-cut))
    return np.array(found)


def error_of_looks(looks: Sequence[int], level: float = 0.05) -> float:
    """Chance of a false claim where each look tests at the full `level`.

    What it costs to add seeds after a report: 8.7% instead of 5% with looks at 5 and 10 seeds.
    """
    n = rising(looks)
    mass = _Mass.at(n[0], 1)
    cut = np.array([-special.ndtri(level / 2)])
    error = 0.0
    for count in n:
        mass.go_on_to(count)
        error += float(mass.remove_beyond(cut)[0])
    return error


@lru_cache(maxsize=32)
def _log_levels(boundaries: Boundaries) -> Floats:
    """Logarithms of the nominal levels at the tabulated α: (looks, alphas)."""
    before = boundaries.earlier
    fixed = () if before is None else np.exp(_log_levels(before)[: boundaries.taken])
    levels = nominal_levels(boundaries.looks, _ALPHAS, boundaries.rho, fixed)
    return np.asarray(np.log(levels))


@dataclass
class _Mass:
    """Probability not removed so far, by |y|: y is the normal score of t, (alphas, points).

    It is kept as a density times the step at points 0, h, 2h, …, half of it at 0; integrals are by
    the trapezoidal rule, up to a cut that may lie between two points.
    """

    n: int
    mass: Floats

    @classmethod
    def at(cls, n: int, count: int) -> _Mass:
        """`count` times the state at n seeds, where y is standard normal."""
        y = np.arange(_POINTS) * _STEP
        density = 2 * np.exp(-y * y / 2) / math.sqrt(2 * math.pi) * _STEP
        density[0] /= 2
        return cls(n, np.tile(density, (count, 1)))

    def go_on_to(self, n: int) -> None:
        """Add seeds."""
        while self.n < n:
            self.mass = self.mass @ _transition(self.n)
            self.n += 1

    def cut_for(self, wanted: Floats) -> Floats:
        """The |y| beyond which lies so much probability; 0 where there is not so much."""
        tails = self._tails()
        wanted = np.minimum(wanted, tails[:, 0])
        at = np.clip((tails >= wanted[:, None]).sum(axis=1) - 1, 0, _POINTS - 2)
        rows = np.arange(len(at))
        density = self._density()
        here, slope = density[rows, at], density[rows, at + 1] - density[rows, at]
        rest = np.maximum(0.0, tails[rows, at] - wanted)
        # ∫ of a linear density over the part d of a step: here·d + slope·d²/2 = rest
        root = np.sqrt(np.maximum(0.0, here**2 + 2 * slope * rest))
        part = np.where(rest > 0, 2 * rest / np.maximum(here + root, 1e-300), 0.0)
        cut: Floats = (at + np.minimum(part, 1.0)) * _STEP
        return cut

    def remove_beyond(self, cut: Floats) -> Floats:
        """Take away what lies beyond each cut, and say how much that was."""
        at = np.minimum((cut / _STEP).astype(int), _POINTS - 2)
        part = cut / _STEP - at
        rows, density = np.arange(len(at)), self._density()
        here, following = density[rows, at], density[rows, at + 1]
        removed: Floats = self._tails()[rows, at] - (
            here * (part - part**2 / 2) + following * part**2 / 2
        )
        self.mass = np.where(np.arange(_POINTS) <= at[:, None], self.mass, 0.0)
        # weights of the trapezoidal rule that ends at the cut: 1 … 1, ½ + d − d²/2, d²/2
        self.mass[rows, at] = here * (np.where(at > 0, 0.5, 0.0) + part - part**2 / 2)
        self.mass[rows, at + 1] = following * part**2 / 2
        return np.maximum(0.0, removed)

    def _density(self) -> Floats:
        density = self.mass.copy()
        density[:, 0] *= 2
        return density

    def _tails(self) -> Floats:
        """Probability beyond each point, summed from the far end for the sake of small tails."""
        beyond = np.cumsum(self.mass[:, ::-1], axis=1)[:, ::-1]
        weight = np.full(_POINTS, 0.5)
        weight[0] = 0.0
        return np.asarray(beyond - self.mass * weight)


@lru_cache(maxsize=32)  # 1 MB each
def _transition(n: int) -> Floats:
    """From each |y| at n seeds to each at n + 1: (points, points), rows adding up to 1.

    The chance of a whole cell around a point is exact: |R_{n+1}| > c holds for W between two roots
    (beyond them for small c). Cells become densities at their middles by f = m − δ²m/24; taken as
    they are they would add h²/12 to the variance at each step.
    """
    points = np.arange(_POINTS, dtype=float)
    r, rest = _correlation(points * _STEP, n)
    c, rest_c = _correlation((points + 0.5) * _STEP, n + 1)
    a = c * c * (n + 1) - 1
    a = np.where(np.abs(a) < 1e-9, 1e-9, a)
    discriminant = (n + 1) * rest_c - n * rest[:, None]  # n·R² − a, without cancelling near |R| = 1
    root = c * math.sqrt(n + 1) * np.sqrt(np.maximum(0.0, discriminant))
    middle = math.sqrt(n) * r[:, None]
    low, high = (special.stdtr(n, math.sqrt(n) * (middle + s * root) / a) for s in (-1, 1))
    beyond = np.where(a > 0, high - low, 1 + high - low)  # a < 0 exchanges the roots
    cells = -np.diff(beyond, axis=1, prepend=1.0)
    cells[:, -1] += beyond[:, -1]
    # as on the whole line, which |y| folds at 0: the cell of 0 counts twice, the others once
    line = np.concatenate(
        [cells[:, 1:2], 2 * cells[:, :1], cells[:, 1:], np.zeros((_POINTS, 1))], 1
    )
    curvature = np.diff(line, n=2, axis=1)
    curvature[:, 0] /= 2
    return np.asarray(cells - curvature / 24)


def _correlation(y: Floats, n: int) -> tuple[Floats, Floats]:
    """R and 1 − R² of a normal score of t at n seeds; from the upper tail, as R comes near 1."""
    t_squared = special.stdtrit(n - 1, special.ndtr(-y)) ** 2
    return np.sqrt(t_squared / (n - 1 + t_squared)), (n - 1) / (n - 1 + t_squared)
