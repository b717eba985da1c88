from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import DamagedError
from bench.record.plan_file import read_plan
from tests.builders.trials import plan


def test_a_plan_comes_back_and_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert read_plan(path) is None
    path.write_text(json.dumps(plan("a", "b")))
    assert read_plan(path) == plan("a", "b")


@pytest.mark.parametrize(
    "changes",
    [
        {"trials": {}}, {"trials": ["a"]}, {"trials": [{"id": "a"}]}, {"axes": {"model": "unet"}},
        {"select": {"metric": "val/dice", "mode": "most"}}, {"select": {"mode": "max"}},
        {"select": {"metric": {}, "mode": "max"}},
        {"metrics": {"dice": "up"}}, {"spec": 3}, {"common": None}, {"notes": "x"},
        {"incomparable": {"loss": 3}}, {"hypotheses": {}},
        {"notes": [7]}, {"cautions": ["a", None]},
    ],
)  # fmt: skip
def test_what_is_no_plan_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan("a", **changes)))
    with pytest.raises(DamagedError, match=r"plan\.json: cannot be read"):
        read_plan(path)


@pytest.mark.parametrize("key", ["trials", "axes", "select", "metrics", "spec", "task", "common"])
def test_what_is_missing_is_named(tmp_path: Path, key: str) -> None:
    path = tmp_path / "plan.json"
    record = plan("a")
    del record[key]
    path.write_text(json.dumps(record))
    with pytest.raises(DamagedError, match=f"it lacks {key}"):
        read_plan(path)
