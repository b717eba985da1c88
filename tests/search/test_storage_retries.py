"""Storages that come and go: the search waits, says it once, and gives up as interrupted."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import IntegrityError, OperationalError

from bench import folders
from bench.errors import StoreError
from bench.run.events import Event, Started
from bench.run.executors.buffering import BufferingExecutor
from bench.search import storages
from bench.search.storage_retries import (
    RetryingStorage,
    RetryPolicy,
    StudyUnavailableError,
    is_unavailable,
    reason,
)
from bench.search.storages import open_storage

GONE = OperationalError("SELECT 1", {}, ConnectionError("server closed the connection"))


class Clock:
    """Time that passes only while something waits."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        patch.setattr("bench.search.storage_retries.time.monotonic", lambda: self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds


def patient(clock: Clock, seconds: float = 600.0) -> tuple[RetryPolicy, list[str]]:
    said: list[str] = []
    retry_policy = RetryPolicy("postgresql://me@host/db", seconds)
    retry_policy.wait, retry_policy.say = clock.wait, said.append
    return retry_policy, said


def failing(times: float, error: Exception = GONE) -> Callable[[], str]:
    left = times

    def action() -> str:
        nonlocal left
        left -= 1
        if left >= 0:
            raise error
        return "found"

    return action


def test_what_comes_back_is_waited_for_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    retry_policy, said = patient(clock)
    assert retry_policy.call(failing(10)) == "found"
    assert clock.now == pytest.approx(0.25 + 0.5 + 1 + 2 + 4 + 8 + 15 * 4)
    assert said == [
        "Training goes on, but no new points begin: postgresql://me@host/db cannot be reached "
        "(server closed the connection); trying again for up to 10 minutes.",
        "postgresql://me@host/db is back after 76 s.",
    ]
    assert retry_policy.call(failing(0)) == "found"
    assert len(said) == 2


def test_what_does_not_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    retry_policy, said = patient(clock)
    with pytest.raises(StudyUnavailableError, match="could not be reached for 10 minutes"):
        retry_policy.call(failing(1000))
    assert clock.now == pytest.approx(600)
    assert len(said) == 1
    with pytest.raises(StudyUnavailableError):  # from now on at once, and without a word
        retry_policy.call(failing(1000))
    assert clock.now == pytest.approx(600)
    assert len(said) == 1
    assert retry_policy.call(failing(0)) == "found"


def test_a_full_disk_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    retry_policy, said = patient(clock)
    for error in (
        OSError(errno.ENOSPC, "No space left on device"),
        OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full")),
    ):
        with pytest.raises(StudyUnavailableError, match=r"No space left|disk is full"):
            retry_policy.call(failing(9, error))
    assert (clock.now, said) == (0, [])


def test_ctrl_c_while_waiting_ends_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_policy, _ = patient(Clock(monkeypatch))

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    retry_policy.wait = interrupted
    with pytest.raises(KeyboardInterrupt):
        retry_policy.call(failing(9))
    with pytest.raises(StudyUnavailableError):
        retry_policy.call(failing(9))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no such thing"),
        KeyError("Record does not exist."),
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        StudyUnavailableError("away"),
    ],
)
def test_other_errors_are_not_repeated(error: Exception) -> None:
    assert not is_unavailable(error)
    with pytest.raises(type(error)):
        RetryPolicy("x", 600).call(failing(1, error))


def test_optunas_own_error_is_known_by_its_cause() -> None:
    error = StorageInternalError("An exception is raised during the commit. " * 9)
    assert not is_unavailable(error)
    error.__cause__ = GONE
    assert is_unavailable(error)
    assert reason(error) == "server closed the connection"


class Deaf(optuna.storages.InMemoryStorage):
    """Does what it is told and fails to answer, the first time."""

    lost = 0

    def set_trial_state_values(self, *arguments: Any, **named: Any) -> bool:
        done = super().set_trial_state_values(*arguments, **named)
        if self.lost == 0:
            self.lost = 1
            raise GONE
        return done


def test_an_end_whose_answer_was_lost_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    retry_policy, _ = patient(Clock(monkeypatch))
    inner = Deaf()
    study = optuna.create_study(storage=RetryingStorage(inner, retry_policy), study_name="a")
    trial = study.ask()
    study.tell(trial, 1.5)
    assert inner.lost == 1
    assert [t.value for t in study.trials] == [1.5]
    other = study.ask()
    inner.set_trial_state_values(other._trial_id, TrialState.COMPLETE, [1.0])
    inner.lost = 0
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):  # another's end, not ours
        RetryingStorage(inner, retry_policy).set_trial_state_values(
            other._trial_id, TrialState.COMPLETE, [2.0]
        )


def used(study_storage: storages.StudyStorage) -> int:
    study = optuna.load_study(study_name="a", storage=study_storage.storage)
    study.tell(study.ask(), 1.0)
    return len(study.trials)


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
def test_a_folder_that_vanishes_for_a_moment(tmp_path: Path, storage: str) -> None:
    folder, away = tmp_path / "results", tmp_path / "away"
    study_storage = open_storage(storage, folder)
    said: list[str] = []
    study_storage.retry_policy.say = said.append
    optuna.create_study(storage=study_storage.storage, study_name="a")
    assert used(study_storage) == 1
    folder.rename(away)
    study_storage.retry_policy.wait = lambda _: away.rename(folder)
    assert used(study_storage) == 2
    assert said[0].startswith("Training goes on, but no new points begin: ")
    assert len(said) == 2
    assert used(open_storage(storage, folder)) == 3


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
@pytest.mark.parametrize("lost", ["results", "results/kept"])
def test_a_folder_that_has_vanished_is_not_waited_for(
    tmp_path: Path, storage: str, lost: str
) -> None:
    study_storage = open_storage(storage, tmp_path / "results")
    (tmp_path / "results" / "kept").mkdir()
    optuna.create_study(storage=study_storage.storage, study_name="a")
    begun = time.monotonic()
    with folders.keeping(tmp_path / "results" / "kept"):
        (tmp_path / "results" / f"optuna.{'db' if storage == 'sqlite' else storage}").unlink()
        (tmp_path / lost).rename(tmp_path / "away")
        with pytest.raises(StudyUnavailableError, match=r"results(/kept)?: is no longer there"):
            used(study_storage)
    assert time.monotonic() - begun < 15
    assert study_storage.retry_policy.gave_up


@pytest.mark.parametrize("storage", ["journal", "sqlite"])
def test_no_second_study_is_begun_where_the_first_is_gone(
    tmp_path: Path, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_STUDY_SECONDS", "0.3")
    study_storage = open_storage(storage, tmp_path / "results")
    optuna.create_study(storage=study_storage.storage, study_name="a")
    (tmp_path / "results").rename(tmp_path / "away")
    with pytest.raises(StudyUnavailableError):
        used(study_storage)
    assert not (tmp_path / "results").exists()
    (tmp_path / "results").mkdir()  # where something was mounted
    with pytest.raises(StudyUnavailableError):
        used(study_storage)
    assert not [p for p in (tmp_path / "results").iterdir() if p.suffix != ".lock"]


def test_a_database_that_is_locked_for_longer_than_sqlite_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storages, "_LOCK_SECONDS", 0.1)
    study_storage = open_storage("sqlite", tmp_path)
    optuna.create_study(storage=study_storage.storage, study_name="a")
    other = sqlite3.connect(tmp_path / "optuna.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    thread = threading.Timer(1.5, other.close)
    thread.start()
    assert used(study_storage) == 1
    thread.join()


def test_half_a_line_in_a_journal_is_cut_off(tmp_path: Path) -> None:
    """Left by a writer whose disk was full."""
    study_storage = open_storage("journal", tmp_path)
    optuna.create_study(storage=study_storage.storage, study_name="a")
    assert used(study_storage) == 1
    with (tmp_path / "optuna.journal").open("ab") as file:
        file.write(b'{"op_code":6,"worker_i')
    assert used(study_storage) == 2
    assert used(open_storage("journal", tmp_path)) == 3


def test_a_damaged_journal_is_one_line(tmp_path: Path) -> None:
    study_storage = open_storage("journal", tmp_path)
    optuna.create_study(storage=study_storage.storage, study_name="a")
    path = tmp_path / "optuna.journal"
    path.write_bytes(b"damaged\n" + path.read_bytes())
    with pytest.raises(StoreError, match=r"optuna\.journal: is damaged .*: restore it"):
        open_storage("journal", tmp_path)


class Talking:
    """An executor with something to tell at each look."""

    free, busy = 0, 1

    def __init__(self, *output: Event) -> None:
        self._told = list(output)

    def events(self, _: float) -> list[Event]:
        return [self._told.pop(0)] if self._told else []

    def start(self, _: object) -> None: ...
    def ask_to_stop(self, _: object = None) -> None: ...
    def close(self) -> None: ...


def test_workers_are_listened_to_meanwhile() -> None:
    output = [Started(name) for name in "abc"]
    executor = BufferingExecutor(Talking(*output))
    begun = time.monotonic()
    executor.wait(0.2)
    assert 0.2 <= time.monotonic() - begun < 2
    assert executor.busy
    assert list(executor.events(0)) == output
    assert list(executor.events(0)) == []
