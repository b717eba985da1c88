"""A store, and a fresh MLflow database that is made only once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.record.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with nothing in it: making one takes seconds."""
    from bench.record.mlflow import Mirror

    store = Store(tmp_path_factory.mktemp("mlflow") / "results")
    Mirror(store, store.mlflow_uri).prepare()
    return store.root / "mlflow.db"


@pytest.fixture
def mlflow_store(store: Store, fresh_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose MLflow database is there and empty."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store.root.mkdir()
    shutil.copy(fresh_database, store.root / "mlflow.db")
    return store
