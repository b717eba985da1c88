"""Simulated studies: quick ones for the suite, long ones for tests/benchmarks/statistics.py."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from bench.analysis import behrens_fisher
from bench.analysis.behrens_fisher import Floats
from bench.analysis.epoch_selection import cross_fitted, last_epochs_mean
from bench.analysis.evidence import Evidence
from bench.analysis.repeats import Progress, replay
from bench.analysis.sequential import Boundaries
from bench.analysis.two_sources import components, seed_share, total_variance
from bench.spec.repeats import looks

DEFAULT = Boundaries(looks(3, 20))

Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def bound(level: float, studies: int) -> float:
    """The level and three standard errors of a share found in so many studies."""
    return level + 3 * math.sqrt(level * (1 - level) / studies)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return rng.normal(size=shape)


def heavy_tailed(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Student's t of 3 degrees, scaled to variance 1."""
    return rng.standard_t(3, shape) / math.sqrt(3)


def skewed_alike(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Differences of two sides that are exponential alike, scaled to variance 1."""
    return (rng.exponential(size=shape) - rng.exponential(size=shape)) / math.sqrt(2)


def skewed_unlike(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Differences of which one side alone scatters, exponentially: mean 0, variance 1."""
    return rng.exponential(size=shape) - 1


def seven_values(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Whole numbers −3…3, as epochs or ranks are."""
    return np.clip(np.rint(rng.normal(0, 1.3, shape)), -3, 3)


@dataclass(frozen=True)
class Table:
    """Differences by seed and image without a difference; standard deviations of the parts.

    `patient` is shared by the `per_patient` images of one patient.
    """

    seeds: int
    images: int
    sd_seed: float
    sd_image: float
    sd_rest: float
    sd_patient: float = 0.0
    per_patient: int = 1
    draw: Draw = normal

    def draw_many(self, studies: int, rng: np.random.Generator) -> Floats:
        """(studies, seeds, images)."""
        patients = self.draw(rng, (studies, 1, self.images // self.per_patient))
        found = (
            self.sd_seed * self.draw(rng, (studies, self.seeds, 1))
            + self.sd_image * self.draw(rng, (studies, 1, self.images))
            + self.sd_rest * self.draw(rng, (studies, self.seeds, self.images))
            + self.sd_patient * patients.repeat(self.per_patient, axis=2)
        )
        return np.asarray(found)


def shares(seeds: int, images: int, of: tuple[float, float, float], draw: Draw = normal) -> Table:
    """A table whose mean has these shares of its variance from seeds, images and interaction."""
    sd = np.sqrt(np.array(of) * (seeds, images, seeds * images))
    return Table(seeds, images, *(float(x) for x in sd), draw=draw)


def p_of_both(tables: Floats, correction: float = 0.0) -> Floats:
    """Two-sided p over seeds and images of many tables."""
    n_seeds, n_images = tables.shape[-2:]
    found = components(tables, np.ones(n_images))
    variance = total_variance(found.seeds, found.images, found.interaction, correction)
    share = seed_share(found.seeds, found.images, correction)
    t = found.mean / np.sqrt(variance)
    return behrens_fisher.two_sided_p(t, share, n_seeds - 1, n_images - 1)


def p_of_seeds(tables: Floats) -> Floats:
    """p of the paired t-test over seeds alone."""
    return np.asarray(stats.ttest_1samp(tables.mean(axis=-1), 0, axis=-1).pvalue)


def p_by_satterthwaite(tables: Floats) -> Floats:
    """What mixed models give for balanced data; too small a p with few seeds."""
    n_seeds, n_images = tables.shape[-2:]
    found = components(tables, np.ones(n_images))
    df = (n_seeds - 1, n_images - 1)
    total = total_variance(found.seeds, found.images, found.interaction)
    below = found.seeds**2 / df[0] + found.images**2 / df[1]
    below = below + found.interaction**2 / (df[0] * df[1])
    return np.asarray(2 * stats.t.sf(np.abs(found.mean) / np.sqrt(total), total**2 / below))


def errors(
    table: Table, studies: int, level: float, test: Callable[[Floats], Floats], seed: int = 0
) -> float:
    """Share of studies without a difference in which the test claims one."""
    rng, wrong, block = np.random.default_rng(seed), 0, 500
    for first in range(0, studies, block):
        tables = table.draw_many(min(block, studies - first), rng)
        wrong += int((test(tables) <= level).sum())
    return wrong / studies


def errors_per_patient(table: Table, studies: int, seed: int = 0) -> tuple[float, float]:
    """Errors of the test over seeds and patients, and over seeds and images."""
    tables = table.draw_many(studies, np.random.default_rng(seed))
    patients = tables.reshape(studies, table.seeds, -1, table.per_patient).mean(axis=3)
    return float((p_of_both(patients) <= 0.05).mean()), float((p_of_both(tables) <= 0.05).mean())


def claims_at_any_look(
    looks: Sequence[int], levels: Sequence[float], draw: Draw, studies: int, seed: int = 0
) -> float:
    """Share of studies without a difference in which the t-test of some look has p ≤ its level.

    Without scatter there is no test.
    """
    rng, wrong, block = np.random.default_rng(seed), 0, 50_000
    for first in range(0, studies, block):
        count = min(block, studies - first)
        x = draw(rng, (count, max(looks)))
        sums, squares = x.cumsum(axis=1), (x * x).cumsum(axis=1)
        claimed = np.zeros(count, dtype=bool)
        for n, level in zip(looks, levels, strict=True):
            total, square = sums[:, n - 1], squares[:, n - 1]
            scatter = square - total**2 / n
            scatters = scatter > 1e-9 * square
            t = total * np.sqrt((n - 1) / n / np.where(scatters, scatter, 1.0))
            claimed |= scatters & (np.abs(t) >= stats.t.isf(level / 2, n - 1))
        wrong += int(claimed.sum())
    return wrong / studies


@dataclass(frozen=True)
class SixHypotheses:
    """Four differences and two equivalences over four arms, repeated until settled.

    `effects` are the arms' means in units of the standard deviation of a paired difference.
    """

    effects: tuple[float, float, float, float]
    margin: float = 1.0
    draw: Draw = normal
    boundaries: Boundaries = DEFAULT

    PAIRS = ((0, 1), (0, 2), (1, 2), (2, 3), (0, 3), (1, 3))
    N_DIFFERENCES = 4

    def study(self, rng: np.random.Generator) -> Progress:
        """One study."""
        seeds = self.boundaries.looks[-1]
        figures = self.draw(rng, (4, seeds)) / math.sqrt(2) + np.array(self.effects)[:, None]
        differences = np.array([figures[a] - figures[b] for a, b in self.PAIRS])
        evidence = {n: self._evidence(differences[:, :n]) for n in self.boundaries.looks}
        arms = [frozenset(str(arm) for arm in pair) for pair in self.PAIRS]
        return replay(self.boundaries, arms, lambda i, n: evidence[n][i], lambda *_: True)

    def _evidence(self, differences: Floats) -> list[Evidence]:
        n = differences.shape[1]
        mean, error = differences.mean(axis=1), differences.std(axis=1, ddof=1) / math.sqrt(n)
        over, over_low, over_high = (
            special.stdtr(n - 1, (value - mean) / error) for value in (0, -self.margin, self.margin)
        )
        found = [Evidence(p, 1 - p) for p in over[: self.N_DIFFERENCES]]
        for i in range(self.N_DIFFERENCES, len(self.PAIRS)):
            within = (over_low[i], 1 - over_high[i])
            found.append(Evidence(over_high[i], 1 - over_low[i], within))
        return found

    def is_false(self, progress: Progress) -> bool:
        """Whether any claim of a study is."""
        for i, ((a, b), decision) in enumerate(zip(self.PAIRS, progress.decisions, strict=True)):
            true = self.effects[a] - self.effects[b]
            margin = self.margin if i >= self.N_DIFFERENCES else 0.0
            right = {"above": true > margin, "below": true < -margin, "within": abs(true) < margin}
            if decision.claim is not None and not right[decision.claim]:
                return True
        return False

    def false_claims(self, studies: int, seed: int = 0) -> float:
        """Share of studies with any false claim."""
        rng = np.random.default_rng(seed)
        return sum(self.is_false(self.study(rng)) for _ in range(studies)) / studies


def cross_validated(
    studies: int, n: int, n_seeds: int, k: int, features: int = 30, seed: int = 0
) -> Floats:
    """Out-of-fold differences of two learners that are equal by symmetry: (studies, seeds, n).

    The truth depends alike on two sets of features; each learner is a ridge regression on one of
    them, whose features a seed jitters by a tenth. Every seed has the same folds.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, studies, n, features))
    y = x.sum(axis=(0, 3)) / math.sqrt(features) + rng.normal(size=(studies, n))
    fold, penalty = np.arange(n) % k, 0.1 * np.eye(features)
    scores = np.empty((2, studies, n_seeds, n))
    for learner, s, f in itertools.product(range(2), range(n_seeds), range(k)):
        jitter = np.random.default_rng((seed, learner, s)).normal(0, 0.1, x[learner].shape)
        seen = x[learner] + jitter
        train, test = seen[:, fold != f], seen[:, fold == f]
        turned = train.transpose(0, 2, 1)
        weights = np.linalg.solve(turned @ train + penalty, turned @ y[:, fold != f, None])
        errors = (test @ weights)[..., 0] - y[:, fold == f]
        scores[learner, :, s, fold == f] = -(errors**2).T
    return np.asarray(scores[0] - scores[1])


def fluctuating_curves(
    studies: int, images: int, epochs: int = 100, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of (figure − truth) of best_val, the cross-fitted score and the last ten epochs.

    The mean curve scatters by 0.01 from epoch to epoch, an image's own score by 0.08 more.
    """
    rng, found = np.random.default_rng(seed), []
    for _ in range(studies):
        truth = 0.9 + rng.normal(0, 0.01, epochs)
        scores = truth[:, None] + rng.normal(0, 0.08, (epochs, images))
        curve = scores.mean(axis=1)
        best = int(curve.argmax())
        crossed = cross_fitted(scores)
        found.append(
            (
                curve[best] - truth[best],
                crossed.score - truth[list(crossed.epochs)].mean(),
                last_epochs_mean(curve) - truth[-10:].mean(),
            )
        )
    return tuple(np.mean(found, axis=0).tolist())
