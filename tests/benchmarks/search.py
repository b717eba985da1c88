"""Whether TPE finds better points than random draws, with as many trials, through the whole path.

`PYTHONPATH=. python tests/benchmarks/search.py`. A made objective with a known optimum stands where
workers would train; everything else is what `bench search` does: spec, space, sampler, records,
leases, study, choice. Prints how far the best point of each search is from the optimum.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import pytest
from scipy.stats import wilcoxon

from tests.builders.searches import Lab, bowl


def best(sampler: str, seed: int, trials: int) -> float:
    """The best value that one search finds; 1 is the optimum."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        lab = Lab(Path(folder), patch)
        choice = f"search.sampler={{name: {sampler}, seed: {seed}}}"
        lab.search(bowl, choice, f"search.trials={trials}", "train.epochs=1")
        record = lab.record()
    found = next(t for t in record["trials"] if t["number"] == record["chosen"][0])
    return float(found["values"]["best_val_dice"])


def compare(seeds: int, trials: int) -> tuple[list[float], list[float], float]:
    """What each sampler misses of the optimum, by seed, and the p-value that TPE misses no less."""
    tpe = [1 - best("tpe, startup_trials: 5", seed, trials) for seed in range(seeds)]
    random = [1 - best("random", seed, trials) for seed in range(seeds)]
    p = float(wilcoxon(tpe, random, alternative="less").pvalue)
    return tpe, random, p


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    start = time.perf_counter()
    tpe, random, p = compare(options.seeds, options.trials)
    wins = sum(a < b for a, b in zip(tpe, random, strict=True))
    for name, missed in (("tpe", tpe), ("random", random)):
        print(
            f"{name:8} misses {statistics.median(missed):.2g} (median), {max(missed):.2g} (worst)"
        )
    print(f"tpe is closer for {wins} of {options.seeds} seeds, p = {p:.2g} (Wilcoxon, one-sided)")
    searches = 2 * options.seeds * options.trials
    seconds = time.perf_counter() - start
    print(f"{options.trials} trials each, {1000 * seconds / searches:.0f} ms a trial")


if __name__ == "__main__":
    main()
