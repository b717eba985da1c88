"""`bench status --watch` on a folder that another machine writes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from bench.commands.watch import FolderWatcher, watch, watched_experiment
from bench.errors import BenchError
from bench.record.leases import Leases
from bench.record.store import LEASES, Store, TrialFiles, TrialStatus
from bench.run.events import Ended, EpochDone, Started
from bench.states import Failure, Status

HISTORY = ("epoch", "train/loss", "val/dice")


class Folder:
    """An experiment of two trials, as a run elsewhere leaves it."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.plan("exp", "a", "b")
        for name in ("a", "b"):
            config = {"id": name, "settings": {"train": {"epochs": 2}}}
            self.files(name).write_config(config)

    def plan(self, experiment: str, *trials: str) -> None:
        common = {"common": "c", "axes": {}, "seed": 0, "arm": "m"}
        record = {
            "experiment": experiment,
            "spec": "",
            "source": None,
            "common": "c",
            "task": "segmentation",
            "axes": {},
            "metrics": {"dice": "max"},
            "hypotheses": [],
            "select": {"metric": "val/dice", "mode": "max"},
            "trials": [{"id": name, **common} for name in trials],
        }
        self.store.write_plan(experiment, record)

    def files(self, name: str) -> TrialFiles:
        return self.store.trial("exp", name)

    def status(self, name: str, status: Status, **more: object) -> None:
        self.files(name).write_status(TrialStatus(status, host="node7", **more))  # type: ignore[arg-type]

    def epochs(self, name: str, count: int) -> None:
        rows = [{"epoch": n, "train/loss": 0.5, "val/dice": n / 10} for n in range(1, count + 1)]
        self.files(name).write_history(rows, HISTORY)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "results")


def test_changes_of_the_files_are_told_as_the_events_of_a_run(folder: Folder) -> None:
    watcher = FolderWatcher(folder.store, "exp")
    assert list(watcher.events()) == []
    assert watcher.count() == "0 of 2 trials done"
    with Leases(folder.store.experiment("exp") / LEASES) as leases:
        leases.claim("a")
        folder.status("a", Status.RUNNING)
        folder.epochs("a", 1)
        row = {"epoch": 1, "train/loss": 0.5, "val/dice": 0.1}
        assert list(watcher.events()) == [Started("a", "node7"), EpochDone("a", row)]
        assert list(watcher.events()) == []
        folder.epochs("a", 2)
        folder.status("a", Status.DONE)
        *epochs, ended = watcher.events()
        assert [event.row["epoch"] for event in epochs if isinstance(event, EpochDone)] == [2]
        assert ended == Ended("a", Status.DONE)
    folder.status("b", Status.FAILED, failure=Failure.DIVERGED, message="the loss is nan")
    assert list(watcher.events()) == [
        Ended("b", Status.FAILED, Failure.DIVERGED, "the loss is nan")
    ]
    assert watcher.is_over()


def test_a_trial_that_nobody_runs_any_more_is_interrupted(folder: Folder) -> None:
    watcher = FolderWatcher(folder.store, "exp")
    with Leases(folder.store.experiment("exp") / LEASES) as leases:
        leases.claim("a")
        folder.status("a", Status.RUNNING)
        assert list(watcher.events()) == [Started("a", "node7")]
    assert list(watcher.events()) == [Ended("a", Status.INTERRUPTED)]
    assert watcher.count() == "0 of 2 trials done, 1 interrupted"
    assert not watcher.is_over()


def test_plain_lines_where_there_is_no_terminal(folder: Folder) -> None:
    folder.epochs("a", 2)
    folder.status("a", Status.DONE)
    steps: list[Callable[[], None]] = [
        lambda: folder.epochs("b", 2),
        lambda: folder.status("b", Status.DONE),
    ]
    out = io.StringIO()
    watch(folder.store, "exp", Console(file=out, width=200), sleep=lambda _: steps.pop(0)())
    lines = out.getvalue().splitlines()
    assert lines[0] == "exp: 1 of 2 trials done."
    assert lines[-1] == "exp: 2 of 2 trials done."
    assert any(line.startswith("[1/1] b: done") for line in lines)
    assert not any(line.startswith("a:") for line in lines)
    assert steps == []


def test_what_is_over_is_not_waited_for(folder: Folder) -> None:
    for name in ("a", "b"):
        folder.status(name, Status.DONE)
    out = io.StringIO()
    watch(folder.store, "exp", Console(file=out, width=200), sleep=lambda _: pytest.fail("slept"))
    assert out.getvalue() == "exp: 2 of 2 trials done.\n"


def test_which_experiment_is_followed(folder: Folder) -> None:
    assert watched_experiment(folder.store, None) == "exp"
    folder.plan("other")
    with pytest.raises(BenchError, match=r"--watch follows one experiment: name it \(exp, other\)"):
        watched_experiment(folder.store, None)
    with Leases(folder.store.experiment("other") / LEASES) as leases:
        leases.claim("x")
        assert watched_experiment(folder.store, None) == "other"


def test_a_trial_that_has_just_begun_is_not_interrupted(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = FolderWatcher(folder.store, "exp")
    assert list(watcher.events()) == []
    with Leases(folder.store.experiment("exp") / LEASES) as leases:
        running = Store.running

        def look(store: Store, experiment: str) -> object:
            monkeypatch.setattr(Store, "running", running)
            found = running(store, experiment)
            leases.claim("a")  # after who runs what was looked at
            folder.status("a", Status.RUNNING)
            return found

        monkeypatch.setattr(Store, "running", look)
        assert list(watcher.events()) == [Started("a", "node7")]
