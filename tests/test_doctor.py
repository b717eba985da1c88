from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import psutil
import pytest
import torch
import torchvision

from bench import doctor
from bench.doctor import Check, checks
from bench.measure import devices


def test_everything_is_looked_at_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = checks(tmp_path / "results")
    names = [check.name for check in found if not check.name.startswith("gpu")]
    assert names == [
        "python", "torch", "cpu", "memory", "disk", "results", "cache", "mlflow", "git",
        "oxford_pet",
    ]  # fmt: skip
    assert not [check for check in found if check.state == "problem"]
    for check in found:
        assert bool(check.remedy) == (check.state != "ok")
        assert "\n" not in check.finding + check.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "state"),
    [((3, 10), "problem"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "warning")],
)
def test_python(version: tuple[int, int], state: str) -> None:
    assert doctor.check_python(version).state == state


def test_torch_and_torchvision_of_different_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    def nms(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nand more")

    assert doctor.check_torch().state == "ok"
    monkeypatch.setattr(torchvision.ops, "nms", nms)
    check = doctor.check_torch()
    assert check.state == "problem"
    assert check.finding.endswith("operator torchvision::nms does not exist")
    assert "same package index" in check.remedy


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cpu_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    check = doctor.check_cores()
    assert check.state == "warning"
    assert check.finding == "2 usable cores, torch starts 8 threads"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert doctor.check_cores().state == "ok"


@pytest.mark.parametrize(("free", "state"), [(1e9, "warning"), (3e9, "ok")])
def test_memory(monkeypatch: pytest.MonkeyPatch, free: float, state: str) -> None:
    memory = SimpleNamespace(available=free, total=8e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    check = doctor.check_memory()
    assert (check.state, check.finding) == (state, f"{free / 1e9:.1f} GB free of 8.0 GB")


@pytest.mark.parametrize(("free", "state"), [(1e9, "warning"), (9e9, "ok")])
def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: float, state: str) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert doctor.check_disk(tmp_path / "not" / "yet").state == state
    assert asked == [tmp_path]


def test_no_gpu_is_all_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "visible_gpus", list)
    expected = Check("gpu", "ok", "no CUDA device: trials run on the CPU")
    assert doctor.check_gpus() == [expected]


def test_a_gpu_that_torch_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["0"])
    (check,) = doctor.check_gpus()
    assert check.state == "problem"
    assert "CUDA build of torch" in check.remedy


def test_a_gpu_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise RuntimeError("CUDA error: no kernel image\nfor this device")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", broken)
    (check,) = doctor.check_gpus()
    assert (check.name, check.state) == ("gpu 0", "problem")
    assert check.finding == "cannot be used: CUDA error: no kernel image"


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    check = doctor.check_folder("results", tmp_path / "file" / "results", "elsewhere")
    assert (check.state, check.remedy) == ("problem", "elsewhere")
    assert "is not writable: Not a directory" in check.finding


def test_writable_folders(tmp_path: Path) -> None:
    there = doctor.check_folder("results", tmp_path, "elsewhere")
    assert there == Check("results", "ok", str(tmp_path))
    later = doctor.check_folder("results", tmp_path / "a" / "b", "elsewhere")
    assert later == Check("results", "ok", f"{tmp_path / 'a' / 'b'} (does not exist yet)")
    assert list(tmp_path.iterdir()) == []


def test_git_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert doctor.check_git().state == "warning"


def test_pets(tmp_path: Path) -> None:
    missing = doctor.check_pets(tmp_path)
    assert missing.state == "warning"
    assert "data.download" in missing.remedy
    assert "data.root" in missing.remedy
    (tmp_path / "images").mkdir()
    assert "trainval.txt" in doctor.check_pets(tmp_path).finding
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "trainval.txt").touch()
    assert doctor.check_pets(tmp_path) == Check("oxford_pet", "ok", str(tmp_path))


def make_database(path: Path, version: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", (version,))
        database.commit()


def test_mlflow_store_not_there_yet(tmp_path: Path) -> None:
    check = doctor.check_mlflow(tmp_path, None)
    assert check.state == "ok"
    assert "does not exist yet" in check.finding
    assert list(tmp_path.iterdir()) == []


def test_mlflow_store_of_an_older_mlflow(tmp_path: Path) -> None:
    make_database(tmp_path / "mlflow.db", "0123456789ab")
    check = doctor.check_mlflow(tmp_path, None)
    assert check.state == "problem"
    assert "has schema 0123456789ab, MLflow" in check.finding
    assert f"mlflow db upgrade sqlite:///{tmp_path}/mlflow.db" in check.remedy


def test_mlflow_store_of_this_mlflow(tmp_path: Path) -> None:
    newest = doctor._newest_schema()
    assert newest
    make_database(tmp_path / "mlflow.db", newest)
    assert doctor.check_mlflow(tmp_path, None).state == "ok"
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert doctor.check_mlflow(tmp_path / "elsewhere", uri).state == "ok"


def test_mlflow_store_that_is_damaged_or_empty(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is not a database, whatever its name says" * 100)
    check = doctor.check_mlflow(tmp_path, None)
    assert check.state == "problem"
    assert "bench sync" in check.remedy
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert "still empty" in doctor.check_mlflow(tmp_path, None).finding


@pytest.mark.parametrize(
    ("uri", "state", "says"),
    [
        ("mlruns", "problem", "plain folders"),
        ("file:///tmp/mlruns", "problem", "plain folders"),
        ("databricks://profile", "warning", "'databricks'"),
        ("http://127.0.0.1:1", "problem", "does not answer"),
        ("http://127.0.0.1:none", "problem", "does not answer"),
        ("postgresql+nosuchdriver://name:hunter2@host/db", "problem", "cannot be read"),
    ],
)
def test_mlflow_elsewhere(tmp_path: Path, uri: str, state: str, says: str) -> None:
    check = doctor.check_mlflow(tmp_path, uri)
    assert check.state == state
    assert says in check.finding
    assert "hunter2" not in check.finding + check.remedy


class Health(BaseHTTPRequestHandler):
    answer: ClassVar[int] = 200
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.answer)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Health) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(("answer", "state"), [(200, "ok"), (401, "ok"), (500, "problem")])
def test_tracking_server(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, answer: int, state: str
) -> None:
    monkeypatch.setattr(Health, "answer", answer)
    check = doctor.check_mlflow(tmp_path, f"http://name:hunter2@{server}/prefix/")
    assert check.state == state
    assert Health.asked[-1] == "/prefix/health"
    assert "hunter2" not in check.finding
    assert server in check.finding
