"""`bench.load`: the same figures as the report's files, found by name, folder or spec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bench
from bench.spec.yaml12 import dump
from tests.builders.records import MadeTrial, write_experiment


def test_by_name_by_folder_and_by_spec(
    made: bench.Experiment, workspace: Path, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = workspace / "results"
    file = workspace / "spec.yaml"
    file.write_text(dump(spec))
    monkeypatch.chdir(workspace)
    found = [
        bench.load("made"),
        bench.load("made", results=results),
        bench.load("results/made"),
        bench.load(results / "made"),
        bench.load(file),
        bench.load(str(file), results=str(results)),
    ]
    for each in found:
        assert each.name == "made"
        assert each.runs.equals(made.runs)
    monkeypatch.chdir(results)
    assert bench.load(Path("made")).runs.equals(made.runs)


def test_what_is_not_there(made: bench.Experiment, workspace: Path) -> None:
    with pytest.raises(bench.BenchError, match=r"mad.*did you mean 'made'"):
        bench.load("mad", results=workspace / "results")
    with pytest.raises(bench.BenchError, match="there is no such folder"):
        bench.load(workspace / "nowhere")


def test_tables_are_those_of_the_report(made: bench.Experiment, workspace: Path) -> None:
    report = workspace / "reports/made"
    runs = pd.read_csv(report / "runs.csv")
    assert list(made.runs.columns) == list(runs.columns)
    assert list(made.runs["id"]) == list(runs["id"])
    assert made.runs["best_val_dice"].to_list() == pytest.approx(runs["best_val_dice"].to_list())
    history = pd.read_csv(report / "history.csv")
    assert len(made.history) == len(history) == 8
    verdicts = json.loads((report / "verdicts.json").read_text())
    assert made.verdicts.loc[0, "id"] == "h"
    assert made.verdicts.loc[0, "verdict"] == verdicts[0]["verdict"]
    assert made.verdicts.loc[0, "estimate"] == verdicts[0]["estimate"]
    arms = made.arms.set_index("arm")
    means = made.runs.groupby("axis.model")["best_val_dice"].mean()
    for arm, mean in means.items():
        assert arms.loc[str(arm), "best_val_dice"] == pytest.approx(mean)
    figures = {path.stem for path in (report / "figures").glob("*.png")}
    assert {name for name in figures if not name[-1].isdigit()} == set(made.figures)


def test_tables_can_be_changed_without_harm(made: bench.Experiment) -> None:
    made.runs.loc[:, "best_val_dice"] = 0.0
    made.history.loc[:, "epoch"] = 7
    assert made.runs["best_val_dice"].max() > 0
    assert set(made.history["epoch"]) == {1, 2}


def test_the_best(made: bench.Experiment) -> None:
    runs = made.runs.set_index("id")
    assert made.metric == "dice"
    assert made.best().id == runs["best_val_dice"].idxmax()
    assert made.best("best_val_loss").id == runs["best_val_loss"].idxmin()
    assert made.best("test_dice", "min").id == runs["test_dice"].idxmin()
    assert made.best("epoch_seconds", mode="max").id == runs["epoch_seconds"].idxmax()
    with pytest.raises(bench.BenchError, match=r"no column 'best_val_dise' \(did you mean"):
        made.best("best_val_dise")
    with pytest.raises(bench.BenchError, match="say mode='max' or mode='min' for 'epoch_seconds'"):
        made.best("epoch_seconds")
    with pytest.raises(bench.BenchError, match="'most' is neither max nor min"):
        made.best(mode="most")
    with pytest.raises(bench.BenchError, match="no finished trial has a value in 'id'"):
        made.best("id", "max")


def test_the_best_has_finished_and_has_a_value(tmp_path: Path) -> None:
    """A failed trial's best epoch does not count, nor does a value that is missing."""
    trials = [
        MadeTrial(0, {"m": "a"}, summary={"best_val_dice": 0.5}),
        MadeTrial(1, {"m": "a"}, summary={"best_val_dice": None}),
        MadeTrial(2, {"m": "a"}, status="failed", summary={"best_val_dice": 0.9}),
    ]
    write_experiment(tmp_path, "exp", trials)
    found = bench.load(tmp_path / "exp")
    assert found.best().seed == 0
    write_experiment(tmp_path, "none", trials[1:])
    with pytest.raises(bench.BenchError, match="no finished trial has a value in 'best_val_dice'"):
        bench.load(tmp_path / "none").best()


def test_no_hypotheses_no_verdicts(tmp_path: Path) -> None:
    write_experiment(tmp_path, "exp", [MadeTrial(0, {"m": "a"})])
    found = bench.load("exp", results=tmp_path)
    assert found.verdicts.empty
    assert list(found.verdicts.columns)[:4] == ["id", "claim", "verdict", "metric"]
    assert "<table" in found._repr_html_()


def test_trials_by_the_beginning_of_their_id(made: bench.Experiment) -> None:
    assert [trial.id for trial in made.trials] == list(made.runs["id"])
    name = made.trials[-1].id
    assert made.trial(name[:-3]).id == name
    with pytest.raises(bench.BenchError, match="'xyz': no such trial"):
        made.trial("xyz")
    with pytest.raises(bench.BenchError, match="2 trials begin so"):
        made.trial("other")


def test_a_notebook_shows_a_summary(made: bench.Experiment) -> None:
    """What records say is text, never markup."""
    page = made._repr_html_()
    for text in ("4 trials, 4 done", "thin &lt; other", "inconclusive", "&lt;b&gt;thin&lt;/b&gt;"):
        assert text in page
    assert "<b>thin" not in page
    assert "<img" in made.figures["learning_curves"]._repr_html_()
    assert "best_epoch" in made.trials[0]._repr_html_()


def test_figures_are_files_too(made: bench.Experiment, tmp_path: Path) -> None:
    written = made.figures["learning_curves"].save(tmp_path / "new" / "figures")
    assert {path.suffix for path in written} == {".png", ".svg"}
    assert all(path.stat().st_size > 1000 for path in written)
    assert made.figures["learning_curves"].png[0].startswith(b"\x89PNG")
    with pytest.raises(KeyError):
        made.figures["no such figure"]


def test_the_report_can_be_made_again(made: bench.Experiment, tmp_path: Path) -> None:
    assert "thin" in made.report(tmp_path / "a" / "b").read_text()
