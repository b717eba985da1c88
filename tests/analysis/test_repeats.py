from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bench.analysis.evidence import Claim, Evidence
from bench.analysis.futility import LastLook
from bench.analysis.repeats import Progress, State, replay

from .simulated import DEFAULT, SixHypotheses, bound, heavy_tailed

AB, AC, BC = (frozenset(pair) for pair in ("ab", "ac", "bc"))


def two_sided(p: float, above: bool = True) -> Evidence:
    """Evidence of one side with a two-sided p."""
    return Evidence(p / 2, 1 - p / 2) if above else Evidence(1 - p / 2, p / 2)


def always(*_: object) -> bool:
    return True


def take(
    ps: dict[int, list[float]],
    arms: list[frozenset[str]],
    is_final: Callable[[frozenset[str], int], bool] = always,
) -> Progress:
    """Looks at which each hypothesis has these p; 0.9 at those not given."""

    def evidence(i: int, n: int) -> Evidence:
        at = DEFAULT.looks.index(n)
        return two_sided(ps[i][at] if at < len(ps[i]) else 0.9)

    return replay(DEFAULT, arms, evidence, is_final)


def test_settled_at_the_look_that_passes_the_boundary() -> None:
    # the levels are 0.0029, 0.0020, 0.0024
    progress = take({0: [0.003, 0.0021, 0.002]}, [AB])
    (decision,) = progress.decisions
    assert (decision.state, decision.look, decision.claim) == (State.SETTLED, 2, Claim.ABOVE)
    assert decision.p == pytest.approx(float(DEFAULT.sequential_p(2, 0.002)), rel=1e-6)
    assert (progress.looks_taken, progress.n_next, progress.arms) == (3, None, frozenset())


def test_direction_is_that_of_the_smaller_side() -> None:
    progress = replay(DEFAULT, [AB], lambda *_: two_sided(0.001, above=False), always)
    assert progress.decisions[0].claim is Claim.BELOW


def test_open_after_the_last_look() -> None:
    progress = take({0: []}, [AB])
    assert progress.decisions[0].state is State.OPEN
    assert progress.decisions[0].claim is None
    assert (progress.looks_taken, progress.n_next) == (9, None)


def test_look_waits_for_all_trials_of_its_arms() -> None:
    progress = take({0: []}, [AB], lambda arms, n: n < 5)
    assert (progress.looks_taken, progress.n_next, progress.arms) == (2, 5, AB)


def test_settled_hypotheses_need_no_seeds() -> None:
    progress = take({0: [1e-6], 1: []}, [AB, AC], lambda arms, n: n < 5)
    assert progress.decisions[0].state is State.SETTLED
    assert progress.arms == AC


def test_holm_counts_settled_hypotheses_and_frees_their_level() -> None:
    # 0.0025 passes 0.0029 alone, not at 0.05/2; the other settles later and frees its level
    progress = take({0: [0.0025, 0.9], 1: [0.9, 1e-6]}, [AB, AC])
    first, second = progress.decisions
    assert (second.state, second.look) == (State.SETTLED, 1)
    assert (first.state, first.look) == (State.SETTLED, 1)
    assert first.p == pytest.approx(float(DEFAULT.sequential_p(0, 0.0025)), rel=1e-6)


def test_without_a_test_a_hypothesis_still_counts() -> None:
    given = {0: two_sided(0.0025), 1: None}
    progress = replay(DEFAULT, [AB, AC], lambda i, n: given[i], always)
    assert math.isnan(progress.decisions[1].p)
    at_half = [k for k in range(9) if DEFAULT.level(k, 0.025) >= 0.0025]
    assert progress.decisions[0].look == at_half[0]


def test_equivalence_takes_the_larger_of_its_margins() -> None:
    within = Evidence(0.9999, 0.9999, within=(0.0001, 0.001))
    progress = replay(DEFAULT, [AB], lambda *_: within, always)
    (decision,) = progress.decisions
    assert (decision.state, decision.look, decision.claim) == (State.SETTLED, 0, Claim.WITHIN)
    assert decision.p == pytest.approx(float(DEFAULT.sequential_p(0, 0.002)) / 2, rel=1e-6)


def test_sign_test_is_at_the_full_level_on_each_side() -> None:
    both, one = (Evidence(0.001, 0.999, two_sided=flag) for flag in (True, False))
    at_half, at_full = (
        replay(DEFAULT, [AB], lambda *_, found=found: found, always).decisions[0].p
        for found in (both, one)
    )
    assert at_full == pytest.approx(at_half / 2)


def test_futile_hypotheses_ask_for_no_seeds_but_are_tested_where_their_arms_go_on() -> None:
    def predicted(i: int, n: int, last: LastLook) -> float:
        assert n >= 5
        assert last.n_seeds == 20
        return 0.05 if i == 0 else 0.5

    def evidence(i: int, n: int) -> Evidence:
        return two_sided(1e-6 if (i, n) == (0, 8) else 0.9)

    shared = replay(DEFAULT, [AB, AC, BC], evidence, always, predicted)
    assert shared.decisions[0].state is State.SETTLED  # by chance after all
    independent = replay(DEFAULT, [AB, AC], evidence, always, predicted)
    assert independent.decisions[0].state is State.FUTILE
    assert independent.decisions[0].look == DEFAULT.looks.index(5)
    alone = replay(DEFAULT, [AB], evidence, always, predicted)
    assert (alone.looks_taken, alone.n_next) == (3, None)


def test_seeds_beyond_a_look_change_nothing() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0.8, 1, 20)

    def decide(x: np.ndarray, until: int) -> Progress:
        def evidence(_: int, n: int) -> Evidence:
            p = float(stats.ttest_1samp(x[:n], 0, alternative="greater").pvalue)
            return Evidence(p, 1 - p)

        return replay(DEFAULT, [AB], evidence, lambda arms, n: n <= until)

    for until in (3, 6, 10):
        changed = differences.copy()
        changed[until:] = rng.normal(-5, 1, 20 - until)
        assert decide(differences, until) == decide(changed, until)


@pytest.mark.parametrize("seed", range(10))
def test_looks_so_far_are_those_of_the_whole_study(seed: int) -> None:
    rng, pairs = np.random.default_rng(seed), [AB, AC, BC]
    ps = rng.uniform(0, 1, (3, len(DEFAULT.looks))) ** 3

    def run(until: int, asked: list[tuple[int, int]]) -> Progress:
        def evidence(i: int, n: int) -> Evidence:
            asked.append((i, n))
            return two_sided(ps[i, DEFAULT.looks.index(n)])

        return replay(DEFAULT, pairs, evidence, lambda arms, n: n <= until)

    whole: list[tuple[int, int]] = []
    run(20, whole)
    for taken, until in enumerate(DEFAULT.looks, 1):
        part: list[tuple[int, int]] = []
        progress = run(until, part)
        assert part == [(i, n) for i, n in whole if n <= until]
        if progress.n_next is not None:
            assert (progress.looks_taken, progress.n_next) == (taken, DEFAULT.looks[taken])
            open_ones = [i for i, d in enumerate(progress.decisions) if d.state is State.OPEN]
            assert progress.arms == frozenset().union(*(pairs[i] for i in open_ones))


@pytest.mark.parametrize("effects", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)])
def test_false_claims_of_six_hypotheses(effects: tuple[float, float, float, float]) -> None:
    assert SixHypotheses(effects).false_claims(200) <= bound(0.05, 200)


def test_false_claims_of_six_hypotheses_with_heavy_tails() -> None:
    study = SixHypotheses((0.0, 0.0, 0.0, 0.0), draw=heavy_tailed)
    assert study.false_claims(200) <= bound(0.05, 200)


def test_larger_effects_are_found_and_save_seeds() -> None:
    rng, study = np.random.default_rng(0), SixHypotheses((0.0, 0.0, 4.0, 8.0))
    found = [study.study(rng) for _ in range(20)]
    claimed = [d.claim is not None for progress in found for d in progress.decisions[1:4]]
    assert np.mean(claimed) > 0.95
    looks = [d.look for progress in found for d in progress.decisions[1:4]]
    assert max(look for look in looks if look is not None) < 9
    assert np.mean([look for look in looks if look is not None]) < 5
