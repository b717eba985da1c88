"""MLflow's own pages on a store."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from bench.errors import StoreError
from bench.record.mlflow import Mirror
from bench.record.mlflow_moving import follow_folder
from bench.record.store import Store
from bench.safe_files import check_database


def served_uri(store: Store) -> str:
    """The database for `ui_command`: the store's own, whose artifacts are found where it is now.

    Of a folder that cannot be written a temporary copy is served, since artifact locations are in
    the database.

    Raises:
        StoreError: there is none, or it cannot be used.
    """
    if os.access(store.root, os.W_OK) or not store.root.exists():
        Mirror(store, store.mlflow_uri).prepare()
        return store.mlflow_uri
    database = store.root.resolve() / "mlflow.db"
    check_database(database)
    if not database.is_file():
        raise StoreError(f"{database}: not there, and the folder is read-only: copy it first")
    copy = Path(tempfile.mkdtemp(prefix="bench-mlflow-")) / database.name
    shutil.copyfile(database, copy)
    follow_folder(copy, store.artifacts)
    return f"sqlite:///{copy}"


def ui_command(store: Store, port: int = 5000, uri: str | None = None) -> list[str]:
    """The command that serves MLflow's UI on this store, at 127.0.0.1 only.

    It has to run with `ui_environment`; `uri` is what `served_uri` gave.
    """
    return [
        *(sys.executable, "-m", "mlflow", "ui"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri or store.mlflow_uri),
        *("--default-artifact-root", store.artifacts.resolve().as_uri()),
    ]


def ui_environment() -> dict[str, str]:
    """This process's environment, without telemetry unless the user asked for it."""
    return {"MLFLOW_DISABLE_TELEMETRY": "true"} | dict(os.environ)
