"""A results folder from somebody else: it runs nothing, and writes nowhere else."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bench.analysis.load import load
from bench.errors import BenchError, StoreError
from bench.exit_codes import ExitCode
from bench.experiment.mirroring import holds, sync_confirmed
from bench.inference.evaluate import evaluate
from bench.measure.environment import git_state
from bench.record.files import read_json, read_text, write_text
from bench.record.mlflow import Mirror
from bench.record.store import Store
from bench.train import checkpoint
from tests.faults.tiny import run, trials
from tests.faults.workspace import ROOT


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the user's outside the results, which has to stay as it is."""
    path = tmp_path / "profile"
    path.write_text("export SECRET=1\n")
    return path


def test_a_log_that_is_a_link_is_not_appended_to(copy: Path, secret: Path) -> None:
    files = trials(copy / "results")[0]
    files.log.unlink()
    files.log.symlink_to(secret)
    files.status_path.write_text('{"status": "interrupted"}')
    code, said = run(copy)
    assert code is ExitCode.SOME_FAILED, said
    assert "log.txt: is a link, and is not opened" in said
    assert secret.read_text() == "export SECRET=1\n"


@pytest.mark.parametrize("name", ["config.yaml", "status.json", "history.csv", "summary.json"])
def test_records_that_are_links_are_not_read(copy: Path, secret: Path, name: str) -> None:
    files = trials(copy / "results")[0]
    path = files.folder / name
    path.unlink()
    path.symlink_to(secret)
    store = Store(copy / "results")
    records = load(store, "tiny")
    assert files.id in dict(records.left_out)
    assert "is a link" in dict(records.left_out)[files.id]
    assert "SECRET" not in str(records.left_out)
    problems = Mirror(store).sync("tiny").problems
    assert any("is a link" in problem for problem in problems)


@pytest.mark.parametrize("name", ["status.json", "history.csv", "summary.json"])
def test_records_that_are_no_files_are_not_waited_for(copy: Path, name: str) -> None:
    files = trials(copy / "results")[0]
    path = files.folder / name
    path.unlink()
    os.mkfifo(path)
    records = load(Store(copy / "results"), "tiny")
    assert "is no plain file" in dict(records.left_out)[files.id]


def test_checkpoints_that_are_links_are_not_read(copy: Path) -> None:
    a, b, *_ = trials(copy / "results")
    outside = copy / "outside.pt"
    shutil.move(a.best, outside)
    a.best.symlink_to(outside)
    with pytest.raises(BenchError, match=r"best\.pt: is a link"):
        evaluate(Store(copy / "results"), a.id, "val", "cpu")
    assert b.best.is_file()


def test_a_trial_s_folder_that_leads_elsewhere(copy: Path) -> None:
    files = trials(copy / "results")[0]
    outside = copy / "outside"
    files.folder.rename(outside)
    files.folder.symlink_to(outside)
    were = {path.name: path.stat().st_mtime_ns for path in outside.iterdir()}
    store = Store(copy / "results")
    assert "a link that leads out" in dict(load(store, "tiny").left_out)[files.id]
    with pytest.raises(BenchError, match="leads out of"):
        run(copy, force=True)
    assert {path.name: path.stat().st_mtime_ns for path in outside.iterdir()} == were


def test_an_experiment_that_leads_elsewhere(copy: Path) -> None:
    folder = copy / "results" / "tiny"
    folder.rename(copy / "outside")
    folder.symlink_to(copy / "outside")
    with pytest.raises(StoreError, match="leads out of"):
        load(Store(copy / "results"), "tiny")
    (copy / "linked").symlink_to(copy / "results")  # the results folder itself may be a link
    folder.unlink()
    (copy / "outside").rename(folder)
    assert len(load(Store(copy / "linked"), "tiny").done) == 4


def test_pictures_go_into_no_linked_folder(copy: Path) -> None:
    files = trials(copy / "results")[0]
    shutil.rmtree(files.samples)
    outside = copy / "outside"
    outside.mkdir()
    files.samples.symlink_to(outside)
    files.status_path.write_text('{"status": "interrupted"}')
    code, _ = run(copy)
    assert code is ExitCode.SOME_FAILED
    assert list(outside.iterdir()) == []


def test_temporary_names_cannot_be_foreseen(tmp_path: Path, secret: Path) -> None:
    """Links at the names that earlier versions used are neither followed nor in the way."""
    for name in (f".a.json.{os.getpid()}", f".last.pt.{os.getpid()}"):
        (tmp_path / name).symlink_to(secret)
    write_text(tmp_path / "a.json", "{}")
    checkpoint.save(tmp_path / "last.pt", {"epoch": 1})
    assert secret.read_text() == "export SECRET=1\n"
    assert read_json(tmp_path / "a.json") == {}
    assert read_text(tmp_path / "a.json") == "{}"


def test_artifacts_go_into_our_own_folder_only(copy: Path) -> None:
    store = Store(copy / "results")
    outside = copy / "outside"
    with sqlite3.connect(store.root / "mlflow.db") as database:
        database.execute("UPDATE runs SET artifact_uri = ?", (outside.as_uri(),))
    database.close()
    for files in trials(copy / "results"):
        files.mlflow_path.unlink()
        shutil.rmtree(store.artifacts, ignore_errors=True)
    assert Mirror(store).sync("tiny").problems == ()  # put right, and made again in its place
    assert not outside.exists()
    assert len(list(store.artifacts.rglob("best.pt"))) == 4


def test_a_repository_s_own_programs_are_not_run(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-m", "a")
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    monitor.chmod(0o755)
    git("config", "core.fsmonitor", str(monitor))
    (tmp_path / "ran").unlink(missing_ok=True)
    assert git_state(tmp_path)
    assert not (tmp_path / "ran").exists()


CODE = """\
from pathlib import Path
from bench.models.unet import UNet
Path("ran").write_text("")
def build(in_channels, out_channels):
    return UNet(in_channels=in_channels, out_channels=out_channels, width=0.05)
"""
SPEC = """\
experiment: own
task: segmentation
data: {name: shapes, image_size: 32, train: 6, val: 2, test: 2}
train: {epochs: 1, batch_size: 3}
model: {target: "foreign_model:build"}
machine: {threads: 1, device: cpu}
"""


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "BENCH_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


def test_recorded_code_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    (tmp_path / "foreign_model.py").write_text(CODE)
    (tmp_path / "torch.py").write_text("raise SystemExit('the working folder comes first')")
    (tmp_path / "own.yaml").write_text(SPEC)
    done = bench(tmp_path, "run", "own.yaml")  # the user's own spec names it
    assert done.returncode == 0, done.stderr
    (files,) = Store(tmp_path / "results").trials("own")
    (tmp_path / "ran").unlink()
    for words in (["evaluate", files.id], ["predict", files.id, "x.png", "--out", "out"]):
        (tmp_path / "x.png").write_bytes(next(files.samples.glob("*.png")).read_bytes())
        refused = bench(tmp_path, *words)
        assert refused.returncode == ExitCode.WRONG_REQUEST
        (line,) = refused.stderr.splitlines()
        assert f"{files.id}: is built by foreign_model:build" in line
        assert "--trust-code" in line
        assert not (tmp_path / "ran").exists()
    trusted = bench(tmp_path, "evaluate", files.id, "--trust-code")
    assert trusted.returncode == 0, trusted.stderr
    assert (tmp_path / "ran").exists()


def test_texts_from_records_are_printed_on_one_plain_line(copy: Path) -> None:
    files = trials(copy / "results")[0]
    evil = "\\u001b]0;owned\\u0007line\\nnext \\u202e" + "x" * 5000
    files.status_path.write_text(f'{{"status": "failed", "failure": "crash", "message": "{evil}"}}')
    for words in (["status", "tiny"], ["run", "spec.yaml"]):
        found = bench(copy, *words)
        for text in (found.stdout, found.stderr):
            assert not set("\x1b\x07\u202e") & set(text)
    files.config_path.write_text('id: "\\e]0;owned\\a\\nnext"\nexperiment: tiny\n')
    found = bench(copy, "evaluate", files.id)
    assert found.returncode == ExitCode.WRONG_REQUEST
    assert len(found.stderr.splitlines()) == 1
    assert "\x1b" not in found.stderr


def test_sync_leaves_out_what_the_report_leaves_out(copy: Path) -> None:
    a, b, *rest = trials(copy / "results")
    text = a.summary_path.read_text()
    a.summary_path.write_text(text.replace('"best_epoch": ', '"best_epoch": 7'))
    store = Store(copy / "results")
    assert a.id in dict(load(store, "tiny").left_out)
    for files in (a, b, *rest):
        files.mlflow_path.unlink(missing_ok=True)
    counts = sync_confirmed(store, "tiny")
    assert counts.trials == len(rest) + 1
    assert len(counts.problems) == 1
    assert f"{a.folder}: summary.json says best_epoch" in counts.problems[0]
    assert not a.mlflow_path.exists()
    assert b.mlflow_path.exists()
    assert [holds(store, files) for files in (a, b)] == [False, True]
