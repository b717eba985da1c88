"""Differences between two sides by seed and image: two sources of variance, three statements.

Every seed of both sides scores the same images, so the differences d[s, i] form a crossed table:
the readers × cases problem of radiology (Dorfman, Berbaum and Metz 1992; Obuchowski and Rockette
1995). A test over seeds alone takes the images for all there are, the language-as-fixed-effect
fallacy of Clark (1973); a test over images alone takes the trained models so.

Images of one group (a patient) depend on each other: then the group is the unit, weighted by its
number of images. Without groups every image is one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from bench.analysis import behrens_fisher
from bench.analysis.behrens_fisher import Floats

FEWEST_SEEDS = 3
"""Complete seeds below which nothing is said of new seeds."""
FEWEST_GROUPS = 5
"""Effective number of images, or groups of them, below which nothing is said of new images."""
_NO_SCATTER = 1e-12  # of the largest difference: what rounding alone leaves


class Over(StrEnum):
    """What a statement generalises over.

    both: new seeds and new images. seeds: new seeds, on these images. images: new images of this
    kind, with these trained models.
    """

    BOTH = "both"
    SEEDS = "seeds"
    IMAGES = "images"


class Components(NamedTuple):
    """Mean difference and variances of that mean, by analysis of variance; floats or arrays.

    With σ_s², σ_i² and σ_e² the variances of seeds, images and their interaction, S seeds and G
    images or groups, the expectations are:

    Attributes:
        mean: D, the mean over seeds and images.
        seeds: v_s, from the scatter of the seeds' means: σ_s²/S + σ_e²/(S·G). NaN with one seed.
        images: v_i, from the scatter of the images' means: σ_i²/G + σ_e²/(S·G).
        interaction: v_e, from the residuals: σ_e²/(S·G). NaN with one seed.
    """

    mean: Floats
    seeds: Floats
    images: Floats
    interaction: Floats


def components(differences: npt.ArrayLike, images_in_group: npt.ArrayLike) -> Components:
    """Components of variance of tables of differences.

    Args:
        differences: (…, seeds, groups), means over the images of each group; none may be missing.
        images_in_group: (groups,), positive; all 1 where every image is its own group.

    The shares w of the groups weight their means, so that D is the plain mean over all images. The
    factor c removes the bias that subtracting D brings: G/(G − 1) for groups of equal size.
    """
    table = np.asarray(differences, dtype=float)
    sizes = np.asarray(images_in_group, dtype=float)
    w = sizes / sizes.sum()
    n_seeds = table.shape[-2]
    by_seed, by_group = table @ w, table.mean(axis=-2)
    mean = by_group @ w
    w2 = w * w
    c = w2.sum() / (w2.sum() - 2 * (w2 * w).sum() + w2.sum() ** 2) if len(w) > 1 else np.nan
    images = c * ((by_group - mean[..., None]) ** 2 @ w2)
    if n_seeds == 1:
        unknown = np.full(mean.shape, np.nan)
        return Components(mean, unknown, images, unknown)
    seeds = by_seed.var(axis=-1, ddof=1) / n_seeds
    residuals = table - by_seed[..., None]
    residuals -= (by_group - mean[..., None])[..., None, :]
    np.square(residuals, out=residuals)
    interaction = c * (residuals @ w2).sum(axis=-1) / (n_seeds * (n_seeds - 1))
    return Components(mean, seeds, images, interaction)


def total_variance(
    seeds: npt.ArrayLike, images: npt.ArrayLike, interaction: npt.ArrayLike, correction: float = 0.0
) -> Floats:
    """Variance of the mean over new seeds and new images: v_s + v_i − v_e.

    Both parts contain the interaction. A part that is estimated below 0 (v_s or v_i under v_e) is
    left out (Searle, Casella and McCulloch 1992). `correction` is that of `TwoSources`.
    """
    v_s, v_i, v_e = (np.asarray(part, dtype=float) for part in (seeds, images, interaction))
    larger = np.maximum(v_s, v_i)
    total: Floats = np.where(np.minimum(v_s, v_i) > v_e, v_s + v_i - v_e, larger) + correction * v_i
    return total


def seed_share(seeds: npt.ArrayLike, images: npt.ArrayLike, correction: float = 0.0) -> Floats:
    """λ, which weights the seeds' degrees of freedom: v_s/(v_s + (1 + correction)·v_i)."""
    v_s, v_i = np.asarray(seeds, dtype=float), np.asarray(images, dtype=float)
    found: Floats = v_s / (v_s + (1 + correction) * v_i)
    return found


class Shares(NamedTuple):
    """Parts of the variance of the mean difference; they add up to 1."""

    seeds: float
    images: float
    interaction: float


@dataclass(frozen=True)
class TwoSources:
    """What a table of differences by seed and image says of their mean.

    Attributes:
        mean, seeds, images, interaction: as in `Components`.
        n_seeds: S.
        n_images: images that every trial has a score of.
        n_groups: G* = 1/Σw², the effective number of groups (Carter, Schnepel and Steigerwald
            2017); the number of images without groups.
        correction: for training sets that overlap, k/(k − 1) with k folds, which carries the
            1/k + 1/(k − 1) of Nadeau and Bengio (2003) over to images; else 0.
        largest: the largest difference, to tell scatter from rounding.
    """

    mean: float
    seeds: float
    images: float
    interaction: float
    n_seeds: int
    n_images: int
    n_groups: float
    correction: float = 0.0
    largest: float = 0.0

    @property
    def variance(self) -> float:
        """Of the mean, over new seeds and new images."""
        return float(total_variance(self.seeds, self.images, self.interaction, self.correction))

    @property
    def seed_share(self) -> float:
        """λ, which weights the two sources' degrees of freedom."""
        return float(seed_share(self.seeds, self.images, self.correction))

    def turned(self) -> TwoSources:
        """The same of b − a."""
        return replace(self, mean=-self.mean)

    def shares(self) -> Shares:
        """How much of the variance is due to which seeds, which images, and their interaction.

        NaN where there is none.
        """
        total = self.variance or math.nan
        seeds = max(0.0, self.seeds - self.interaction)
        images = max(0.0, self.images - self.interaction) + self.correction * self.images
        return Shares(seeds / total, images / total, max(0.0, total - seeds - images) / total)

    def standard_error(self, over: Over = Over.BOTH) -> float:
        """Of the mean, for that statement."""
        by_statement = {Over.SEEDS: self.seeds, Over.IMAGES: self.images, Over.BOTH: self.variance}
        return math.sqrt(by_statement[over])

    def is_enough(self, over: Over = Over.BOTH) -> bool:
        """Whether there are enough of what the statement generalises over."""
        if over is not Over.IMAGES and self.n_seeds < FEWEST_SEEDS:
            return False
        return over is Over.SEEDS or self.n_groups >= FEWEST_GROUPS

    def testable(self, over: Over = Over.BOTH) -> bool:
        """Whether there are enough of them, and any scatter."""
        return self.is_enough(over) and self.standard_error(over) > _NO_SCATTER * self.largest

    def p(self, value: float = 0.0, over: Over = Over.BOTH) -> float:
        """Two-sided p for the claim that the mean is not `value`; NaN where not testable."""
        return min(2 * self._upper_tail(abs(self.mean - value), over), 1.0)  # NaN first: it stays

    def p_above(self, value: float = 0.0, over: Over = Over.BOTH) -> float:
        """One-sided p for the claim that the mean is over `value`; NaN where not testable."""
        return self._upper_tail(self.mean - value, over)

    def p_below(self, value: float = 0.0, over: Over = Over.BOTH) -> float:
        """One-sided p for the claim that the mean is under `value`; NaN where not testable."""
        return self._upper_tail(value - self.mean, over)

    def p_within(self, margin: float, over: Over = Over.BOTH) -> float:
        """p of two one-sided tests that the mean is within ±`margin` (Schuirmann 1987)."""
        return max(self.p_above(-margin, over), self.p_below(margin, over))

    def p_outside(self, margin: float, over: Over = Over.BOTH) -> float:
        """p for the claim that the mean is beyond the margin on either side."""
        smaller = min(self.p_above(margin, over), self.p_below(-margin, over))
        return min(2 * smaller, 1.0)

    def interval(self, level: float = 0.05, over: Over = Over.BOTH) -> tuple[float, float]:
        """Confidence interval of 1 − `level`, low and high; NaN where not testable."""
        half = self.half_width(level, over)
        return self.mean - half, self.mean + half

    def half_width(self, level: float = 0.05, over: Over = Over.BOTH) -> float:
        """Half the width of that interval."""
        if not self.testable(over):
            return math.nan
        if over is Over.BOTH:
            t = float(behrens_fisher.quantile(level / 2, self.seed_share, *self._both_df))
        else:
            t = -float(special.stdtrit(self._df(over), level / 2))
        return t * self.standard_error(over)

    def _upper_tail(self, distance: float, over: Over) -> float:
        if not self.testable(over):
            return math.nan
        t = distance / self.standard_error(over)
        if over is Over.BOTH:
            return float(behrens_fisher.upper_tail(t, self.seed_share, *self._both_df))
        return float(special.stdtr(self._df(over), -t))

    @property
    def _both_df(self) -> tuple[float, float]:
        return self._df(Over.SEEDS), self._df(Over.IMAGES)

    def _df(self, over: Over) -> float:
        return self.n_seeds - 1 if over is Over.SEEDS else self.n_groups - 1


def two_sources(
    differences: npt.ArrayLike,
    groups: Sequence[Hashable] | None = None,
    n_folds: int | None = None,
) -> TwoSources:
    """Estimate the mean difference and its variances.

    Args:
        differences: (seeds, images), a − b of complete seeds. Images without a score (NaN) in any
            of them are left out.
        groups: (images,), equal for images that depend on each other; None: each is its own.
        n_folds: of cross-validation, where each seed has one out-of-fold score of every image.

    Raises:
        ValueError: no seed, no image with all scores, or fewer than two folds.
    """
    table = np.asarray(differences, dtype=float)
    if table.ndim != 2 or not table.shape[0]:
        raise ValueError(f"differences must be (seeds, images), not {table.shape}")
    if n_folds is not None and n_folds < 2:
        raise ValueError(f"cross-validation has at least 2 folds, not {n_folds}")
    known = np.isfinite(table).all(axis=0)
    if not known.any():
        raise ValueError("no image has a score in every seed")
    if not known.all():
        table = table[:, known]
        groups = (
            None if groups is None else [g for g, keep in zip(groups, known, strict=True) if keep]
        )
    n_images = table.shape[1]
    largest = max(abs(float(table.max())), abs(float(table.min())))
    by_group, sizes = _group_means(table, groups)
    mean, seeds, images, interaction = (float(x) for x in components(by_group, sizes))
    return TwoSources(
        mean=mean,
        seeds=seeds,
        images=images,
        interaction=interaction,
        n_seeds=len(table),
        n_images=n_images,
        n_groups=float(n_images**2 / (sizes**2).sum()),
        correction=0.0 if n_folds is None else n_folds / (n_folds - 1),
        largest=largest,
    )


def _group_means(table: Floats, groups: Sequence[Hashable] | None) -> tuple[Floats, Floats]:
    """(seeds, groups) means and the groups' numbers of images."""
    if groups is None:
        return table, np.ones(table.shape[1])
    numbers: dict[Hashable, int] = {}
    labels = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    if len(labels) != table.shape[1]:
        raise ValueError(f"{len(labels)} groups for {table.shape[1]} images")
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels).astype(float)
    starts = np.concatenate([[0], np.cumsum(sizes[:-1]).astype(int)])
    return np.add.reduceat(table[:, order], starts, axis=1) / sizes, sizes


def paired_table(scores: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike | float) -> Floats:
    """Differences by seed and image, each the mean over strata.

    Args:
        scores: (trials, images).
        a, b: (strata, seeds), the rows of each side's trials; b may be a number to compare with.

    Returns:
        (seeds, images), in 64 bits. One stratum is held at a time.
    """
    given, rows = np.asarray(scores), np.atleast_2d(np.asarray(a))
    total = np.zeros((rows.shape[1], given.shape[1]))
    others = None if isinstance(b, float | int) else np.atleast_2d(np.asarray(b))
    for stratum in range(len(rows)):
        total += given[rows[stratum]]
        if others is not None:
            total -= given[others[stratum]]
    total /= len(rows)
    if isinstance(b, float | int):
        total -= b
    return total
