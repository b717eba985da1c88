"""Servers that are killed, come back, or take figures and no files."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.exit_codes import ExitCode
from bench.record.files import read_json
from bench.record.mlflow import Mirror
from bench.record.mlflow_record import LACKING
from bench.record.store import Store
from bench.record.ui import ui_environment
from tests.faults.test_surroundings import Said
from tests.faults.tiny import SPEC, facts, run, trials


class Tracking:
    """An MLflow server on 127.0.0.1, whose artifacts go through it into a folder."""

    def __init__(self, folder: Path) -> None:
        self.artifacts, self._folder = folder / "artifacts", folder
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port = found.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1",
             "--port", str(self._port), "--backend-store-uri", f"sqlite:///{self._folder}/their.db",
             "--serve-artifacts", "--artifacts-destination", str(self.artifacts)],
            env=ui_environment(), start_new_session=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def wait(self) -> None:
        for _ in range(300):
            with contextlib.suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            time.sleep(0.3)
        raise AssertionError("MLflow did not start")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def tracking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracking]:
    server = Tracking(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    (tmp_path / "spec.yaml").write_text(SPEC.replace("seeds: 4", "seeds: 3"))
    server.start()
    server.wait()
    yield server
    server.kill()


def there(uri: str) -> dict[str, tuple[str, set[str]]]:
    """Of each trial that the server has: state and artifacts."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'trial'")
    return {
        run.info.run_name: (
            run.info.status,
            {found.path for found in client.list_artifacts(run.info.run_id)},
        )
        for run in runs
    }


ALL = {"config.yaml", "environment.json", "best.pt", "samples"}


def catches_up(store: Store, uri: str, expected: int) -> None:
    counts = Mirror(store).sync("tiny")
    assert counts.problems == ()
    assert counts.pushed == expected
    found = there(uri)
    assert set(found) == {files.id for files in trials(store.root)}
    for state, names in found.values():
        assert state == "FINISHED"
        assert names == ALL
    assert Mirror(store).sync("tiny").pushed == 0


@pytest.mark.slow
def test_a_tracking_server_that_is_killed_and_comes_back(
    done: Path, tracking: Tracking, tmp_path: Path
) -> None:
    """Killed after the first trial: training goes on; back: one `sync` has all, nothing twice."""
    code, words = run(tmp_path, said=Said(": done", tracking.kill))
    assert code is ExitCode.OK, words
    assert words.count("Training goes on without MLflow for now") == 1
    said = rf"MLflow at {tracking.uri} (cannot be reached|does not answer) "
    assert re.search(said, words), words
    assert "Traceback" not in words
    store = Store(tmp_path / "results")
    assert facts(store.root).items() <= facts(done / "results").items()
    tracking.start()
    tracking.wait()
    before = {files.id for files in trials(store.root) if _lacks(store, files.id)}
    catches_up(store, tracking.uri, len(before))


def _lacks(store: Store, trial: str) -> bool:
    memory = read_json(store.trial("tiny", trial).mlflow_path) or {}
    return not memory.get("finished") or bool(memory.get(LACKING))


@pytest.mark.slow
def test_an_artifact_store_that_takes_nothing(tracking: Tracking, tmp_path: Path) -> None:
    """Figures and states of all trials are there; nothing to train, and the files follow."""
    tracking.artifacts.write_text("not a folder")
    code, words = run(tmp_path)
    assert code is ExitCode.OK, words
    assert words.count("MLflow has the figures, but not all files") == 1
    assert "MLflow does not have all of 3 trials: `bench sync tiny` catches up" in words
    assert [state for state, _ in there_without_files(tracking)] == ["FINISHED"] * 3, words
    problems = Mirror(Store(tmp_path / "results")).sync("tiny").problems
    assert len(problems) == 3
    tracking.artifacts.unlink()
    code, words = run(tmp_path)
    assert code is ExitCode.OK, words
    assert "MLflow does not have all of 3 trials: pushing them." in words
    catches_up(Store(tmp_path / "results"), tracking.uri, 0)


def there_without_files(tracking: Tracking) -> list[tuple[str, float]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking.uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`bench.kind` = 'trial'")
    return [(run.info.status, run.data.metrics["test/dice"]) for run in runs]
