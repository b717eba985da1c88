from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import DamagedError
from bench.record.data_file import DataSetRecord
from bench.record.store import Store
from tests.builders.surveys import healthy


def entry(label: str, *trials: str) -> DataSetRecord:
    return DataSetRecord(label, "mask", trials, healthy())


def test_read_back_as_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.data("exp") == ()
    written = [entry("size: 32", "a", "b"), entry("size: 64", "c")]
    store.update_data("exp", written, {"a", "b", "c"})
    assert store.data("exp") == tuple(written)
    record = json.loads(store.data_path("exp").read_text())
    assert [set(e) for e in record["datasets"]] == [
        {"label", "target", "trials", "warnings", "survey"}
    ] * 2


def test_what_was_not_looked_at_again_stays_while_its_trials_are_planned(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.update_data("exp", [entry("old", "a", "b"), entry("gone", "x")], {"a", "b", "x"})
    store.update_data("exp", [entry("new", "b", "c")], {"a", "b", "c"})
    assert store.data("exp") == (entry("old", "a"), entry("new", "b", "c"))


def test_a_search_s_data_sets_have_no_trials_and_are_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.update_data("exp", [entry("old")], set())
    store.update_data("exp", [entry("new")], set())
    assert store.data("exp") == (entry("new"),)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"datasets": [1]}',
        '{"datasets": [{"target": "x"}]}',
        '{"datasets": [{"target": "mask", "label": "", "trials": [], "survey": {}}]}',
    ],
)
def test_damaged(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    (tmp_path / "exp").mkdir()
    store.data_path("exp").write_text(text)
    with pytest.raises(DamagedError, match=r"data\.json: cannot be read"):
        store.data("exp")
    store.update_data("exp", [entry("new", "a")], {"a"})
    assert store.data("exp") == (entry("new", "a"),)
