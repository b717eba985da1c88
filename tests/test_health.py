from __future__ import annotations

import pytest

from bench.health import ADVICE, HealthFinding, HealthIssue, read, record
from bench.record.columns import RUNS
from bench.record.mlflow_fields import summary_metrics, summary_tags

FOUND = [
    HealthFinding(HealthIssue.NO_GRADIENT, "no gradient ever reached spare (44 parameters)"),
    HealthFinding(HealthIssue.MISTAKE, "unpaired_masks: as asked; twice", expected=True),
]


def test_a_record_is_flat_and_read_back() -> None:
    assert record(FOUND) == {
        "health": "no_gradient; mistake (expected)",
        "health_no_gradient": "no gradient ever reached spare (44 parameters)",
        "health_mistake": "unpaired_masks: as asked; twice",
    }
    assert read(record(FOUND)) == FOUND
    assert record([]) == {"health": "healthy"}
    assert read(record([])) == []
    assert "health" in RUNS


def test_not_looked_at_is_not_healthy() -> None:
    assert read({}) is None
    assert read({"health": None}) is None


def test_a_kind_of_a_later_version_is_refused() -> None:
    with pytest.raises(ValueError, match="'too_good'"):
        read({"health": "too_good"})


def test_every_kind_says_what_it_means_and_what_to_do() -> None:
    assert ADVICE.keys() == set(HealthIssue)
    lines = [HealthFinding(kind, "Text").line() for kind in HealthIssue]
    assert all(line.startswith("Text: ") and "; " in line and "\n" not in line for line in lines)
    assert FOUND[1].line().startswith("unpaired_masks: as asked; twice (expected): ")


def test_mlflow_has_it_as_tags() -> None:
    assert summary_tags(record(FOUND)) == {
        "bench.health": "no_gradient; mistake (expected)",
        "bench.health_no_gradient": "no gradient ever reached spare (44 parameters)",
        "bench.health_mistake": "unpaired_masks: as asked; twice",
    }
    assert summary_metrics(record(FOUND)) == {}
