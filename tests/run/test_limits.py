from __future__ import annotations

import pytest

from bench.durations import format_duration
from bench.errors import BenchError
from bench.run.limits import Limits, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("2d", 172_800), ("0", None),
     ("0m", None)],
)  # fmt: skip
def test_times_as_people_spell_them(text: str, seconds: float | None) -> None:
    assert parse_duration(text, "--timeout") == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5", "5 m", "30m1h", "1.5h", "5x", "m"])
def test_another_spelling_is_an_error(text: str) -> None:
    with pytest.raises(BenchError, match=r"^--timeout .*: write seconds, or a time like"):
        parse_duration(text, "--timeout")


def test_formatting_durations() -> None:
    assert [format_duration(s) for s in (0, 45, 5400, 90061)] == ["0s", "45s", "1h30m", "1d1h1m1s"]


def test_limits() -> None:
    assert Limits().exceeded(1e9, 1e9) is None
    limits = Limits(timeout=60, hung_after=10)
    assert limits.exceeded(60, 10) is None
    assert "not done after 1m (--timeout)" in str(limits.exceeded(61, 0))
    assert "no progress for 10s (--hung-after)" in str(limits.exceeded(30, 11))
