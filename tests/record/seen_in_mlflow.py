"""What MLflow has of the made-up trials."""

from __future__ import annotations

from typing import Any

from bench.record.store import Store


def client(store: Store) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store.mlflow_uri)


def children(store: Store) -> list[Any]:
    """The trials' runs that are not deleted, as MLflow has them."""
    found = client(store).get_experiment_by_name("pets")
    return list(
        client(store).search_runs([found.experiment_id], "tags.`bench.kind` = 'trial'")
        if found
        else []
    )


def steps(store: Store, metric: str = "train/loss") -> list[tuple[int, float]]:
    """Of the only run: everything that was ever logged of a metric."""
    (run,) = children(store)
    history = client(store).get_metric_history(run.info.run_id, metric)
    return [(metric.step, metric.value) for metric in history]


def losses(*epochs: int) -> list[tuple[int, float]]:
    return [(epoch, 1 / (3 * epoch)) for epoch in epochs]
