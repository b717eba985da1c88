"""`bench search` as a user has it, with real training: killed twice, and what it leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from bench.plan.expand import make_plan
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.builders.training import MemoryRecorder, Silent, results
from tests.test_cli import Workspace

OVERRIDES = (
    "data={name: shapes, image_size: 32, train: 12, val: 4, test: 4}",
    "model={name: unet, width: 0.05}",
    "train.epochs=4",
    "search.trials=4",
    "search.confirm_seeds=1",
    "search.constraints=[]",
    "machine.threads=1",
)
SPEC = Path(__file__).parents[2] / "experiments" / "search_unet.yaml"


def workers(parent: int) -> list[psutil.Process]:
    children = psutil.Process(parent).children()
    servers = [child for child in children if "forkserver" in " ".join(child.cmdline())]
    return [worker for server in servers for worker in server.children()]


def when(workspace: Workspace, epochs: int, process: subprocess.Popen[str]) -> None:
    """Wait until so many epochs are on record."""
    limit = time.monotonic() + 90
    while sum(map(len, workspace.histories("search_unet").values())) < epochs:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.005)


def start(workspace: Workspace) -> subprocess.Popen[str]:
    return subprocess.Popen(
        workspace.command("search", str(SPEC), *OVERRIDES, "-j", "2"), cwd=workspace.folder,
        env=workspace.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace where a shipped search was killed, as parent and as worker, and went on."""
    workspace = Workspace(tmp_path_factory.mktemp("searched"))
    running = start(workspace)
    when(workspace, 3, running)
    running.kill()
    running.communicate()
    running = start(workspace)
    when(workspace, 7, running)
    for worker in workers(running.pid)[:1]:
        os.kill(worker.pid, signal.SIGKILL)
    out, output = running.communicate(timeout=120)
    assert running.returncode == 0, output
    assert "Traceback" not in output
    assert "goes on: process" in output
    assert out.splitlines()[-1] == "reports/search_unet/report.html"
    return workspace


def test_killed_twice_it_ends_with_what_was_asked_for(searched: Workspace) -> None:
    record = json.loads((searched.folder / "results/search_unet/search.json").read_text())
    states = Counter(trial["state"] for trial in record["trials"])
    assert sum(states.values()) == states["complete"] + states["pruned"] == 4
    ids = [name for trial in record["trials"] for name in trial["ids"]]
    assert len(set(ids)) == 4
    assert len(record["confirmations"][0]["confirmed"]) == 1
    for trial in record["trials"]:
        assert [int(step) for step in trial["intermediate"]] == [
            *range(1, len(trial["intermediate"]) + 1)
        ]


def test_the_best_point_comes_out_the_same_again(
    searched: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from bench.train.session import train_trial

    monkeypatch.setenv("BENCH_CACHE", str(searched.folder / "cache"))
    (trial,) = make_plan(load_spec(searched.folder / "reports/search_unet/best.yaml")).trials
    recorder = MemoryRecorder(tmp_path)
    torch.set_num_threads(trial.settings.machine.threads or 0)
    train_trial(trial, recorder, Silent())
    before = Store(searched.folder / "results").trial("search_unet", trial.id).history()
    assert results(recorder.rows) == results(before)


def test_mlflow_has_a_parent_and_marks_what_was_pruned(searched: Workspace) -> None:
    database = sqlite3.connect(searched.folder / "results/mlflow.db")
    found = database.execute(
        "SELECT r.run_uuid, t.key, t.value FROM runs r JOIN tags t USING (run_uuid)"
        " JOIN experiments e USING (experiment_id) WHERE e.name = 'search_unet'"
    )
    runs: dict[str, dict[str, str]] = {}
    for run, key, value in found:
        runs.setdefault(run, {})[key] = value
    parents = [tags for tags in runs.values() if tags["bench.kind"] == "experiment"]
    assert [tags["bench.study.name"] for tags in parents] == ["search_unet"]
    children = [tags for tags in runs.values() if tags["bench.kind"] == "trial"]
    parts = Counter(tags["bench.search.part"] for tags in children)
    assert parts == {"search": 4, "confirmation": 1}
    record = json.loads((searched.folder / "results/search_unet/search.json").read_text())
    pruned = {t["ids"][0] for t in record["trials"] if t["state"] == "pruned"}
    marked = {tags["bench.id"] for tags in children if tags["bench.status"] == "pruned"}
    assert marked == pruned
    assert all("mlflow.parentRunId" in tags for tags in children)


def test_status_knows_it(searched: Workspace) -> None:
    rows = json.loads(searched.ok("status", "search_unet", "--json"))
    assert {row["status"] for row in rows} <= {"done", "pruned"}
    assert len(rows) == 5
    assert all(row["in_plan"] for row in rows)


def test_a_database_that_is_not_there_is_one_line(searched: Workspace) -> None:
    found = searched.call("search", str(SPEC), "search.storage=postgresql://x:y@127.0.0.1:1/z")
    assert found.returncode == 2
    assert "error: search.storage: postgresql://x:***@127.0.0.1:1/z" in found.stderr
    assert "Traceback" not in found.stderr
