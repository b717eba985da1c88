"""The short form; the long one is `python -m tests.faults.fuzz`."""

from __future__ import annotations

import pytest

from tests.faults.fuzz import play


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [("specs", 60), ("overrides", 40), ("records", 20), ("checkpoints", 20), ("images", 40)],
)
def test_whatever_is_read_is_understood_or_refused_in_one_line(kind: str, inputs: int) -> None:
    counts, wrong = play(kind, inputs)
    assert wrong == {}
    assert counts.total() == inputs
