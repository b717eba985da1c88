from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.record.mlflow import Mirror, MirrorError
from bench.record.mlflow_artifacts import Artifacts, local_path
from bench.record.mlflow_connect import connect
from bench.record.store import Store
from tests.builders.trials import begin, finish
from tests.record.seen_in_mlflow import children, losses, steps


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def not_waiting(seconds: float) -> None:
    """MLflow itself tries a database ten times in 100 s, and says nothing meanwhile."""
    assert seconds < 1, f"waits for {seconds} s"


def refusing(store: Store, how: str, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """A mirror whose MLflow fails in some way."""
    if how == "closed port":
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        return Mirror(store, f"http://me:secret@127.0.0.1:{closed_port()}")
    if how == "database server":
        return Mirror(store, f"postgresql+psycopg://me:secret@127.0.0.1:{closed_port()}/db")
    if how == "damaged database":
        (store.root / "mlflow.db").write_bytes(b"not a database" * 100)
    elif how == "database is a folder":
        (store.root / "mlflow.db").mkdir()
    return Mirror(store)


@pytest.mark.parametrize(
    "how", ["closed port", "database server", "damaged database", "database is a folder"]
)
def test_mlflow_that_refuses_is_one_line_and_leaves_the_files(
    store: Store, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    files = finish(begin(store, epochs=2))
    before = {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}
    mirror = refusing(store, how, monkeypatch)
    monkeypatch.setattr("time.sleep", not_waiting)
    for action in (mirror.prepare, mirror.sync, lambda: mirror.sync_trial(files)):
        with pytest.raises(MirrorError, match=r"^MLflow at ") as caught:
            action()
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    after = {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}
    assert after == before


def test_the_users_tracking_uri_is_honoured(
    mlflow_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "theirs.db"
    (mlflow_store.root / "mlflow.db").rename(theirs)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{theirs}")
    monkeypatch.chdir(tmp_path)
    finish(begin(mlflow_store))
    assert Mirror(mlflow_store).sync().pushed == 1
    assert not (mlflow_store.root / "mlflow.db").exists()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert steps(SimpleNamespace(mlflow_uri=f"sqlite:///{theirs}")) == losses(1, 2)  # type: ignore[arg-type]


def test_artifacts_are_copied_where_links_do_not_work(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    files = finish(begin(mlflow_store))
    Mirror(mlflow_store).sync()
    (run,) = children(mlflow_store)
    artifacts = local_path(run.info.artifact_uri)
    assert artifacts is not None
    assert (artifacts / "best.pt").read_bytes() == b"best weights"
    assert not (artifacts / "best.pt").samefile(files.best)


def test_artifacts_of_a_server_are_sent_to_it(tmp_path: Path) -> None:
    sent: list[tuple[object, ...]] = []
    server = SimpleNamespace(log_artifact=lambda *arguments: sent.append(arguments))
    info = SimpleNamespace(run_id="run", artifact_uri="mlflow-artifacts:/1/run/artifacts")
    artifacts = Artifacts(server, Store(tmp_path), own=False)  # type: ignore[arg-type]
    for folder in ("", "samples"):
        artifacts.put(SimpleNamespace(info=info), "pets", tmp_path / "a", folder)  # type: ignore[arg-type]
    path = str(tmp_path / "a")
    assert sent == [("run", path, None), ("run", path, "samples")]


def test_telemetry_is_off_unless_the_user_set_it(
    mlflow_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    Mirror(mlflow_store).prepare()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    Mirror(mlflow_store).prepare()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"


def test_local_paths() -> None:
    assert local_path("file:///a%20b/c") == Path("/a b/c")
    assert local_path("/a b/c") == Path("/a b/c")
    assert local_path("mlflow-artifacts:/1/2") is local_path("s3://bucket/x") is None


def schema(database: Path) -> set[tuple[object, ...]]:
    """Tables and indices; the migrations write some constraints in another order each time."""
    with contextlib.closing(sqlite3.connect(database)) as found:
        return set(found.execute("SELECT type, name FROM sqlite_master"))


def location(database: Path) -> str:
    with contextlib.closing(sqlite3.connect(database)) as found:
        return str(found.execute("SELECT artifact_location FROM experiments").fetchone()[0])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_database: Path) -> Path:
    """A cache folder that has an empty database; making one takes seconds."""
    import mlflow

    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "cache" / "mlflow" / f"empty-{mlflow.__version__}.db"
    path.parent.mkdir(parents=True)
    with contextlib.closing(sqlite3.connect(fresh_database)) as found:
        found.execute(f"VACUUM INTO '{path}'")
    with contextlib.closing(sqlite3.connect(path)) as found, found:
        made = (path.parent / "mlartifacts").as_uri()
        found.execute("UPDATE experiments SET artifact_location = ?", (f"{made}/0",))
    return path


def test_a_new_database_is_the_empty_one_of_the_cache(store: Store, cache: Path) -> None:
    before = cache.read_bytes()
    connect(store, store.mlflow_uri)
    database = store.root / "mlflow.db"
    assert schema(database) == schema(cache)
    assert location(database) == f"{store.artifacts.resolve().as_uri()}/0"
    assert cache.read_bytes() == before


def log_into(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as found, found:
        found.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, workspace) "
            "VALUES (7, 'somebody''s', 'active', 'default')"
        )


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:50_000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a database"),
        log_into,
    ],
    ids=["cut", "empty", "text", "used"],
)
def test_a_spoilt_empty_database_is_made_anew(
    store: Store, cache: Path, spoil: Callable[[Path], None], fresh_database: Path
) -> None:
    expected = schema(fresh_database)
    spoil(cache)
    connect(store, store.mlflow_uri)
    assert schema(store.root / "mlflow.db") == expected
    assert schema(cache) == expected
    with contextlib.closing(sqlite3.connect(store.root / "mlflow.db")) as found:
        assert found.execute("SELECT count(*) FROM experiments").fetchone() == (1,)


def test_without_a_cache_folder_it_is_made_in_place(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_database: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    connect(store, store.mlflow_uri)
    assert schema(store.root / "mlflow.db") == schema(fresh_database)
    assert location(store.root / "mlflow.db") == f"{store.artifacts.resolve().as_uri()}/0"
