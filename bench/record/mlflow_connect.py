"""Reaching MLflow: quietly, without telemetry or long waits, its own database made safely."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.errors import StoreError
from bench.plan.recorded import shown
from bench.record.files import remove_leftovers, replacing
from bench.record.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient


def load(uri: str) -> None:
    """Import MLflow (seconds, the first time), set up for `uri` and quiet."""
    _set_environment(uri)
    import mlflow  # noqa: F401 - so that it is there

    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)


def connect(store: Store, uri: str) -> MlflowClient:
    """A client for `uri`; the store's own database is made if it is not there."""
    load(uri)
    from mlflow import MlflowClient

    if uri == store.mlflow_uri:
        _initialise(store)
    _check_sqlite(uri)
    return MlflowClient(tracking_uri=uri)


class ArtifactError(StoreError):
    """A trial's files that are not copied; the rest of what is known of it is in MLflow."""


def local_path(uri: str) -> Path | None:
    """The folder that an artifact URI means, if it is a local one."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(uri) if not parts.scheme else None


def place(
    client: MlflowClient,
    run_id: str,
    artifacts: str,
    path: Path,
    folder: str,
    within: Path | None = None,
) -> None:
    """Make the file at `path` an artifact in `folder` of a run whose artifacts are at `artifacts`.

    A hard link where these are local files of the same file system, else a copy. Linking is safe
    because no file of ours is ever changed in place.

    Raises:
        ArtifactError: `artifacts`, which a database says, is not in the folder `within`.
    """
    root = local_path(artifacts)
    if root is None:
        client.log_artifact(run_id, str(path), folder or None)
        return
    target = root / folder / path.name
    if within is not None and not target.parent.resolve().is_relative_to(within.resolve()):
        raise ArtifactError(
            f"{within.parent / 'mlflow.db'}: says that the run's artifacts are in {shown(root)}, "
            f"which is not in {within}: nothing is written there"
        )
    if target.is_file() and target.samefile(path):
        return
    with replacing(target) as beside:
        try:
            os.link(path, beside)
        except OSError:  # another file system, or one without links
            shutil.copy2(path, beside)


def _set_environment(uri: str) -> None:
    """Has to be done before MLflow is imported. What the user has set stays."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if uri.startswith("http"):
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")


def _check_sqlite(uri: str) -> None:
    """Fail at once where MLflow would retry for minutes: the file is no database, read-only, …"""
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()


def _initialise(store: Store) -> None:
    """Make the store's own database beside and rename it into place.

    MLflow's migrations are safe neither against a second process nor against being killed.
    """
    path = Path(store.mlflow_uri.removeprefix("sqlite:///"))
    if path.exists() and (path.is_dir() or path.stat().st_size):
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    remove_leftovers(path.parent)
    with replacing(path) as beside:
        database = SqlAlchemyStore(  # type: ignore[no-untyped-call]  # MLflow's has no types
            f"sqlite:///{beside}", store.artifacts.resolve().as_uri()
        )
        database.engine.dispose()
