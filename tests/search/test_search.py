"""Whole searches, with everything real but the training: what is tried, ended, chosen, kept."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest

from bench.commands.search import STUDY
from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.measure.footprint import Footprint
from bench.plan.expand import make_plan
from bench.plan.trial import Trial
from bench.record.store import Store
from bench.spec.load import load_spec
from bench.states import Status
from tests.builders.searches import SPEC, Dies, Lab, bowl


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def states(record: dict[str, Any]) -> Counter[str]:
    return Counter(trial["state"] for trial in record["trials"])


def best(record: dict[str, Any]) -> dict[str, Any]:
    return next(t for t in record["trials"] if t["number"] == record["chosen"][0])


@pytest.mark.parametrize("keep_last", [False, True])
def test_what_finished_trials_go_on_from_is_kept_where_it_is_asked_for(
    keep_last: bool, lab: Lab
) -> None:
    lab.search(bowl, "search.trials=2", "search.confirm_seeds=1", keep_last=keep_last)
    found = Store(lab.folder / "results").trials("made")
    assert len(found) == 3
    assert {files.last.exists() for files in found} == {keep_last}


def test_a_search_leaves_records_a_study_and_a_ready_spec(lab: Lab) -> None:
    lab.study_storage = None  # the real one
    code, ran = lab.search(bowl, "search.confirm_seeds=2")
    record = lab.record()
    assert code is ExitCode.OK
    assert states(record) == {"complete": 6}
    values = {t["number"]: t["values"]["best_val_dice"] for t in record["trials"]}
    assert record["chosen"] == [max(values, key=lambda number: values[number])]
    assert len(ran.log) == len(set(ran.log)) == 8
    store = Store(lab.folder / "results")
    summaries = {t.id: t.summary() for t in store.trials("made")}
    confirmed = record["confirmations"][0]
    assert confirmed["seeds"] == [1, 2]
    assert {name for name, found in summaries.items() if "test_dice" in found} == {
        *confirmed["ids"]
    }
    assert all("test_dice" in found for found in confirmed["confirmed"].values())
    study = optuna.load_study(
        study_name="made", storage=f"sqlite:///{lab.folder}/results/optuna.db"
    )
    assert study.best_trial.number == record["chosen"][0]
    assert study.metric_names == ["best_val_dice"]
    plan = store.plan("made")
    assert plan is not None
    assert {trial["id"] for trial in plan["trials"]} == set(ran.log)
    config = store.trial("made", ran.log[-1]).config()
    assert config["search"] == {"point": record["chosen"][0], "part": "confirmation"}


def test_the_ready_spec_stands_for_the_very_trial(lab: Lab) -> None:
    lab.search(bowl)
    plan = make_plan(load_spec(lab.folder / "reports/made/best.yaml"))
    assert plan.experiment == "made_best"
    assert [trial.id for trial in plan.trials] == best(lab.record())["ids"]
    assert plan.machine.threads == 1


def test_the_same_command_again_trains_nothing(lab: Lab) -> None:
    lab.search(bowl)
    before = lab.record()
    code, ran = lab.search(bowl)
    assert (code, ran.log) == (ExitCode.OK, [])
    assert lab.record() == before
    _, ran = lab.search(bowl, "search.trials=8", more=True)
    assert len(ran.log) == 2
    assert states(lab.record()) == {"complete": 8}


def test_enqueued_points_come_first(lab: Lab) -> None:
    lab.search(
        bowl, "search.enqueue=[{train.lr: 1e-3}, {train.lr: 3e-3, train.weight_decay: 0.25}]"
    )
    first, second, *_ = lab.record()["trials"]
    assert first["params"]["train.lr"] == 1e-3
    assert second["params"] == {"train.lr": 3e-3, "train.weight_decay": 0.25}
    assert second["values"]["best_val_dice"] == pytest.approx(1)


def test_numbers_are_short_and_do_not_depend_on_interruptions(lab: Lab, tmp_path: Path) -> None:
    lab.search(bowl)
    whole = [trial["params"] for trial in lab.record()["trials"]]
    assert all(len(str(value)) <= 9 for params in whole for value in params.values())
    other = Lab(tmp_path / "other", lab.patch)
    other.folder.mkdir()
    for trials in (1, 2, 4, 6):
        other.search(bowl, f"search.trials={trials}", more=True)
    assert [trial["params"] for trial in other.record()["trials"]] == whole


def test_several_seeds_are_averaged(lab: Lab) -> None:
    def dice(trial: Trial, epoch: int) -> float:
        return 0.5 + 0.1 * trial.seed

    _, ran = lab.search(dice, "search.seeds_per_trial=3", "search.trials=2")
    assert len(ran.log) == 6
    assert lab.record()["trials"][0]["values"]["best_val_dice"] == pytest.approx(0.6)
    assert [found["best_val_dice"] for found in lab.record()["trials"][0]["figures"]] == [
        0.5,
        0.6,
        0.7,
    ]


def test_a_failed_point_is_passed_over(lab: Lab) -> None:
    def dice(trial: Trial, epoch: int) -> float:
        if trial.settings.train.weight_decay > 0.5:
            raise RuntimeError("the loss is nan")
        return bowl(trial, epoch)

    code, _ = lab.search(dice)
    record = lab.record()
    large = [trial["params"]["train.weight_decay"] > 0.5 for trial in record["trials"]]
    assert [trial["state"] == "failed" for trial in record["trials"]] == large
    assert 0 < sum(large) < 6
    failed = next(trial for trial in record["trials"] if trial["state"] == "failed")
    assert failed["message"] == "diverged: the loss is nan"
    assert code is ExitCode.OK  # that a point diverges is what a search finds out


def test_what_is_predicted_to_be_too_large_is_never_started(lab: Lab) -> None:
    def predicted(trial: Trial) -> Footprint:
        large = trial.settings.train.batch_size > 8
        return Footprint(9000.0 if large else 100.0, "resident", 20000.0)

    lab.footprint = predicted
    space = "search.space={train.batch_size: {int: [1, 12]}, train.lr: {float: [1e-4, 1e-2]}}"
    _, ran = lab.search(bowl, space, "search.constraints=[memory_mb < 8000, macs <= 1e9]")
    record = lab.record()
    large = [t["params"]["train.batch_size"] > 8 for t in record["trials"]]
    assert any(large)
    assert [t["state"] == "infeasible" for t in record["trials"]] == large
    assert len(ran.log) == large.count(False)
    refused = record["trials"][large.index(True)]
    assert refused["message"] == "memory_mb is 9000, but is to be < 8000"
    assert refused["constraints"]["memory_mb < 8000"] == 1000


def test_settings_that_do_not_go_together_are_infeasible(lab: Lab) -> None:
    space = (
        "search.space={train.epochs: {int: [3, 6]}, train.warmup_epochs: {float: [0, 2.9]},"
        " train.early_stopping.patience: {int: [1, 2]}}"
    )
    _, ran = lab.search(bowl, space)
    assert len(ran.log) == states(lab.record())["complete"] == 6


def test_a_finite_space_is_not_searched_twice(lab: Lab) -> None:
    space = "search.space={train.optimizer: {choice: [adam, sgd]}, train.ema: {choice: [0.5, 0.9]}}"
    _, ran = lab.search(bowl, space, "search.trials=30", "search.sampler=random")
    assert len(ran.log) == len(set(ran.log)) == 4
    record = lab.record()
    assert states(record)["complete"] >= 4
    for trial in record["trials"]:
        if trial["reused"] is not None:
            assert trial["values"] == record["trials"][trial["reused"]]["values"]


def test_the_time_ends_a_search_which_then_chooses(lab: Lab) -> None:
    code, ran = lab.search(bowl, "search.trials=1000", "search.confirm_seeds=1", timeout=0.5)
    assert code is ExitCode.OK
    assert 1 <= len(ran.log) < 1000
    assert lab.record()["chosen"]
    _, ran = lab.search(bowl, "search.trials=1000", "search.confirm_seeds=1")
    assert ran.log == []


def test_median_pruning_is_on_record_everywhere(lab: Lab) -> None:
    code, _ = lab.search(
        bowl,
        "search.trials=12",
        "train.epochs=6",
        "search.pruner={name: median, startup_trials: 2}",
    )
    record = lab.record()
    pruned = [trial for trial in record["trials"] if trial["state"] == "pruned"]
    assert code is ExitCode.OK
    assert 1 <= len(pruned) < 10
    store = Store(lab.folder / "results")
    for trial in pruned:
        status = store.trial("made", trial["ids"][0]).status()
        assert status.status is Status.PRUNED
        assert status.message == trial["message"]
        assert status.message.startswith("pruned after epoch ")
        assert 2 <= len(trial["intermediate"]) < 6
    worst = min(
        (t["values"]["best_val_dice"] for t in record["trials"][2:] if t["values"]), default=1
    )
    assert worst > 0


@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_other_pruners_save_epochs(lab: Lab, name: str) -> None:
    lab.search(bowl, "search.trials=12", "train.epochs=9", f"search.pruner={name}")
    record = lab.record()
    epochs = sum(len(trial["intermediate"]) for trial in record["trials"])
    assert states(record)["pruned"] >= 3
    assert epochs < 12 * 9


def test_wilcoxon_leaves_seeds_out(lab: Lab) -> None:
    def dice(trial: Trial, epoch: int) -> float:
        good = trial.settings.train.weight_decay < 0.5
        return (0.9 if good else 0.5) + 0.001 * trial.seed

    _, ran = lab.search(
        dice, "search.trials=9", "search.pruner=wilcoxon", "search.seeds_per_trial=6"
    )
    record = lab.record()
    pruned = [trial for trial in record["trials"] if trial["state"] == "pruned"]
    assert pruned
    assert {trial["message"] for trial in pruned} == {"pruned after 4 of 6 seeds"}
    assert len(ran.log) == 6 * states(record)["complete"] + 4 * len(pruned)


def test_several_objectives_are_a_front_and_pruned_by_our_own_rule(lab: Lab) -> None:
    def dice(trial: Trial, epoch: int) -> float:
        return min(1.0, bowl(trial, epoch) * (0.5 + trial.settings.model.width))

    code, _ = lab.search(
        dice,
        "search.trials=16",
        "train.epochs=4",
        "search.objectives=[best_val_dice, macs]",
        "search.pruner={name: asha, metric: val/dice}",
        "search.space={train.lr: {float: [1e-4, 1e-1], log: true},"
        " train.weight_decay: {float: [0, 1]}, model.width: {float: [0.05, 0.5], step: 0.05}}",
        "model={name: unet}",
        "search.confirm_seeds=1",
    )
    record = lab.record()
    assert code is ExitCode.OK
    assert states(record)["pruned"] >= 1
    values = {t["number"]: t["values"] for t in record["trials"] if t["values"]}
    for member in record["front"]:
        assert not any(
            other["best_val_dice"] >= values[member]["best_val_dice"]
            and other["macs"] <= values[member]["macs"]
            and other != values[member]
            for other in values.values()
        )
    assert len(record["chosen"]) == min(3, len(record["front"]))
    assert record["chosen"][0] == record["front"][0]
    assert len(record["confirmations"]) == len(record["chosen"])
    ready = sorted(path.name for path in (lab.folder / "reports/made").glob("best*.yaml"))
    assert ready == ["best.yaml", "best_2.yaml", "best_3.yaml"][: len(record["chosen"])]


def test_whoever_dies_leaves_points_that_go_on(lab: Lab) -> None:
    """The process is gone in the middle of a point: the next one goes on with it."""
    calls = []

    def dying(trial: Trial, epoch: int) -> float:
        calls.append(trial.id)
        if len(calls) in (8, 17):
            raise Dies
        return bowl(trial, epoch)

    def die(*_: object) -> None:
        raise Dies  # nothing is given back

    lab.patch.setattr("bench.search.driver.Driver.close", die)
    for _ in range(2):
        with pytest.raises(Dies):
            lab.search(dying, slots=2)
    lab.patch.undo()
    lab.search(dying, slots=2)
    record = lab.record()
    assert states(record) == {"complete": 6}
    assert len(calls) == 6 * 3 + 2  # each death costs the epoch that it cuts
    ids = [trial["ids"][0] for trial in record["trials"]]
    assert len(set(ids)) == 6


def test_interrupted_and_on(lab: Lab) -> None:
    def interrupted(trial: Trial, epoch: int) -> float:
        if trial.settings.train.weight_decay > 0.5:
            raise KeyboardInterrupt
        return bowl(trial, epoch)

    code, _ = lab.search(interrupted)
    assert code is ExitCode.INTERRUPTED
    assert "the same command goes on from here" in lab.said[-1]
    assert states(lab.record())["waiting"] == 1
    lab.search(bowl)
    assert states(lab.record()) == {"complete": 6}


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("search.space.train.lr.float=[1e-4, 1]", "space.train.lr.float was [0.0001,0.1], now"),
        ("search.space.train.ema={choice: [0.5, 0.9]}", "space.train.ema is new"),
        ("train.epochs=4", "settings.train.epochs was 3, now 4"),
        ("search.seeds_per_trial=2", "seeds_per_trial was 1, now 2"),
        ("search.objectives=[best_val_loss]", "the directions of its objectives"),
        ("search.objectives=[best_val_iou]", "objectives.best_val_dice is gone"),
    ],
)
def test_another_search_of_the_same_name_is_refused(lab: Lab, override: str, what: str) -> None:
    lab.search(bowl, "search.trials=1")
    with pytest.raises(BenchError) as caught:
        lab.search(bowl, override)
    assert what in str(caught.value)
    assert "give this experiment another name" in str(caught.value)


def test_sqlite_is_for_one_process(lab: Lab) -> None:
    with Store(lab.folder / "results").leases("made") as other:
        other.claim(STUDY)
        with pytest.raises(BenchError, match="=journal lets several share") as caught:
            lab.search(bowl)
    assert f"is being searched by process {os.getpid()} on " in str(caught.value)


def test_somebody_elses_study_is_refused(lab: Lab) -> None:
    assert lab.study_storage is not None
    study = optuna.create_study(
        study_name="made", storage=lab.study_storage.storage, direction="maximize"
    )
    study.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(BenchError, match="was not made by bench"):
        lab.search(bowl)


@pytest.mark.parametrize("url", ["me:hunter2@h/db", "me:hun/ter2@h/db", "h/db?password=hunter2"])
def test_a_password_is_written_nowhere(lab: Lab, url: str) -> None:
    from bench.spec.search import without_password

    spec = load_spec(_written(lab, SPEC), [f"search.storage=postgresql://{url}"])
    assert "ter2" not in json.dumps(without_password(spec.document.tree))


def _written(lab: Lab, text: str) -> Path:
    path = lab.folder / "spec.yaml"
    path.write_text(text)
    return path
