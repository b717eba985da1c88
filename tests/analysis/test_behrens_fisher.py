from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from bench.analysis.behrens_fisher import quantile, two_sided_p, upper_tail


@pytest.mark.parametrize(("df1", "df2"), [(2, 59), (4, 3668), (19, 4), (2, 5.3)])
def test_one_source_alone_is_students_t(df1: float, df2: float) -> None:
    t = np.array([0.1, 1.0, 2.5, 8.0])
    np.testing.assert_allclose(two_sided_p(t, 1.0, df1, df2), 2 * stats.t.sf(t, df1), rtol=1e-6)
    np.testing.assert_allclose(two_sided_p(t, 0.0, df1, df2), 2 * stats.t.sf(t, df2), rtol=1e-6)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 0.95])
@pytest.mark.parametrize(("df1", "df2", "t"), [(2, 59, 4.0), (19, 4, 8.0), (4, 9, 1.5)])
def test_tail_is_the_convolution_of_two_students(
    share: float, df1: float, df2: float, t: float
) -> None:
    def integrand(x: float) -> float:
        rest = (t - math.sqrt(share) * x) / math.sqrt(1 - share)
        return float(stats.t.pdf(x, df1) * stats.t.sf(rest, df2))

    pieces = [-math.inf, -50, 0, t, t / math.sqrt(share), 4 * t / math.sqrt(share) + 50, math.inf]
    expected = sum(
        integrate.quad(integrand, low, high, epsabs=1e-13, limit=200)[0]
        for low, high in itertools.pairwise(pieces)
    )
    assert upper_tail(t, share, df1, df2) == pytest.approx(expected, rel=1e-6)


def test_symmetric_and_falling() -> None:
    t = np.linspace(0, 10, 41)
    p = two_sided_p(t, 0.4, 2, 59)
    assert p[0] == pytest.approx(1.0)
    assert (np.diff(p) < 0).all()
    np.testing.assert_array_equal(two_sided_p(-t, 0.4, 2, 59), p)
    np.testing.assert_allclose(upper_tail(-t, 0.4, 2, 59), 1 - upper_tail(t, 0.4, 2, 59))


def test_sources_may_change_places() -> None:
    assert upper_tail(2.0, 0.3, 4, 9) == pytest.approx(float(upper_tail(2.0, 0.7, 9, 4)))


def test_published_table() -> None:
    # Fisher and Yates, Statistical Tables: 5% points of d for 8 and 8 degrees at 45° are 2.292
    assert quantile(0.025, 0.5, 8, 8) == pytest.approx(2.292, abs=5e-4)


def test_quantile_inverts_the_tail() -> None:
    tails, share = np.array([0.4, 0.025, 1e-3, 1e-6]), np.array([0.0, 0.2, 0.7, 1.0])
    found = quantile(tails, share[:, None], 2, 30)
    assert found.shape == (4, 4)
    back = upper_tail(found, share[:, None], 2, 30)
    np.testing.assert_allclose(back, np.broadcast_to(tails, back.shape), rtol=1e-9)


def test_not_a_number_stays() -> None:
    assert np.isnan(two_sided_p(math.nan, 0.5, 2, 9))
    assert np.isnan(two_sided_p(1.0, math.nan, 2, 9))
