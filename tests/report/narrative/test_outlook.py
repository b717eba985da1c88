from __future__ import annotations

from typing import Any

from bench.analysis import power
from bench.report.narrative.outlook import outlooks
from bench.spec.hypotheses import Hypothesis


def claim(expect: str = "higher", margin: float | None = None, **changes: Any) -> Hypothesis:
    given = {"id": "h", "claim": "c", "metric": "test_dice", "a": {"m": "a"}, "b": {"m": "b"}}
    return Hypothesis.model_validate(given | {"expect": expect, "margin": margin} | changes)


def test_fewer_than_three_seeds_cannot_settle_anything() -> None:
    (found,) = outlooks([claim(metric="macs")], 2)
    assert (found.detectable, found.doubtful) == (None, True)
    assert found.text == "h: 2 seeds cannot settle it, 3 are the least"


def test_what_no_seed_changes_needs_no_power() -> None:
    exact, tested = outlooks([claim(metric="macs"), claim()], 3)
    assert (exact.detectable, exact.doubtful) == (None, False)
    assert exact.text == "h: no seed changes macs, so 3 seeds settle it"
    assert tested.detectable == power.smallest_difference(3, 0.05)  # alone in its family


def test_the_level_is_shared_among_the_hypotheses() -> None:
    found = outlooks([claim()] * 4, 5)
    assert found[0].detectable == power.smallest_difference(5, 0.05 / 4)
    assert found[0].doubtful
    assert found[0].text == (
        "h: 5 seeds hardly settle it, unless the true difference is 2.5 standard deviations of the "
        "paired differences away from 0"
    )


def test_enough_seeds_and_a_margin() -> None:
    first, second = outlooks([claim("equivalent", 0.01), claim("not_lower", 0.5)], 10)
    size = power.smallest_margin(10, 0.025)
    assert first.detectable == size
    assert not first.doubtful
    assert first.text == (
        "h: 10 seeds settle it with 80% power, if the sides do not differ and their paired "
        f"differences scatter by at most {0.01 / size:.4f} (standard deviation)"
    )
    assert second.text.endswith("paired differences away from -0.5")
