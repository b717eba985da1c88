"""How often verdicts are wrong where trials failed, in studies without any difference.

`PYTHONPATH=. python tests/benchmarks/missing.py` prints shares of studies with a wrong verdict, in
%, for the rule in use (complete seeds) and for that of the first release (whichever strata a seed
has): failures at random and in one stratum, one hypothesis and six, differences and equivalence at
its margin. 4,000 studies a figure take ten minutes on one core (`--studies`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bench.analysis.contrasts import Word
from tests.builders.studies_with_failures import (
    Design,
    Failing,
    at_random,
    complete_seeds,
    concluded,
    in_one_stratum,
    whichever_strata,
)

CASES: dict[str, Design] = {
    "2 strata, +/-0.02, sd 0.0035, 5 seeds": Design(sd=0.0035),
    "2 strata, +/-0.02, sd 0.005, 10 seeds": Design(seeds=10),
    "2 strata, +/-0.02, sd 0.02, 5 seeds": Design(sd=0.02),
    "3 strata, 6 hypotheses, 5 seeds": Design(arms=4, effects=(0.03, -0.02, -0.01)),
    "3 strata, 6 hypotheses, 10 seeds": Design(arms=4, effects=(0.03, -0.02, -0.01), seeds=10),
    "2 strata, equivalence at its margin, 10 seeds": Design(
        effects=(0.03, -0.01), seeds=10, margin=0.01
    ),
}


def failures(seeds: int) -> Iterator[tuple[str, Failing]]:
    """Which trials fail, by name."""
    for share in (0.0, 0.05, 0.2, 0.4):
        yield f"{share:.0%} at random", at_random(share)
    for count in sorted({1, 2, seeds - 3, seeds - 2, seeds - 1}):
        yield f"{count} in one stratum", in_one_stratum(count)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--studies", type=int, default=4000)
    studies = parser.parse_args().studies
    print(f"{'design':46} {'trials failed':18} {'complete':>9} {'whichever':>10}")
    for name, design in CASES.items():
        wrong = frozenset({Word.SUPPORTED, Word.REFUTED, Word.EQUIVALENT})
        if design.margin is not None:
            wrong = frozenset({Word.EQUIVALENT})
        for which, failing in failures(design.seeds):
            shares = [
                concluded(design, failing, rule, studies, 1, wrong)
                for rule in (complete_seeds, whichever_strata)
            ]
            print(f"{name:46} {which:18} {shares[0]:9.1%} {shares[1]:10.1%}", flush=True)


if __name__ == "__main__":
    main()
