"""The column *Dataset* of MLflow."""

from __future__ import annotations

import json

from bench.record.files import write_json
from bench.record.mlflow import Mirror
from bench.record.mlflow_data import data_set_name, split_sizes
from bench.record.store import Store
from tests.builders.trials import begin, config, finish, plan, recorder_of
from tests.record.seen_in_mlflow import children, client

DATA = {
    "datasets": [
        {"survey": {"fingerprint": "0a1b", "splits": {"train": {"images": 9}}}},
        {"survey": {"fingerprint": "c0de", "splits": {
            "train": {"images": 120}, "val": {"images": 40}, "test": {"images": 41}}}},
    ]
}  # fmt: skip


def test_the_splits_are_those_of_the_data_set_with_the_fingerprint() -> None:
    assert split_sizes(DATA, "c0de") == {"train": 120, "val": 40, "test": 41}
    assert split_sizes(DATA, "else") == {}
    assert split_sizes({}, "c0de") == {}


def test_the_name_is_the_specs() -> None:
    assert data_set_name({"settings": {"data": {"name": "oxford_pet", "root": "/x"}}}) == (
        "oxford_pet"
    )
    assert data_set_name({"settings": {"data": {"target": "mine:Set"}}}) == "mine:Set"
    assert data_set_name({}) == "data"


def test_a_run_has_its_data_set_once(mlflow_store: Store) -> None:
    store = mlflow_store
    store.write_plan("pets", plan())
    write_json(store.data_path("pets"), DATA)
    recorder = begin(store, epochs=2)
    Mirror(store).sync()  # running: nothing is known yet
    assert children(store)[0].inputs.dataset_inputs == []
    recorder.finish({"test_dice": 0.75, "data_fingerprint": "c0de"})
    Mirror(store).sync()
    recorder.files.mlflow_path.unlink()  # forgotten: pushed once more
    Mirror(store).sync()

    (run,) = children(store)
    (found,) = run.inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("data", "c0de")
    assert json.loads(found.dataset.profile) == {"train": 120, "val": 40, "test": 41}
    assert {tag.key: tag.value for tag in found.tags} == {
        "mlflow.data.context": "train 120, val 40, test 41"
    }
    parent = client(store).get_run(run.data.tags["mlflow.parentRunId"])
    assert [found.dataset.digest for found in parent.inputs.dataset_inputs] == ["c0de"]


def test_without_a_fingerprint_there_is_none(mlflow_store: Store) -> None:
    finish(begin(mlflow_store, epochs=2))
    Mirror(mlflow_store).sync()
    assert children(mlflow_store)[0].inputs.dataset_inputs == []


def test_parents_of_one_experiment_are_told_apart(mlflow_store: Store) -> None:
    store = mlflow_store
    finish(begin(store, "a"))
    Mirror(store).sync()
    other = store.trial("pets", "b")
    other.write_config({**config("b"), "common": "deadbeef"})
    recorder = recorder_of(other)
    recorder.begin({})
    recorder.stop("failed", "crash", "boom")
    Mirror(store).sync()
    names = {
        client(store).get_run(run.data.tags["mlflow.parentRunId"]).info.run_name
        for run in children(store)
    }
    assert names == {"pets", "pets (settings deadbeef)"}
