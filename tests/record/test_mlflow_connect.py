from __future__ import annotations

import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.record.mlflow import Mirror, MirrorError
from bench.record.mlflow_artifacts import Artifacts, local_path
from bench.record.store import Store

from .made_trials import begin, finish
from .seen_in_mlflow import children, losses, steps


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def refusing(store: Store, how: str, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """A mirror whose MLflow fails in some way."""
    if how == "closed port":
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        return Mirror(store, f"http://me:secret@127.0.0.1:{closed_port()}")
    if how == "damaged database":
        (store.root / "mlflow.db").write_bytes(b"not a database" * 100)
    elif how == "database is a folder":
        (store.root / "mlflow.db").mkdir()
    return Mirror(store)


@pytest.mark.parametrize("how", ["closed port", "damaged database", "database is a folder"])
def test_mlflow_that_refuses_is_one_line_and_leaves_the_files(
    store: Store, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    files = finish(begin(store, epochs=2))
    before = {path: path.read_bytes() for path in files.folder.rglob("*") if path.is_file()}
    mirror = refusing(store, how, monkeypatch)
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
        artifacts.place(SimpleNamespace(info=info), "pets", tmp_path / "a", folder)  # type: ignore[arg-type]
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
