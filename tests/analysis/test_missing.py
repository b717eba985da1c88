"""Verdicts of studies in which trials failed: rarely wrong, whichever trials are missing."""

from __future__ import annotations

import math

import pytest

from bench.analysis.contrasts import Word
from tests.builders.studies_with_failures import (
    Design,
    at_random,
    complete_seeds,
    concluded,
    in_one_stratum,
    whichever_strata,
)

STUDIES = 1000
AT_MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / STUDIES)  # 7.1%

CANCELLING = Design(effects=(0.02, -0.02), sd=0.0035)  # nothing differs over both strata


def test_averages_of_whichever_strata_change_the_question() -> None:
    """What the simulation is for: the first release concluded something in 91% of these."""
    found = concluded(CANCELLING, in_one_stratum(4), whichever_strata, STUDIES, 1)
    assert found == pytest.approx(0.91, abs=0.03)


@pytest.mark.parametrize("missing", [3, 4, 5])
def test_fewer_than_three_complete_seeds_are_always_inconclusive(missing: int) -> None:
    assert concluded(CANCELLING, in_one_stratum(missing), complete_seeds, STUDIES, 1) == 0


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_some_seeds_missing_in_one_stratum(missing: int) -> None:
    found = concluded(CANCELLING, in_one_stratum(missing), complete_seeds, STUDIES, 2)
    assert 0.05 - (AT_MOST - 0.05) <= found <= AT_MOST  # and the level is used


@pytest.mark.parametrize("seeds", [5, 8])
@pytest.mark.parametrize("share", [0.05, 0.25])
def test_a_family_with_failures_at_random(share: float, seeds: int) -> None:
    """Six hypotheses on four arms in three strata: any wrong verdict at all."""
    design = Design(arms=4, effects=(0.03, -0.02, -0.01), seeds=seeds)
    assert concluded(design, at_random(share), complete_seeds, STUDIES, 3) <= AT_MOST


def test_at_the_margin_equivalence_is_rarely_claimed() -> None:
    design = Design(effects=(0.03, -0.01), seeds=8, margin=0.01)
    wrong = frozenset({Word.EQUIVALENT})
    found = concluded(design, at_random(0.1), complete_seeds, STUDIES, 4, wrong)
    assert 0.02 <= found <= AT_MOST
