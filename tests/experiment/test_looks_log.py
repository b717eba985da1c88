"""looks.json is compared with the records, and never used instead of them."""

from __future__ import annotations

from pathlib import Path

from bench.experiment.looks_log import keep_log
from bench.record.looks_file import remember_report
from bench.record.store import Store
from tests.builders.experiments import build


def log(state: str = "open", p: float | None = 0.2, claim: str | None = None) -> dict[str, object]:
    said = {"state": state, "claim": claim, "p": p, "p_corrected": p}
    return {"taken": [{"seeds": 3, "hypotheses": {"h": said}}], "next": 4}


def test_a_look_that_is_another_than_before_is_told(tmp_path: Path) -> None:
    store, _ = build(tmp_path)
    assert keep_log(store, "built", log()) == []
    assert store.looks("built") == log()
    assert keep_log(store, "built", log(p=0.2 * (1 + 1e-12))) == []  # rounding
    (line,) = keep_log(store, "built", log("settled", 0.001, "above"))
    assert line.startswith(
        "Warning: look 1 (3 seeds) is another than before: h was open and is settled above."
    )
    (line,) = keep_log(store, "built", log("settled", 0.002, "above"))
    assert "the p-value of h was 0.001 and is 0.002" in line
    assert store.looks("built") == log("settled", 0.002, "above")


def test_other_looks_are_not_compared(tmp_path: Path) -> None:
    store, _ = build(tmp_path)
    keep_log(store, "built", log())
    other = log("settled", 0.001, "above")
    other["taken"][0]["seeds"] = 5  # type: ignore[index]
    assert keep_log(store, "built", other) == []


def test_a_damaged_log_is_written_anew(tmp_path: Path) -> None:
    store, _ = build(tmp_path)
    path = store.experiment("built") / "looks.json"
    for text in ("{", "[]", '{"taken": 3}', '{"taken": [4], "reports": 1}'):
        path.write_text(text)
        assert keep_log(store, "built", log()) == []
        assert store.looks("built")["taken"] == log()["taken"]


def test_reports_are_remembered_once_and_kept(tmp_path: Path) -> None:
    store, _ = build(tmp_path)
    remember_report(store, "built", {"h": 3})
    remember_report(store, "built", {"h": 3})
    remember_report(store, "built", {"h": 5})
    remember_report(store, "built", {})
    assert store.looks("built") == {"reports": [{"h": 3}, {"h": 5}]}
    keep_log(store, "built", log())
    assert store.looks("built")["reports"] == [{"h": 3}, {"h": 5}]


def test_without_an_experiment_nothing_is_remembered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.looks("none") == {}
