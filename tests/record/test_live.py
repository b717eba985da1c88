from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from bench.errors import StoreError
from bench.record.live import LiveMirror
from bench.record.mlflow import Mirror, MirrorError
from bench.record.store import Store, TrialFiles
from tests.builders.trials import begin, finish, row
from tests.record.seen_in_mlflow import children, losses, steps

A, B = TrialFiles(Path("pets/a")), TrialFiles(Path("pets/b"))


class Fake:
    """A mirror that does what it is told to."""

    def __init__(
        self,
        act: Callable[[TrialFiles], object] = lambda files: None,
        act_on_files: Callable[[TrialFiles], object] = lambda files: None,
    ) -> None:
        self.pushed: list[str] = []
        self.filed: list[str] = []
        self.closed = False
        self._act, self._act_on_files = act, act_on_files

    def prepare(self) -> None:
        pass

    def push(self, files: TrialFiles) -> bool:
        self._act(files)
        self.pushed.append(files.id)
        return True

    def push_artifacts(self, files: TrialFiles, _: int) -> bool:
        self._act_on_files(files)
        self.filed.append(files.id)
        return True

    def close_parents(self) -> None:
        self.closed = True

    def keep_specs(self) -> None:
        pass


def live(fake: Fake, warnings: list[str], interval: float = 0.01) -> LiveMirror:
    return LiveMirror(cast("Mirror", fake), warnings.append, interval=interval)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_pushes_what_changed_and_only_that() -> None:
    fake, warnings = Fake(), list[str]()
    mirror = live(fake, warnings)
    mirror.changed(A)
    until(lambda: fake.pushed == ["a"])
    mirror.changed(B)
    until(lambda: fake.pushed == ["a", "b"])
    assert mirror.close() == []
    assert fake.pushed == ["a", "b"]
    assert fake.closed
    assert warnings == []


def test_many_changes_are_one_push_and_close_does_not_wait_for_the_interval() -> None:
    fake = Fake()
    mirror = live(fake, [], interval=60)
    for _ in range(100):
        mirror.changed(A)
    assert mirror.close(timeout=5) == []
    assert fake.pushed == ["a"]


def test_a_failure_is_reported_once_and_tried_again() -> None:
    failures = [MirrorError("MLflow at x: down"), MirrorError("MLflow at x: down")]
    warnings: list[str] = []

    def act(_: TrialFiles) -> None:
        if failures:
            raise failures.pop()

    fake = Fake(act)
    mirror = live(fake, warnings)
    mirror.changed(A)
    mirror.changed(B)
    until(lambda: sorted(fake.pushed) == ["a", "b"])
    assert mirror.close() == []
    assert warnings == [
        "Training goes on without MLflow for now (`python -m bench sync` catches up): "
        "MLflow at x: down."
    ]


@pytest.mark.parametrize("error", [MirrorError("down"), RuntimeError("anything")])
def test_what_is_missing_at_the_end_is_said(error: Exception) -> None:
    def act(_: TrialFiles) -> None:
        raise error

    fake, warnings = Fake(act), list[str]()
    mirror = live(fake, warnings, interval=60)
    mirror.changed(A)
    mirror.changed(B)
    assert mirror.close(timeout=5) == ["a", "b"]
    assert len(warnings) == 1
    assert not fake.closed or not isinstance(error, MirrorError)


def test_a_damaged_trial_does_not_hold_up_the_others() -> None:
    def act(files: TrialFiles) -> None:
        if files == A:
            raise StoreError("history.csv: cannot be read")

    fake = Fake(act)
    mirror = live(fake, [])
    mirror.changed(A)
    mirror.changed(B)
    assert mirror.close(timeout=5) == ["a"]
    assert fake.pushed == ["b"]


def test_mlflow_that_hangs_holds_nobody_up() -> None:
    release = threading.Event()
    mirror = live(Fake(lambda files: release.wait(10)), [])
    start = time.monotonic()
    mirror.changed(A)
    mirror.changed(B)
    time.sleep(0.05)
    assert mirror.close(timeout=0.1) == ["a", "b"]
    assert time.monotonic() - start < 2
    release.set()


def test_nothing_changed_so_nothing_is_waited_for() -> None:
    release = threading.Event()
    fake = Fake()
    fake.prepare = lambda: release.wait(10)  # type: ignore[assignment,return-value,method-assign]
    start = time.monotonic()
    assert live(fake, []).close(timeout=10) == []
    assert time.monotonic() - start < 5
    release.set()


def test_a_change_during_its_own_push_is_pushed_too() -> None:
    entered, release = threading.Event(), threading.Event()

    def act(_: TrialFiles) -> None:
        entered.set()
        release.wait(5)

    fake = Fake(act)
    mirror = live(fake, [])
    mirror.changed(A)
    assert entered.wait(5)
    mirror.changed(A)
    release.set()
    assert mirror.close() == []
    assert fake.pushed == ["a", "a"]


def test_with_a_real_mlflow(mlflow_store: Store) -> None:
    warnings: list[str] = []
    mirror = LiveMirror(Mirror(mlflow_store), warnings.append, interval=0.05)
    recorder = begin(mlflow_store, epochs=0)
    for epoch in (1, 2, 3):
        recorder.record_epoch(row(epoch))
        mirror.changed(recorder.files)
        time.sleep(0.03)
    finish(recorder)
    mirror.changed(recorder.files)
    assert mirror.close() == []
    assert warnings == []
    assert steps(mlflow_store) == losses(1, 2, 3)
    assert children(mlflow_store)[0].info.status == "FINISHED"


def test_with_a_server_that_is_down(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    warnings: list[str] = []
    mirror = LiveMirror(Mirror(store, "http://127.0.0.1:9"), warnings.append)
    files = finish(begin(store))
    mirror.changed(files)
    assert mirror.close() == [files.id]
    assert len(warnings) == 1
    assert "MLflow at http://127.0.0.1:9 cannot be reached (Connection refused)" in warnings[0]
    assert not files.mlflow_path.exists()
