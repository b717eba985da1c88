from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from bench.record.mlflow import Mirror, SyncCounts
from bench.record.store import Store
from bench.record.ui import ui_command, ui_environment
from tests.builders.trials import begin, finish


def get(url: str, body: object = None) -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bytes(answer.read())


def wait_for(url: str, server: subprocess.Popen[bytes]) -> bytes:
    end = time.monotonic() + 60
    while True:
        try:
            return get(url)
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < end
            time.sleep(0.2)


def test_only_this_machine_is_served(store: Store) -> None:
    command = ui_command(store, 5001)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5001"
    assert command[command.index("--backend-store-uri") + 1] == store.mlflow_uri


def test_no_telemetry_unless_the_user_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    assert ui_environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    assert ui_environment()["MLFLOW_DISABLE_TELEMETRY"] == "false"


@pytest.mark.slow
def test_the_pages_and_the_runs_are_served(mlflow_store: Store) -> None:
    files = finish(begin(mlflow_store, epochs=3))
    Mirror(mlflow_store).sync()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = subprocess.Popen(
        ui_command(mlflow_store, port), env=ui_environment(), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        root = f"http://127.0.0.1:{port}"
        assert b"MLflow" in wait_for(root, server)
        name = f"{root}/api/2.0/mlflow/experiments/get-by-name?experiment_name=pets"
        experiment = json.loads(get(name))["experiment"]["experiment_id"]
        query = {"experiment_ids": [experiment], "filter": "tags.`bench.kind` = 'trial'"}
        (run,) = json.loads(get(f"{root}/api/2.0/mlflow/runs/search", query))["runs"]
        assert run["info"]["run_name"] == files.id
        run_id = run["info"]["run_id"]
        picture = get(f"{root}/get-artifact?path=samples/cat_1_2.png&run_uuid={run_id}")
        assert picture == (files.samples / "cat_1_2.png").read_bytes()

        finish(
            begin(mlflow_store, "second", epochs=3)
        )  # and through the server, as to a remote one
        assert Mirror(mlflow_store, root).sync() == SyncCounts(trials=2, pushed=2)
        assert Mirror(mlflow_store, root).sync() == SyncCounts(trials=2, pushed=0)
        runs = json.loads(get(f"{root}/api/2.0/mlflow/runs/search", query))["runs"]
        assert sorted(run["info"]["run_name"] for run in runs) == ["second", files.id]
        for run in runs:
            metric = f"run_id={run['info']['run_id']}&metric_key=val/dice"
            history = json.loads(get(f"{root}/api/2.0/mlflow/metrics/get-history?{metric}"))
            assert [entry["step"] for entry in history["metrics"]] == [1, 2, 3]
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
