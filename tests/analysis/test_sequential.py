from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from bench.analysis.sequential import Boundaries, error_of_looks, nominal_levels
from bench.spec.repeats import looks

from .simulated import DEFAULT, bound, claims_at_any_look, normal, seven_values

# For α 0.05; that of the second look by direct integration (below).
LEVELS = [0.00290, 0.00201, 0.00241, 0.00297, 0.00564, 0.00778, 0.01281, 0.01749, 0.02617]


def test_each_look_is_a_quarter_later() -> None:
    assert looks(3, 20) == (3, 4, 5, 6, 8, 10, 13, 16, 20)
    assert looks(5, 5) == (5,)
    assert looks(8, 12) == (8, 10, 12)


@pytest.mark.parametrize(("minimum", "maximum"), [(2, 20), (6, 5)])
def test_looks_that_cannot_be(minimum: int, maximum: int) -> None:
    with pytest.raises(ValueError, match="minimum ≤ maximum"):
        looks(minimum, maximum)


@pytest.mark.parametrize("given", [(), (2, 5), (3, 3), (5, 4)])
def test_looks_that_do_not_rise(given: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must rise from 3 seeds"):
        Boundaries(given)


def test_levels_of_three_to_twenty_seeds() -> None:
    found = [float(DEFAULT.level(look)) for look in range(9)]
    assert found == pytest.approx(LEVELS, rel=0.01)


def test_first_look_spends_its_part_exactly() -> None:
    assert DEFAULT.level(0) == pytest.approx(0.05 * (3 / 20) ** 1.5, rel=1e-3)


def test_single_look_is_an_ordinary_test() -> None:
    single = Boundaries((7,))
    assert single.level(0, [0.05, 0.001]) == pytest.approx([0.05, 0.001], rel=2e-3)
    assert single.sequential_p(0, 0.03) == pytest.approx(0.03, rel=2e-3)


def chance_at_four(score: float, cut: float) -> float:
    """P(|t| of four seeds is beyond the t of normal score `cut`), given `score` at three.

    By integration over the fourth difference, the first three being scaled to Σx² = 1.
    """
    t = special.stdtrit(2, special.ndtr(score))
    total = math.sqrt(3 * t * t / (2 + t * t))
    critical = -special.stdtrit(3, special.ndtr(-cut))

    def is_beyond(w: np.ndarray) -> np.ndarray:
        mean = (total + w) / 4
        variance = (1 + w * w - 4 * mean**2) / 3
        return 4 * mean**2 > critical**2 * variance

    # W = T/√3; equally likely slices of T of three degrees
    w = special.stdtrit(3, (np.arange(20_000) + 0.5) / 20_000) / math.sqrt(3)
    return float(is_beyond(w).mean())


def test_second_look_by_direct_integration() -> None:
    first, second = (-special.ndtri(float(DEFAULT.level(look)) / 2) for look in (0, 1))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    scores = (nodes + 1) * first / 2
    density = 2 * np.exp(-(scores**2) / 2) / math.sqrt(2 * math.pi)
    passed = np.array([chance_at_four(score, second) for score in scores])
    spent = float((weights * density * passed).sum() * first / 2)
    assert spent == pytest.approx(0.05 * ((4 / 20) ** 1.5 - (3 / 20) ** 1.5), rel=0.01)


def test_levels_grow_with_alpha_at_every_look() -> None:
    alphas = np.geomspace(1e-9, 0.999, 200)
    for look in range(9):
        assert (np.diff(DEFAULT.level(look, alphas)) > 0).all()


@pytest.mark.parametrize("alpha", [0.05, 0.005, 0.05 / 36])
def test_errors_in_all(alpha: float) -> None:
    levels = [float(DEFAULT.level(look, alpha)) for look in range(9)]
    found = claims_at_any_look(DEFAULT.looks, levels, normal, 200_000)
    assert found <= bound(alpha, 200_000)
    assert found >= 2 * alpha - bound(alpha, 200_000)


def test_errors_of_whole_numbers() -> None:
    levels = [float(DEFAULT.level(look)) for look in range(9)]
    assert claims_at_any_look(DEFAULT.looks, levels, seven_values, 200_000) <= 0.052


def test_looking_without_a_plan_costs_much() -> None:
    assert claims_at_any_look(DEFAULT.looks, [0.05] * 9, normal, 20_000) >= 0.2
    assert error_of_looks(DEFAULT.looks) == pytest.approx(0.203, abs=0.01)


def test_error_of_seeds_added_after_a_report() -> None:
    assert error_of_looks((5, 10)) == pytest.approx(0.087, abs=0.003)
    found = claims_at_any_look((5, 10), [0.05, 0.05], normal, 200_000)
    assert error_of_looks((5, 10)) == pytest.approx(found, abs=0.002)
    assert error_of_looks((5,)) == pytest.approx(0.05, rel=1e-3)


def test_sequential_p_inverts_the_levels() -> None:
    for look in range(9):
        for alpha in (1e-6, 0.0014, 0.05, 0.4):
            p = DEFAULT.sequential_p(look, DEFAULT.level(look, alpha))
            assert p == pytest.approx(alpha, rel=1e-9)


def test_sequential_p_is_never_below_p() -> None:
    p = np.geomspace(1e-8, 1, 50)
    for look in range(9):
        assert (DEFAULT.sequential_p(look, p) >= p * (1 - 1e-9)).all()


def test_sequential_p_of_extremes() -> None:
    found = DEFAULT.sequential_p(4, [0.0, 1.0, math.nan])
    assert found[0] == pytest.approx(1e-10)
    assert found[1] == pytest.approx(1.0)
    assert math.isnan(found[2])


def test_exact_levels_agree_with_the_table() -> None:
    alphas = [0.05, 0.005, 0.05 / 36]
    expected = nominal_levels(DEFAULT.looks, alphas)
    found = np.array([DEFAULT.level(look, alphas) for look in range(9)])
    np.testing.assert_allclose(found, expected, rtol=6e-3)


def test_changed_maximum_keeps_past_levels_and_the_error() -> None:
    after = Boundaries((3, 4, 5, 6, 8, 10, 12), earlier=DEFAULT, taken=4)
    for look in range(4):
        assert after.level(look) == pytest.approx(float(DEFAULT.level(look)), rel=1e-6)
    assert after.level(4) > DEFAULT.level(4)  # the rest is spent sooner
    levels = [float(after.level(look)) for look in range(7)]
    found = claims_at_any_look(after.looks, levels, normal, 200_000)
    assert found == pytest.approx(0.05, abs=0.0025)


def test_changed_looks_cannot_rewrite_those_taken() -> None:
    with pytest.raises(ValueError, match="already taken"):
        Boundaries((3, 5, 10), earlier=DEFAULT, taken=2)


def test_last_look_alone_is_an_ordinary_test() -> None:
    # spending nothing until the last look, which is then an ordinary test
    found = nominal_levels((3, 10, 20), [0.05], rho=60.0)
    assert found[-1, 0] == pytest.approx(0.05, rel=0.005)
