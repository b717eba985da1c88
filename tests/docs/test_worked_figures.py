"""What statistics-explained.md says of its examples is what the program computes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs" / "_site"))

import worked_figures as worked  # noqa: E402 - the path first

from bench.analysis.sequential import error_of_looks  # noqa: E402
from bench.analysis.stats import holm  # noqa: E402

PAGE = " ".join((ROOT / "docs/statistics-explained.md").read_text().split())


def test_pairs() -> None:
    mean, low, high = worked.paired()
    # by hand: differences 1, 2, 1, 2, 2 hundredths; standard error 0.00245, t of 4 degrees 2.776
    assert (mean, low, high) == pytest.approx((0.016, 0.0092, 0.0228), abs=1e-4)
    assert "The mean difference is 0.016. Pair by pair it is known to within 0.009 to 0.023" in PAGE
    assert worked.unpaired() == pytest.approx((0.016, -0.0271, 0.0591), abs=1e-4)
    assert "−0.027 to 0.059" in PAGE
    for scores in (worked.A, worked.B):
        assert ", ".join(f"{value:.2f}" for value in scores) in PAGE


def test_two_sources() -> None:
    said = {"seeds": "0.018 to 0.024", "images": "−0.004 to 0.047", "both": "−0.005 to 0.047"}
    for over, (mean, low, high) in worked.statements().items():
        assert mean == pytest.approx(0.02125)
        assert f"{low:.3f} to {high:.3f}".replace("-", "−") == said[over]
        assert said[over] in PAGE


def test_many_claims() -> None:
    assert pytest.approx(0.64, abs=0.005) == 1 - 0.95**20
    assert "a chance of 64%" in PAGE
    assert holm([0.004, 0.030, 0.040]) == pytest.approx([0.012, 0.060, 0.060])
    assert "p = 0.004, 0.030 and 0.040 become 0.012, 0.060 and 0.060" in PAGE


def test_looks() -> None:
    assert error_of_looks(worked.LOOKS) == pytest.approx(0.204, abs=0.0005)
    assert "in 20.4% of studies" in PAGE
    spent = dict(zip(worked.LOOKS, worked.spent(), strict=True))
    assert (spent[3], spent[10], spent[20]) == pytest.approx((0.0029, 0.0177, 0.05), abs=1e-4)
    assert "at 3 seeds 0.29%, at 10 seeds 1.8%, at 20 all of it" in PAGE


def test_the_four_intervals_are_what_their_rows_say() -> None:
    cases = worked.CASES
    _, low, high = cases["equivalent"]
    assert -0.02 < low < high < 0.02
    assert all(cases[name][1] > 0 for name in ("supported (higher)", "supported, small"))
    _, low, high = cases["inconclusive"]
    assert low < -0.02
    assert high > 0.02
