"""Reaching MLflow: quietly, without telemetry or long waits, its own database made safely."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from bench.atomic_files import replacing
from bench.errors import StoreError
from bench.record.files import remove_leftovers
from bench.record.mlflow_errors import MirrorError
from bench.record.mlflow_moving import follow_folder
from bench.record.store import Store
from bench.safe_files import check_database

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"
_SERVER = re.compile(r"(postgresql|mysql)(\+\w+)?://")
_CONNECT_SECONDS = 10


def load(uri: str) -> None:
    """Import MLflow (seconds, the first time), set up for `uri` and quiet."""
    # before MLflow is imported; what the user has set stays
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    if uri.startswith("http"):
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        # a server, or a proxy before it, may ask for an hour, in which nothing is said
        os.environ.setdefault("MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER", "false")
    import mlflow  # noqa: F401 - so that it is there

    for name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it is raised as well


def connect(store: Store, uri: str) -> MlflowClient:
    """A client for `uri`; the store's own database is made if it is not there."""
    load(uri)
    from mlflow import MlflowClient

    if uri == store.mlflow_uri:
        _initialise(store)
    _check_sqlite(uri)
    _check_server(uri)
    if uri == store.mlflow_uri:
        follow_folder(_own_database(store), store.artifacts)
    return MlflowClient(tracking_uri=uri)


def is_own(store: Store, uri: str) -> bool:
    """Whether a URI means the store's own database, however it is written."""
    if not uri.startswith(_SQLITE):
        return False
    own = Path(store.mlflow_uri.removeprefix(_SQLITE))
    return Path(uri.removeprefix(_SQLITE)).absolute() == own or uri == store.mlflow_uri


def _check_sqlite(uri: str) -> None:
    """Fail at once where MLflow would retry for minutes: the file is no database, read-only, …"""
    path = Path(uri.removeprefix(_SQLITE))
    if uri.startswith(_SQLITE) and path.exists():
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()


def _check_server(uri: str) -> None:
    """Connect once to a database's server, where MLflow would try ten times in 100 s, silently."""
    if not _SERVER.match(uri):
        return
    from sqlalchemy import create_engine

    engine = create_engine(uri, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        engine.connect().close()
    finally:
        engine.dispose()


def _initialise(store: Store) -> None:
    """Make the store's own database under another name, then rename it.

    MLflow's migrations are safe neither against a second process nor against being killed. They
    take more than a second, so that an empty database is kept in the cache folder.
    """
    path = _own_database(store)
    if path.exists() and (path.is_dir() or path.stat().st_size):
        return
    remove_leftovers(path.parent)
    with replacing(path) as temporary:
        if (empty := _empty_database()) is not None:
            shutil.copyfile(empty, temporary)  # `follow_folder` puts in where its artifacts are
        else:
            _migrate(temporary, store.artifacts.resolve())


def _empty_database() -> Path | None:
    """An empty database of the installed MLflow; None where the cache folder is of no use."""
    import mlflow

    from bench.data.cache import cache_root

    with contextlib.suppress(OSError, StoreError, sqlite3.Error, RuntimeError):  # no home folder
        path = cache_root().resolve() / "mlflow" / f"empty-{mlflow.__version__}.db"
        if not _is_empty_database(path):
            with replacing(path) as temporary:
                _migrate(temporary, path.parent / "mlartifacts")
        return path if _is_empty_database(path) else None
    return None


def _is_empty_database(path: Path) -> bool:
    """Whether it is there, whole, of a finished migration, and nothing has been logged to it."""
    if path.is_symlink() or not path.is_file() or not path.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            whole = database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            counts = [
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - ours
                for table in ("alembic_version", "experiments", "runs")
            ]
    except sqlite3.Error:
        return False
    return whole and counts == [1, 1, 0]


def _migrate(path: Path, artifacts: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    database = SqlAlchemyStore(  # type: ignore[no-untyped-call]  # MLflow's has no types
        f"sqlite:///{path}", artifacts.as_uri()
    )
    database.engine.dispose()


def _own_database(store: Store) -> Path:
    """Its path; a MirrorError where opening it would have files elsewhere changed."""
    path = Path(store.mlflow_uri.removeprefix(_SQLITE))
    try:
        check_database(path)
    except StoreError as error:
        raise MirrorError(str(error)) from error
    return path
