"""What a run stands on goes away: the folder of results, the processes that start workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from bench import folders
from bench.errors import UnwritableError, WorkerStartError
from bench.exit_codes import ExitCode
from bench.run.executors import local
from tests.faults.test_surroundings import Said, disk, mount
from tests.faults.tiny import SPEC, facts, run, trials
from tests.faults.workspace import Workspace

__all__ = ["disk"]

LONG = SPEC.replace("epochs: 3", "epochs: 4000")
SHORT = SPEC.replace("seeds: 4", "seeds: 2")


@pytest.fixture(autouse=True)
def _own_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def until(is_so: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.02)


def vanishing(folder: Path, results: Path, act: Callable[[], object]) -> tuple[str, float]:
    """What a long run says whose trials' first epochs are recorded when `act` is called."""
    (folder / "spec.yaml").write_text(LONG)
    acted: list[float] = []

    def once_recorded() -> bool:
        def go_on() -> None:
            until(lambda: list(results.glob("tiny/*/history.csv")))
            act()
            acted.append(time.monotonic())

        threading.Thread(target=go_on, daemon=True).start()
        return True

    code, said = run(folder, results=results, said=Said(": started", once_recorded))
    assert code is ExitCode.INTERRUPTED, said
    assert "the same command goes on from here" in said
    ended = time.monotonic()
    until(lambda: acted)
    return said, ended - acted[0]


def test_results_that_are_renamed_end_the_run_and_are_not_made_again(tmp_path: Path) -> None:
    results, elsewhere = tmp_path / "results", tmp_path / "elsewhere"
    said, seconds = vanishing(tmp_path, results, lambda: results.rename(elsewhere))
    assert seconds < 15
    assert f"Nothing can be recorded any more: {results}: is no longer there" in said
    assert not results.exists()
    elsewhere.rename(results)
    assert trials(results)[0].history()  # nothing of it is lost: the next run goes on behind them


@pytest.mark.parametrize("which", ["tiny", "tiny/s0-*"])
def test_an_experiment_or_a_trial_that_is_renamed(which: str, tmp_path: Path) -> None:
    results = tmp_path / "results"

    def move() -> None:
        next(results.glob(which)).rename(tmp_path / "moved")

    said, _ = vanishing(tmp_path, results, move)
    assert "is no longer there (moved, deleted or unmounted)" in said
    assert not list(results.glob(which))


def test_results_that_are_deleted(tmp_path: Path) -> None:
    results = tmp_path / "results"

    def delete() -> None:
        results.rename(tmp_path / "trash")
        shutil.rmtree(tmp_path / "trash")

    said, _ = vanishing(tmp_path, results, delete)
    assert f"{results}: is no longer there" in said
    assert not results.exists()


@pytest.mark.parametrize("first", [".leases", "tiny/.leases", "tiny"])
def test_what_is_deleted_first_is_not_made_again_among_the_others(
    first: str, tmp_path: Path
) -> None:
    """As `rm -rf`, which takes its time."""
    results = tmp_path / "results"
    made: list[Path] = []

    def delete() -> None:
        shutil.rmtree(results / first, ignore_errors=True)
        time.sleep(3)  # MLflow is told every two seconds
        made.extend(results.glob(first))
        results.rename(tmp_path / "trash")

    said, seconds = vanishing(tmp_path, results, delete)
    assert not made
    assert said.count("is no longer there") == 1
    assert "MLflow" not in said.partition(": started")[2]
    assert seconds < 15


SEARCH = (
    LONG.replace("seeds: 4\n", "")
    + """\
search:
  trials: 100
  pruner: none
  storage: STORAGE
  space: {train.lr: {float: [1e-4, 1e-1], log: true}}
"""
)


@pytest.mark.parametrize(
    ("storage", "epochs"), [("sqlite", "4000"), ("sqlite", "1"), ("journal", "1")]
)
def test_results_that_are_deleted_under_a_search(storage: str, epochs: str, tmp_path: Path) -> None:
    """While a trial trains for long, and while the search asks for points all the time."""
    workspace = Workspace(tmp_path, "search")
    spec = SEARCH.replace("STORAGE", storage).replace("4000", epochs)
    (tmp_path / "search.yaml").write_text(spec)
    search = workspace.start("search", "search.yaml", "-j", "1")
    try:
        results = tmp_path / "results"
        until(lambda: list(results.glob("tiny/*/history.csv")) or search.poll() is not None)
        results.rename(tmp_path / "trash")
        shutil.rmtree(tmp_path / "trash", ignore_errors=True)
        begun = time.monotonic()
        code = search.wait(60)
    finally:
        if search.poll() is None:
            os.killpg(search.pid, signal.SIGKILL)
    said = (tmp_path / "said.txt").read_text()
    assert code == 130, said
    assert time.monotonic() - begun < 30
    assert "is no longer there" in said
    assert "the same command goes on from here" in said
    assert "Traceback" not in said
    assert not results.exists()


def test_results_that_are_unmounted(tmp_path: Path, disk: Path) -> None:
    results = disk / "results"

    def unmount() -> None:
        subprocess.run(["umount", "-l", disk], check=True)

    try:
        said, seconds = vanishing(tmp_path, results, unmount)
    finally:
        mount("-t", "tmpfs", "tmpfs", disk)  # for the fixture to take off
    assert seconds < 15
    assert f"Nothing can be recorded any more: {results}: is no longer there" in said
    assert not list(disk.iterdir())


def test_results_that_become_read_only(tmp_path: Path, disk: Path) -> None:
    results, view = disk / "results", tmp_path / "view"
    view.mkdir()

    def write_protect() -> None:
        mount("--bind", disk, view)  # a file system that is written to refuses `remount`
        mount("-o", "remount,bind,ro", view)
        mount("--bind", view, disk)

    try:
        said, seconds = vanishing(tmp_path, results, write_protect)
    finally:
        subprocess.run(["umount", "-l", view], check=True)
        subprocess.run(["umount", "-l", disk], check=True)
    assert seconds < 15
    assert "Nothing can be recorded any more: " in said
    assert "(read-only" in said.lower()


def test_a_folder_that_is_kept_is_not_made_again(tmp_path: Path) -> None:
    root = tmp_path / "results"
    with folders.keeping(root):
        for lost in (root, root / "a" / "b"):
            with pytest.raises(UnwritableError, match=f"^{root}: is no longer there"):
                folders.make(lost)
        assert not root.exists()
        root.mkdir()
        folders.make(root / "a" / "b")
        assert (root / "a" / "b").is_dir()
    shutil.rmtree(root)
    folders.make(root / "a")
    assert (root / "a").is_dir()


def kill_server(*, and_workers: bool) -> None:
    server = psutil.Process(forkserver._forkserver._forkserver_pid)  # type: ignore[attr-defined]
    victims = [server, *(server.children() if and_workers else ())]
    for each in victims:
        each.kill()
    psutil.wait_procs(victims[1:], timeout=10)


@pytest.mark.parametrize("and_workers", [False, True])
def test_a_killed_fork_server_is_started_again(
    and_workers: bool, done: Path, tmp_path: Path
) -> None:
    """Alone its workers go on; with them, the system being out of memory, they start again."""
    (tmp_path / "spec.yaml").write_text(SHORT)
    killing = Said(": started", lambda: kill_server(and_workers=and_workers))
    code, said = run(tmp_path, said=killing)
    assert code is ExitCode.OK, said
    assert ("retry 1 of 2" in said) == and_workers
    found = facts(tmp_path / "results")
    assert len(found) == 2
    assert found.items() <= facts(done / "results").items()


def test_a_fork_server_killed_while_everything_is_prepared(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SHORT.replace("seeds: 2", "seeds: 1"))
    code, said = run(tmp_path, said=Said("preparing", lambda: kill_server(and_workers=False)))
    assert code is ExitCode.OK, said


def test_a_worker_that_cannot_be_started_interrupts_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spec.yaml").write_text(SHORT)
    start, calls = local.start_process, []

    def failing(*arguments: object) -> object:
        calls.append(arguments)
        monkeypatch.setattr(forkserver, "ensure_running", no_server)
        return start(*arguments)  # type: ignore[arg-type]

    def no_server() -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(local, "start_process", failing)
    code, said = run(tmp_path)
    assert code is ExitCode.INTERRUPTED, said
    assert "No worker process can be started (Resource temporarily unavailable)" in said
    assert len(calls) == 1
    with pytest.raises(WorkerStartError):
        start(print, (), "x")
