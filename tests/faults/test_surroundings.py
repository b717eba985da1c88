"""What is around a run fails: file systems, clocks, the cache, the data, MLflow."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.commands.inspect import status_rows
from bench.data import cache as module
from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.plan.expand import make_plan
from bench.record.mlflow import Mirror, MirrorError
from bench.record.owners import Owner
from bench.record.store import Store
from bench.report.page import write_report
from bench.spec.load import load_spec
from bench.train import checkpoint
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent
from tests.builders.training import results as without_clocks
from tests.faults.tiny import SPEC, facts, run, trials

FUTURE = 4e9  # the year 2096


@pytest.fixture(autouse=True)
def _own_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", folder)
    except (OSError, subprocess.CalledProcessError) as error:
        reported = getattr(error, "stderr", None) or error
        pytest.skip(f"no file system can be mounted here: {reported}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True, text=True)


def fill(folder: Path) -> Path:
    """A file that leaves no space."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return path


class Said(io.StringIO):
    """What a run says; does something when it says `word` for the first time."""

    def __init__(self, word: str, act: Callable[[], object]) -> None:
        super().__init__()
        self._word, self._act = word, act
        self.found: object = None

    def write(self, text: str) -> int:
        written = super().write(text)
        if self.found is None and self._word in self.getvalue():
            self.found = self._act() or True
        return written


def epochs_in_mlflow(results: Path) -> list[list[int]]:
    """Of each trial's run, the steps of its training loss."""
    query = (
        "SELECT GROUP_CONCAT(m.step) FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid WHERE "
        "m.key = 'train/loss' AND r.lifecycle_stage = 'active' GROUP BY m.run_uuid"
    )
    with contextlib.closing(sqlite3.connect(results / "mlflow.db")) as database:
        return [sorted(map(int, text.split(","))) for (text,) in database.execute(query)]


def one_line(action: Callable[[], object]) -> str:
    with pytest.raises(BenchError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_disk_that_fills_up_keeps_what_is_finished(done: Path, disk: Path, copy: Path) -> None:
    """Full from the first trial's end on, for MLflow's database, too."""
    results, expected = disk / "results", facts(done / "results")
    Mirror(Store(results)).prepare()  # half-made later, it would leave its space again
    filling = Said(": done", lambda: fill(disk))
    code, said = run(copy, results=results, said=filling)
    assert code is ExitCode.INTERRUPTED, said
    assert "(No space left on device): free space" in said
    assert "Nothing can be recorded any more: " in said
    finished = facts(results)
    assert 1 <= len(finished) < 4
    assert finished.items() <= expected.items()
    fill(disk)
    assert "(No space left on device)" in one_line(lambda: run(copy, results=results))

    assert isinstance(filling.found, Path)
    filling.found.unlink()
    assert not list(results.rglob("*/.*.pt.*"))
    code, said = run(copy, results=results)
    assert code is ExitCode.OK, said
    assert facts(results) == expected
    assert Mirror(Store(results)).sync("tiny").problems == ()
    assert epochs_in_mlflow(results) == [[1, 2, 3]] * 4


def test_results_that_cannot_be_written_are_read(disk: Path, copy: Path) -> None:
    shutil.copytree(copy / "results", disk / "results")
    mount("-o", "remount,ro", disk)
    store, reported = Store(disk / "results"), f"{disk / 'results'}/"
    assert {row["status"] for row in status_rows(store, "tiny")} == {"done"}
    page = write_report(store, ["tiny"], copy / "elsewhere")
    assert "4 done" in page.read_text()
    for options in ({}, {"force": True}):
        said = one_line(lambda options=options: run(copy, results=store.root, **options))  # type: ignore[misc]
        assert said.startswith(reported)
        assert "(Read-only file system)" in said
    assert "Read-only" in one_line(Mirror(store).sync)
    assert "cannot be written" in one_line(lambda: write_report(store, ["tiny"], disk / "reports"))


def test_clocks_that_jumped_change_nothing(done: Path, copy: Path) -> None:
    """Records, leases and a report of the year 2096, and a lease of the year 1970."""
    expected, (first, second, *_) = facts(done / "results"), trials(copy / "results")
    page = copy / "reports" / "tiny" / "report.html"
    gone = replace(Owner.here(60), pid=2**22, process_start=1.0)
    for files, when in ((first, FUTURE), (second, 0.0)):
        record = json.loads(files.status_path.read_text())
        times = {"started": "2096-10-02T07:06:40.000Z", "updated": "2096-10-02T07:06:40.000Z"}
        files.status_path.write_text(json.dumps(record | times | {"status": "running"}))
        leases = copy / "results" / "tiny" / ".leases"
        owner = replace(gone, token=f"{when:.0f}")
        for path in (leases / "runs" / owner.token, leases / files.id / "100"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(owner.record()))
            os.utime(path, (when, when))
    os.utime(page, (FUTURE, FUTURE))
    rows = {row["id"]: row["status"] for row in status_rows(Store(copy / "results"), "tiny")}
    assert rows[first.id] == rows[second.id] == "interrupted"
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert "2 of 4 trials to run, 2 done before." in said
    assert facts(copy / "results") == expected
    assert page.stat().st_mtime < FUTURE
    os.utime(page, (FUTURE, FUTURE))
    run(copy)
    assert page.stat().st_mtime < FUTURE  # it is not taken for current
    assert Mirror(Store(copy / "results")).sync("tiny").problems == ()


def test_checkpoints_cut_short_are_passed_over(done: Path, tmp_path: Path) -> None:
    """The last one: from the one before; both: from nothing; with the best one: likewise."""
    expected = facts(done / "results")
    copy = tmp_path
    shutil.copy(done / "spec.yaml", copy)
    assert run(copy, keep_last=True)[0] is ExitCode.OK
    last, both, best, _ = trials(copy / "results")
    for files in (last, both, best):
        files.finished.unlink()
        record = json.loads(files.status_path.read_text())
        files.status_path.write_text(json.dumps(record | {"status": "running"}))
        if not files.previous.exists():
            checkpoint.save(files.previous, checkpoint.load(files.last))
    for path in (last.last, both.last, both.previous, best.last, best.previous, best.best):
        os.truncate(path, path.stat().st_size // 2)
    code, said = run(copy)
    assert code is ExitCode.OK, said
    assert facts(copy / "results") == expected
    assert "going on from previous.pt" in last.log.read_text()
    for files in (both, best):
        assert "starting from nothing" in files.log.read_text()


FOLDER = """\
experiment: tiny
task: segmentation
data: {{name: folder, root: {root}, image_size: 32}}
train: {{epochs: 1, batch_size: 4}}
model: {{name: unet, width: 0.05}}
seeds: 2
machine: {{threads: 1, device: cpu}}
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A spec of a folder of ten pictures."""
    draw, root = np.random.default_rng(0), tmp_path / "pictures"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(10):
        Image.fromarray(draw.integers(0, 256, (32, 32, 3), np.uint8)).save(root / f"images/{i}.png")
        Image.fromarray(draw.integers(0, 2, (32, 32), np.uint8)).save(root / f"masks/{i}.png")
    (tmp_path / "spec.yaml").write_text(FOLDER.format(root=root))
    return root


def test_without_a_cache_the_results_are_the_same(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = make_plan(load_spec(tmp_path / "spec.yaml")).trials[0]

    def trained(name: str) -> object:
        recorder = MemoryRecorder(tmp_path / name)
        train_trial(trial, recorder, Silent())
        return without_clocks(recorder.rows), recorder.best.read_bytes()

    expected = trained("cached")
    reported = r"the cache at .* cannot be written \(.*set BENCH_CACHE to a folder with space"
    monkeypatch.setenv("BENCH_CACHE", "/dev/null/cache")
    with pytest.warns(UserWarning, match=reported):
        assert trained("nowhere") == expected
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "full"))
    monkeypatch.setattr(module, "_write", full_disk)
    with pytest.warns(UserWarning, match=reported):
        assert trained("full") == expected


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_image_that_breaks_during_the_run_fails_its_trials_and_is_named(pictures: Path) -> None:
    folder, image = pictures.parent, pictures / "images" / "7.png"
    whole = image.read_bytes()
    breaking = Said(": done", lambda: image.write_bytes(whole[: len(whole) // 2]))
    code, said = run(folder, said=breaking)
    assert code is ExitCode.SOME_FAILED, said
    first, second = (files.status() for files in trials(folder / "results"))
    assert (first.status, second.status, second.failure) == ("done", "failed", "data")
    assert (second.message or "").startswith(f"{image}: cannot be read as an image (")
    assert f"failed (data): {image}: cannot be read" in said
    before = facts(folder / "results")
    image.write_bytes(whole)
    assert run(folder, retry_failed=True)[0] is ExitCode.OK
    assert len(before) == 1
    assert before.items() <= facts(folder / "results").items()
    image.unlink()
    image.mkdir()  # nobody can read it, nor root
    said = one_line(lambda: run(folder, force=True))
    assert "7.png" in said


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the spec of the first two trials of `done`."""
    (tmp_path / "spec.yaml").write_text(SPEC.replace("seeds: 4", "seeds: 2"))
    return tmp_path


def test_an_mlflow_that_does_not_answer_holds_nothing_up(
    done: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    store = Store(two / "results")
    with silent_server() as uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        begun = time.monotonic()
        code, said = run(two)
        assert time.monotonic() - begun < 30
        with pytest.raises(MirrorError, match=r"^MLflow at http://127\.0\.0\.1:"):
            Mirror(store).sync("tiny")
    assert code is ExitCode.OK, said
    assert facts(store.root).items() <= facts(done / "results").items()
    assert said.count("Training goes on without MLflow for now") == 1
    assert "MLflow does not have all of 2 trials: `bench sync tiny` catches up" in said
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert Mirror(store).sync("tiny").pushed == 2
    assert Mirror(store).sync("tiny").pushed == 0
    assert epochs_in_mlflow(store.root) == [[1, 2, 3]] * 2


def test_a_locked_mlflow_database_is_waited_for(two: Path) -> None:
    """For two seconds from the first trial's start on, by another program."""
    store = Store(two / "results")

    def lock() -> threading.Thread:
        other = sqlite3.connect(
            store.root / "mlflow.db", isolation_level=None, check_same_thread=False
        )
        other.execute("BEGIN EXCLUSIVE")
        thread = threading.Timer(2.0, other.close)
        thread.start()
        return thread

    Mirror(store).prepare()
    said = Said("started", lock)
    assert run(two, said=said)[0] is ExitCode.OK
    assert isinstance(said.found, threading.Thread)
    said.found.join()
    assert "MLflow does not" not in said.getvalue()
    assert epochs_in_mlflow(store.root) == [[1, 2, 3]] * 2


def test_a_full_mlflow_store_does_not_stop_the_training(
    done: Path, disk: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{disk / 'mlflow.db'}")
    store = Store(two / "results")
    Mirror(store).prepare()
    filler = fill(disk)
    code, said = run(two)
    assert code is ExitCode.OK, said
    assert "full" in said
    assert "MLflow does not have all of 2 trials" in said
    assert len(facts(store.root)) == 2
    assert facts(store.root).items() <= facts(done / "results").items()
    with pytest.raises(MirrorError, match="full"):
        Mirror(store).sync("tiny")
    filler.unlink()
    assert Mirror(store).sync("tiny").pushed == 2
    assert epochs_in_mlflow(disk) == [[1, 2, 3]] * 2
