"""Imported trials next to trials of our own: how every other command takes them."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.hypotheses import outcomes
from bench.analysis.leaderboard import marks_in_column
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.commands.inspect import status_rows
from bench.commands.reporting import export
from bench.errors import BenchError, StoreError
from bench.experiment import running as experiment_running
from bench.experiment.current_run import RunOptions
from bench.experiment.earlier_experiments import lookup
from bench.experiment.running import run_plan
from bench.inference.evaluate import evaluate
from bench.plan.expand import make_plan
from bench.record.mlflow import Mirror
from bench.record.store import Store
from bench.report.figures.arm_style import arm_color, arm_dashes
from bench.report.manifest import manifest_record
from bench.report.narrative.headline import headline
from bench.report.narrative.sentences import sentence
from bench.spec.hypotheses import Hypothesis
from bench.spec.load import load_spec
from tests.builders.imported_trials import imported
from tests.builders.records import MadeTrial, write_experiment

SPEC = """
experiment: exp
task: segmentation
data: {name: shapes, image_size: 32, train: 8, val: 4, test: 4}
train: {epochs: 1, batch_size: 4}
grid: {model: {unet: {name: unet, width: 0.05}, other: {name: unet, width: 0.1}}, train.lr: [1e-3]}
seeds: 3
"""
CLAIM = {"id": "h", "claim": "c", "metric": "best_val_dice", "a": {"model": "unet"},
         "b": {"model": "other"}, "expect": "higher"}  # fmt: skip


def with_log(root: Path, log: str, **plan: object) -> Records:
    """Three seeds of two models of ours, in which `unet` is better by about 0.2, and a log."""
    own = [
        MadeTrial(seed, {"model": model, "train.lr": "0.001"}, summary={"best_val_dice": dice})
        for model, start in (("unet", 0.7), ("other", 0.5))
        for seed, dice in enumerate((start, start + 0.01 * (model == "unet"), start + 0.02))
    ]
    write_experiment(root, "exp", own, hypotheses=[CLAIM], **plan)
    file = root / "log.csv"
    file.write_text(log)
    imported(root, file)
    return load(Store(root), "exp")


AGAINST = "model,train.lr,seed,epoch,val/loss,val/dice\n" + "".join(
    f"{model},1e-3,{seed},1,0.5,{dice}\n"
    for model, dice in (("unet", 0.1), ("other", 0.98))
    for seed in (0, 1, 2, 3)
)


def test_others_trials_are_references_and_no_seeds_of_ours(tmp_path: Path) -> None:
    """The log says the contrary of our seeds, with more of them: only ours are tested."""
    records = with_log(tmp_path, AGAINST)
    assert records.axes == {"model": ["unet", "other"], "train.lr": ["0.001"]}  # 1e-3 is the same
    (outcome,) = outcomes(records)
    assert (outcome.verdict, outcome.result.estimate.n) == ("supported", 3)
    assert "; not counted, being another protocol: a paper." in sentence(outcome)
    arms = arms_of(records)
    assert [(arm.label, arm_dashes(arm) == ()) for arm in arms] == [
        ("unet", True), ("other", True), ("unet (a paper)", False), ("other (a paper)", False),
    ]  # fmt: skip
    assert [arm_color(arms[i]) for i in (0, 1)] == [arm_color(arms[i]) for i in (2, 3)]
    assert set(marks_in_column(records, arms, "best_val_dice", "max")) <= {0, 1}
    found = headline(records, arm_summary(records), arms)
    assert found.title.startswith("unet has the highest validation Dice: 0.71")
    assert "For reference, logged elsewhere by a paper" in found.sentences[-1]
    assert "other (a paper) the highest, 0.980" in found.sentences[-1]


def test_one_run_an_arm_never_concludes(tmp_path: Path) -> None:
    imported(tmp_path)
    records = load(Store(tmp_path), "exp")
    claim = CLAIM | {"b": {"model": "resnet34_unet"}, "metric": "best_val_dice"}
    (outcome,) = outcomes(_with(records, claim))
    assert outcome.verdict == "inconclusive"
    assert sentence(outcome) == (
        "unet's best validation Dice is higher than resnet34_unet's by 0.065, one run of each arm: "
        "inconclusive; 3 complete seeds are the least that can settle it; logged elsewhere by a "
        "paper."
    )


def _with(records: Records, *claims: dict[str, object]) -> Records:
    return dataclasses.replace(records, hypotheses=tuple(map(Hypothesis.model_validate, claims)))


def test_axes_that_one_side_lacks(tmp_path: Path) -> None:
    """A log without one of our axes has no label on it; one of its own is an axis more."""
    records = with_log(
        tmp_path, "model,optimizer,epoch,val/dice\nunet,sgd,1,0.5\nunet,adam,1,0.6\n"
    )
    assert records.axes["optimizer"] == ["sgd", "adam"]
    assert [arm.label for arm in arms_of(records)] == [
        "unet", "other", "unet · sgd (a paper)", "unet · adam (a paper)",
    ]  # fmt: skip
    assert records.left_out == ()
    assert outcomes(records)[0].verdict == "supported"


def test_a_later_plan_judges_them_anew(tmp_path: Path) -> None:
    log = "model,epoch,val/loss,val/dice\nunet,1,0.5,0.6\nunet,2,0.6,0.7\n"
    select = {"metric": "val/loss", "mode": "min"}
    records = with_log(tmp_path, log, select={"metric": "val/dice", "mode": "max"})
    assert records.runs["best_epoch"].dropna().tolist() == [2]
    write_experiment(tmp_path, "exp", [], select=select)
    assert load(Store(tmp_path), "exp").runs["best_epoch"].dropna().tolist() == [1]


def test_run_leaves_them_alone_and_reports_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --force at that, and a second run has nothing to do."""
    monkeypatch.setattr(experiment_running, "make_report", lambda *_: tmp_path / "report.html")
    spec = tmp_path / "exp.yaml"
    spec.write_text(SPEC)
    results = tmp_path / "results"
    file = tmp_path / "log.csv"
    file.write_text("model,train.lr,epoch,val/loss,val/dice\nunet,1e-3,1,0.5,0.9\n")
    imported(results, file)
    before = {p: p.read_bytes() for p in results.rglob("*imported*/*") if p.name != "mlflow.json"}
    plan = make_plan(load_spec(spec, ["seeds=1", "machine.device=cpu"]))
    with (tmp_path / "said").open("w") as said:
        for force in (True, False):
            options = RunOptions(results, tmp_path / "reports", jobs=1, force=force)
            assert run_plan(plan, options, Console(file=said, width=200)) == 0
    text = (tmp_path / "said").read_text()
    assert "2 of 2 trials to run" in text
    assert "Nothing to run: 2 of 2 trials are done." in text
    assert {p: p.read_bytes() for p in before} == before
    records = load(Store(results), "exp")
    assert [arm.label for arm in arms_of(records)] == ["unet", "other", "unet (a paper)"]
    manifest = manifest_record(records)
    assert manifest["imported"] == [{"source": "a paper", "file": "log.csv", "trials": 1}]
    assert manifest["facts"]["compile"] == [{"value": "none", "trials": 2}]


def test_other_commands(tmp_path: Path) -> None:
    imported(tmp_path)
    store = Store(tmp_path)
    rows = status_rows(store, "exp")
    assert [(row["status"], row["epoch"], row["best"], row["source"]) for row in rows] == [
        ("done", 4, 0.735, "a paper"), ("done", 3, 0.8, "a paper"),
    ]  # fmt: skip
    runs = export(store, "exp", tmp_path / "tables", "csv", print)[0].read_text()
    assert runs.count("a paper") == 2
    for name in (rows[0]["id"], f"exp/{rows[1]['id']}"):
        with pytest.raises(StoreError, match=r"was imported from a paper and has a history only"):
            evaluate(store, name, "test", "cpu")
    with pytest.raises(BenchError, match="was not run here, and has no checkpoints"):
        lookup(store, tmp_path)("exp")


def test_checkpoints_are_sought_among_our_own(tmp_path: Path) -> None:
    with_log(tmp_path, AGAINST)
    assert len(lookup(Store(tmp_path), tmp_path)("exp").trials) == 6


def test_mlflow_has_them_with_their_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    imported(tmp_path)
    mirror = Mirror(Store(tmp_path))
    assert (mirror.sync().pushed, mirror.sync().pushed) == (2, 0)
    client = mirror._client
    experiment = client.get_experiment_by_name("exp")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], "tags.`bench.source` = 'a paper'")
    assert {run.data.params["model"] for run in found} == {"unet", "resnet34_unet"}
    unet = next(run for run in found if run.data.params["model"] == "unet")
    dice = client.get_metric_history(unet.info.run_id, "val/dice")
    assert [(metric.step, metric.value) for metric in dice] == [(1, 0.5), (2, 0.8), (3, 0.78)]


def test_an_imported_trial_can_be_removed_by_hand(tmp_path: Path) -> None:
    imported(tmp_path)
    shutil.rmtree(Store(tmp_path).trials("exp")[0].folder)
    assert "1 imported, 1 recorded before and unchanged" in imported(tmp_path)[0]
