from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.sample_size import (
    Scatter,
    needs_images,
    needs_seeds,
    power_of_difference,
    power_of_equivalence,
    precision,
    smallest_difference,
)
from bench.analysis.two_sources import TwoSources, two_sources

from .simulated import Table, p_of_both


def found(
    sd: tuple[float, float, float], mean: float, seeds: int = 5, images: int = 60
) -> TwoSources:
    """As if the components were found exactly as they are."""
    rest = sd[2] ** 2 / (seeds * images)
    of_seeds, of_images = sd[0] ** 2 / seeds + rest, sd[1] ** 2 / images + rest
    return TwoSources(mean, of_seeds, of_images, rest, seeds, images, float(images))


def test_more_of_either() -> None:
    given = found((0.02, 0.1, 0.1), 0.04)
    assert needs_seeds(given, 0.05) == 20
    assert needs_images(given, 0.05) == 192


def test_no_number_of_seeds() -> None:
    given = found((0.005, 0.1, 0.1), 0.02)
    assert needs_seeds(given, 0.05) is None
    assert needs_images(given, 0.05) == 308


def test_no_number_of_images() -> None:
    given = found((0.02, 0.05, 0.1), 0.03, seeds=3)
    assert needs_seeds(given, 0.05) == 10
    assert needs_images(given, 0.05) is None


def test_scatter_is_found_again() -> None:
    sd = (0.02, 0.05, 0.1)
    scatter = Scatter.of(found(sd, 0.0))
    assert (scatter.seeds, scatter.images, scatter.interaction) == pytest.approx(sd)


def test_components_below_zero_are_zero() -> None:
    assert Scatter.of(TwoSources(0.1, 1.0, 3.0, 2.0, 5, 60, 60.0)).seeds == 0.0


def test_power_is_what_simulations_find() -> None:
    scatter, mean = Scatter(0.02, 0.1, 0.1), 0.04
    expected = power_of_difference(mean, precision(scatter, 20, 60), 0.05)
    tables = Table(20, 60, 0.02, 0.1, 0.1).draw_many(2000, np.random.default_rng(1)) + mean
    assert expected == pytest.approx(0.8, abs=0.01)
    assert (p_of_both(tables) <= 0.05).mean() == pytest.approx(expected, abs=0.03)


def test_power_of_equivalence_is_what_simulations_find() -> None:
    table, margin = Table(5, 60, 0.01, 0.05, 0.05), 0.03
    expected = power_of_equivalence(
        0.005, margin, precision(Scatter(0.01, 0.05, 0.05), 5, 60), 0.05
    )
    tables = table.draw_many(1000, np.random.default_rng(1)) + 0.005
    claimed = np.mean([two_sources(one).p_within(margin) <= 0.05 for one in tables])
    assert 0.3 < expected < 0.95
    assert claimed == pytest.approx(expected, abs=0.05)


def test_equivalence_needs_what_its_side_needs() -> None:
    inside = found((0.02, 0.01, 0.05), 0.002)
    seeds = needs_seeds(inside, 0.05, margin=0.02)
    known = precision(Scatter.of(inside), float(seeds or 0), 60)
    assert power_of_equivalence(0.002, 0.02, known, 0.05) >= 0.8
    beyond = found((0.02, 0.01, 0.05), 0.06)
    assert needs_seeds(beyond, 0.05, margin=0.02) == needs_seeds(beyond, 0.05, value=0.02)


def test_floor_of_the_images() -> None:
    floor = smallest_difference(Scatter(0.02, 0.1, 0.1), 60, 0.05)
    assert floor == pytest.approx(2.8 * 0.1 / math.sqrt(60), rel=0.03)
    assert needs_seeds(found((0.02, 0.1, 0.1), 0.97 * floor), 0.05) is None
    assert needs_seeds(found((0.02, 0.1, 0.1), 1.05 * floor), 0.05) is not None


def test_nothing_to_plan_by() -> None:
    flat = two_sources(np.full((4, 9), 0.1))
    assert needs_seeds(flat, 0.05) is None
    assert needs_images(flat, 0.05) is None
