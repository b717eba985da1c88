from __future__ import annotations

import pytest

from bench.record.mlflow import Mirror
from bench.record.store import Store
from tests.builders.trials import begin, finish, plan
from tests.record.seen_in_mlflow import children, client, losses, steps


@pytest.mark.parametrize("what", ["run", "parent", "experiment"])
def test_what_was_deleted_in_mlflow_comes_back(mlflow_store: Store, what: str) -> None:
    finish(begin(mlflow_store, epochs=3))
    Mirror(mlflow_store).sync()
    (run,) = children(mlflow_store)
    parent = run.data.tags["mlflow.parentRunId"]
    if what == "experiment":
        client(mlflow_store).delete_experiment(run.info.experiment_id)
    else:
        client(mlflow_store).delete_run(run.info.run_id if what == "run" else parent)
    Mirror(mlflow_store).sync()
    assert steps(mlflow_store) == losses(1, 2, 3)
    (now,) = children(mlflow_store)
    above = client(mlflow_store).get_run(now.data.tags["mlflow.parentRunId"])
    assert above.info.lifecycle_stage == "active"
    assert (above.info.run_id == parent) == (what == "run" or what == "experiment")


def test_the_parent_is_as_its_children_are(mlflow_store: Store) -> None:
    ids = ["a", "b"]
    store = mlflow_store
    store.write_plan("pets", plan(*ids))
    mirror = Mirror(store)

    def parent() -> str:
        run = children(store)[0]
        return str(client(store).get_run(run.data.tags["mlflow.parentRunId"]).info.status)

    finish(begin(store, "a"))
    mirror.sync()
    assert parent() == "KILLED"  # b has not been run
    b = begin(store, "b")
    mirror.sync()
    assert parent() == "RUNNING"
    b.stop("failed", "crash", "boom")
    mirror.sync()
    assert parent() == "FAILED"
    b.begin({})
    finish(b)
    mirror.sync()
    assert parent() == "FINISHED"
