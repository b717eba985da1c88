"""How often the statistics claim what is not so, and how often they find what is, by simulation.

`PYTHONPATH=. python tests/benchmarks/error_rates.py [PART …]` prints shares in %; `--scale 0.1`
takes a tenth of the studies. The normal suite
(tests/analysis) runs the same simulations with fewer studies.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special, stats

from bench.analysis import behrens_fisher
from bench.analysis.best_arms import may_be_best
from bench.analysis.cautions import one_seed_carries
from bench.analysis.evidence import Claim
from bench.analysis.failures import is_withheld
from bench.analysis.sequential import error_of_looks
from bench.analysis.sign_test import p_above
from bench.analysis.two_sources import components, seed_share, total_variance
from tests.analysis import simulated
from tests.analysis.simulated import DEFAULT, Draw, SixHypotheses, Table

LEVELS = (0.05, 0.005, 0.05 / 36)
SHAPES: dict[str, Draw] = {
    "normal": simulated.normal,
    "t of 3 degrees": simulated.heavy_tailed,
    "both sides skewed": simulated.skewed_alike,
    "one side skewed": simulated.skewed_unlike,
}


def row(name: str, values: Sequence[float]) -> None:
    """One line of a table, in %."""
    print(f"  {name:58}" + "".join(f"{100 * value:9.3f}" for value in values), flush=True)


def two_sources(scale: float) -> None:
    """Worst error over shares of variance at 5%, 0.5% and 0.14%."""
    tests: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "Behrens–Fisher": simulated.p_of_both,
        "Satterthwaite": simulated.p_by_satterthwaite,
        "t over seeds": simulated.p_of_seeds,
    }
    parts = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
    ratios = [(s, i, 1 - s - i) for s in parts for i in parts if s + i < 1 + 1e-9]
    for (seeds, images), (shape, draw) in itertools.product(
        ((3, 10), (3, 60), (5, 60), (10, 60)), SHAPES.items()
    ):
        studies = int(20_000 * scale)
        worst = dict.fromkeys(tests, np.zeros(len(LEVELS)))
        for seed, ratio in enumerate(ratios):
            rng = np.random.default_rng(seed)
            table = simulated.shares(seeds, images, ratio, draw)
            count = dict.fromkeys(tests, np.zeros(len(LEVELS)))
            for first in range(0, studies, 1000):
                tables = table.draw_many(min(1000, studies - first), rng)
                for name, test in tests.items():
                    count[name] = count[name] + [(test(tables) <= a).sum() for a in LEVELS]
            worst = {name: np.maximum(worst[name], count[name] / studies) for name in tests}
        for name, found in worst.items():
            row(f"{seeds} seeds × {images} images, {shape}: {name}", found)


def statements(scale: float) -> None:
    """The three settings of the suite, and patients."""
    studies = int(20_000 * scale)
    image_heavy, seed_heavy = Table(5, 60, 0.005, 0.1, 0.1), Table(3, 60, 0.1, 0.01, 0.1)
    for name, table in (
        ("images dominate, 5 × 60", image_heavy),
        ("seeds dominate, 3 × 60", seed_heavy),
    ):
        both = simulated.errors(table, studies, 0.05, simulated.p_of_both)
        row(
            f"{name}: over both, over seeds",
            [both, simulated.errors(table, studies, 0.05, simulated.p_of_seeds)],
        )
    patients = Table(3, 50, 0.005, 0.0, 0.05, sd_patient=0.1, per_patient=5)
    row(
        "10 patients × 5 images: per patient, per image",
        simulated.errors_per_patient(patients, studies),
    )


def looks(scale: float) -> None:
    """Errors of all looks together: wanted 5, 0.5 and 0.14%."""
    studies = int(2_000_000 * scale)
    levels = {
        alpha: [float(DEFAULT.level(k, alpha)) for k in range(len(DEFAULT.looks))]
        for alpha in LEVELS
    }
    shapes = SHAPES | {"seven distinct values": simulated.seven_values}
    for name, draw in shapes.items():
        count = studies if name == "normal" else studies // 10
        found = [
            simulated.claims_at_any_look(DEFAULT.looks, levels[a], draw, count) for a in LEVELS
        ]
        row(f"3…20 seeds, {name}", found)
    naive = [0.05] * len(DEFAULT.looks)
    row(
        "p < 0.05 at every look",
        [simulated.claims_at_any_look(DEFAULT.looks, naive, simulated.normal, studies // 10)],
    )
    five_ten = simulated.claims_at_any_look((5, 10), [0.05, 0.05], simulated.normal, studies // 4)
    row("looks at 5 and 10: found, by the recursion", [five_ten, error_of_looks((5, 10))])


def looks_at_two_sources(scale: float) -> None:
    """The test over seeds and images (60) at the levels of the looks."""
    studies, block = int(10_000 * scale), 250
    for shares in (
        (1.0, 0, 0),
        (0.9, 0.1, 0),
        (0.5, 0.5, 0),
        (0.2, 0.8, 0),
        (0.3, 0.3, 0.4),
        (0.0, 0.0, 1.0),
    ):
        rng, wrong = np.random.default_rng(0), 0
        table = simulated.shares(20, 60, shares)
        for first in range(0, studies, block):
            tables = table.draw_many(min(block, studies - first), rng)
            claimed = np.zeros(len(tables), dtype=bool)
            for look, n in enumerate(DEFAULT.looks):
                claimed |= simulated.p_of_both(tables[:, :n]) <= DEFAULT.level(look)
            wrong += int(claimed.sum())
        row(f"shares of seeds, images, interaction at 20 seeds: {shares}", [wrong / studies])


def six_hypotheses(scale: float) -> None:
    """Any false claim of four differences and two equivalences, repeated until settled."""
    studies = int(2000 * scale)
    for effects in (
        (0.0, 0.0, 0.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
        (0.0, 0.5, 1.0, 3.0),
        (0.0, 1.0, 1.0, 2.0),
    ):
        row(f"arms at {effects} sd, margin 1", [SixHypotheses(effects).false_claims(studies)])
    heavy = SixHypotheses((0.0, 0.0, 0.0, 0.0), draw=simulated.heavy_tailed)
    row("all equal, t of 3 degrees", [heavy.false_claims(studies)])


def folds(scale: float) -> None:
    """Equal ridge regressions, n 60: chosen test, without the correction, t over seeds."""
    studies = int(1500 * scale)
    for features, seeds, k in itertools.product((5, 30, 40), (3, 5), (2, 5)):
        if features >= 60 * (k - 1) // k:
            continue
        tables = simulated.cross_validated(studies, 60, seeds, k, features)
        found = [
            simulated.p_of_both(tables, k / (k - 1)),
            simulated.p_of_both(tables),
            simulated.p_of_seeds(tables),
        ]
        row(f"{features} features, {seeds} seeds × {k} folds", [(p <= 0.05).mean() for p in found])


def numbers(scale: float) -> None:
    """The sign test of the median of skewed runs, either side; t-test of the mean."""
    studies = int(200_000 * scale)
    for runs in (5, 8, 10, 20):
        values = np.random.default_rng(runs).lognormal(0, 1, (studies, runs))
        p = np.array([p_above([1.0] * k + [-1.0] * (runs - k), 0.0) for k in range(runs + 1)])
        over = (values > 1).sum(axis=1)
        t_test = stats.ttest_1samp(values, math.exp(0.5), axis=1).pvalue
        row(
            f"{runs} runs: over, under, t",
            [(p[over] <= 0.05).mean(), (p[runs - over] <= 0.05).mean(), (t_test <= 0.05).mean()],
        )


def best_arms(scale: float) -> None:
    """A given one of equal arms is not in the set; average size where the arms spread over 6 sd."""
    for arms, seeds, studies in (
        (2, 3, 4000),
        (10, 3, 4000),
        (50, 3, 4000),
        (50, 5, 4000),
        (50, 10, 2000),
        (500, 5, 200),
    ):
        count = max(20, int(studies * scale))
        for noise in (1.0, 3.0):
            rng, missed = np.random.default_rng(arms), 0
            scatter = np.ones((arms, 1))
            scatter[0] = noise
            for _ in range(count):
                missed += 0 not in may_be_best(scatter * rng.normal(size=(arms, seeds))).arms
            row(f"{arms} arms, {seeds} seeds, this arm {noise:g} times as noisy", [missed / count])
        spread = np.linspace(0, 6, arms)[:, None]
        sizes = [len(may_be_best(spread + rng.normal(size=(arms, seeds))).arms) for _ in range(20)]
        print(f"  {arms} arms over 6 sd, {seeds} seeds: {np.mean(sizes):.0f} may be best")


def epochs(scale: float) -> None:
    """Figure minus truth × 100: best_val, cross-fitted, last ten epochs."""
    for images in (28, 60, 270):
        row(f"100 epochs, {images} images", simulated.fluctuating_curves(int(2000 * scale), images))


def divergence(scale: float) -> None:
    """Equal arms; a's lowest runs diverge: claims for a, leaving them out and withholding."""
    studies = int(20_000 * scale)
    for seeds, share in itertools.product((5, 10), (0.2, 0.6)):
        rng, plain, withheld = np.random.default_rng(seeds), 0, 0
        for _ in range(studies):
            a, b = rng.normal(size=(2, seeds))
            diverged = a < stats.norm.ppf(share)
            kept = (a - b)[~diverged]
            if len(kept) < 3:
                continue
            t = kept.mean() / kept.std(ddof=1) * math.sqrt(len(kept))
            if t > 0 and 2 * special.stdtr(len(kept) - 1, -t) <= 0.05:
                plain += 1
                withheld += not is_withheld(Claim.ABOVE, "max", {"a": int(diverged.sum()), "b": 0})
        row(
            f"{seeds} seeds, {share:.0%} diverge: left out, withheld",
            [plain / studies, withheld / studies],
        )


def unlike_skew(scale: float) -> None:
    """Lognormal arms of equal means: errors of t, cautioned among errors, cautioned among all."""
    studies = int(20_000 * scale)
    for (wide, narrow), seeds in itertools.product(
        ((1.0, 0.25), (0.5, 0.5), (0.05, 0.05)), (4, 5, 10)
    ):
        rng = np.random.default_rng(seeds)
        arms = [rng.lognormal(-sd * sd / 2, sd, (studies, seeds)) for sd in (wide, narrow)]
        d = arms[0] - arms[1]
        wrong = stats.ttest_1samp(d, 0, axis=1).pvalue <= 0.05
        warned = np.array([one_seed_carries(x) is not None for x in d])
        row(
            f"lognormal {wide} and {narrow}, {seeds} seeds",
            [wrong.mean(), warned[wrong].mean(), warned.mean()],
        )


def coverage(scale: float) -> None:
    """Intervals of 95% over both sources that hold the truth."""
    studies = int(4000 * scale)
    for shares in ((0.9, 0.1, 0), (0.5, 0.5, 0), (0.1, 0.9, 0), (0.3, 0.3, 0.4)):
        for seeds in (3, 5, 10):
            tables = simulated.shares(seeds, 60, shares).draw_many(
                studies, np.random.default_rng(0)
            )
            found = components(tables, np.ones(60))
            width = behrens_fisher.quantile(
                0.025, seed_share(found.seeds, found.images), seeds - 1, 59
            )
            half = width * np.sqrt(total_variance(found.seeds, found.images, found.interaction))
            row(
                f"{seeds} seeds × 60 images, shares {shares}", [(np.abs(found.mean) <= half).mean()]
            )


def power(scale: float) -> None:
    """A difference of 2.5 true standard errors: over both, Satterthwaite, known variance."""
    studies, known = int(10_000 * scale), float(stats.norm.sf(stats.norm.isf(0.025) - 2.5))
    for seeds, part in itertools.product(
        (3, 5, 10), ((0.9, 0.1, 0), (0.5, 0.5, 0), (0.1, 0.9, 0), (0.3, 0.3, 0.4))
    ):
        tables = (
            simulated.shares(seeds, 60, part).draw_many(studies, np.random.default_rng(0)) + 2.5
        )
        tests = (simulated.p_of_both, simulated.p_by_satterthwaite)
        row(
            f"{seeds} seeds × 60 images, shares {part}",
            [*((test(tables) <= 0.05).mean() for test in tests), known],
        )


PARTS = (
    two_sources, statements, coverage, power, looks, looks_at_two_sources, six_hypotheses, folds,
    numbers, best_arms, epochs, divergence, unlike_skew,
)  # fmt: skip


def main() -> None:
    """Print the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "parts", nargs="*", choices=[[], *(part.__name__ for part in PARTS)], default=[]
    )
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    for part in PARTS:
        if not given.parts or part.__name__ in given.parts:
            start = time.process_time()
            print(f"{part.__name__}: {part.__doc__}")
            part(given.scale)
            print(f"  {time.process_time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
