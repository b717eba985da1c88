"""Simulated studies in which trials failed, and how often their verdicts are wrong.

Arms are compared in several strata whose effects cancel out: over all of them nothing differs, so
every conclusive verdict of a difference is wrong. Failures know nothing of the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.analysis.contrasts import Word
from bench.analysis.stats import Floats
from bench.analysis.strata import Gap, Pairs, Stratum
from bench.spec.hypotheses import Hypothesis
from tests.builders.contrasts import results_of

Flags = npt.NDArray[np.bool_]
Rule = Callable[[Floats, Flags], Floats]
Failing = Callable[[np.random.Generator, tuple[int, ...]], Flags]
"""Which trials (arms, strata, seeds) fail."""


@dataclass(frozen=True)
class Design:
    """A study: arms × strata × seeds, every two arms compared by a hypothesis.

    Attributes:
        arms: 2 or more.
        effects: by stratum, what the later of two neighbouring arms has more.
        seeds: repeats.
        sd: of one trial's figure.
        margin: of equivalence; None: a difference is claimed.
    """

    arms: int = 2
    effects: tuple[float, ...] = (0.02, -0.02)
    seeds: int = 5
    sd: float = 0.005
    margin: float | None = None

    def draw(self, rng: np.random.Generator) -> Floats:
        """The figures, (arms, strata, seeds)."""
        shape = (self.arms, len(self.effects), self.seeds)
        arm = np.arange(self.arms)[:, None, None]
        return rng.normal(0, self.sd, shape) + arm * np.array(self.effects)[:, None]

    def hypothesis(self) -> Hypothesis:
        """What is claimed of every two arms."""
        claimed = {"expect": "higher"} if self.margin is None else {
            "expect": "equivalent", "margin": self.margin}  # fmt: skip
        return Hypothesis.model_validate(
            {"id": "h", "claim": "c", "metric": "best_val_dice", "a": {"m": "a"}, "b": {"m": "b"}}
            | claimed
        )


def at_random(share: float) -> Failing:
    """Every trial fails with this probability."""
    return lambda rng, shape: rng.random(shape) < share


def in_one_stratum(count: int) -> Failing:
    """So many seeds of the last stratum fail, the same ones in all arms."""

    def failing(rng: np.random.Generator, shape: tuple[int, ...]) -> Flags:
        failed = np.zeros(shape, dtype=bool)
        failed[:, -1, rng.permutation(shape[-1])[:count]] = True
        return failed

    return failing


def complete_seeds(differences: Floats, known: Flags) -> Floats:
    """The rule in use: differences (strata, seeds) as the report averages them."""
    strata = tuple(
        Stratum(
            {"x": str(stratum)},
            {seed: float(row[seed]) for seed in np.flatnonzero(here)},
            gaps=tuple(Gap(int(seed), "a", "crash") for seed in np.flatnonzero(~here)),
        )
        for stratum, (row, here) in enumerate(zip(differences, known, strict=True))
    )
    return Pairs(strata, {}).by_seed


def whichever_strata(differences: Floats, known: Flags) -> Floats:
    """The rule of the first release: the mean of the strata that a seed has."""
    sums, counts = np.where(known, differences, 0.0).sum(axis=0), known.sum(axis=0)
    return np.asarray(sums[counts > 0] / counts[counts > 0])


def concluded(
    design: Design,
    failing: Failing,
    rule: Rule,
    studies: int,
    seed: int,
    wrong: frozenset[Word] = frozenset({Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT}),
) -> float:
    """The share of studies with any such verdict; by default any that is conclusive."""
    rng, hypothesis = np.random.default_rng(seed), design.hypothesis()
    pairs = [(i, j) for i in range(design.arms) for j in range(i)]
    count = 0
    for _ in range(studies):
        figures = design.draw(rng)
        known = ~failing(rng, figures.shape)
        differences = [rule(figures[i] - figures[j], known[i] & known[j]) for i, j in pairs]
        found = results_of([hypothesis] * len(pairs), differences)
        count += not wrong.isdisjoint(one.word for one in found)
    return count / studies
