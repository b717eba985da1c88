"""Where studies are kept: SQLite for one process, a journal file or PostgreSQL for several."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from bench import folders
from bench.errors import BenchError, StoreError, first_line, truncate
from bench.masking import masked, masked_url
from bench.safe_files import check_database, refuse_special
from bench.search.storage_retries import (
    FILE_SECONDS,
    SERVER_SECONDS,
    RetryingStorage,
    RetryPolicy,
    StudyUnavailableError,
    reason,
)

SQLITE, JOURNAL = "optuna.db", "optuna.journal"
_LOCK_SECONDS = 60.0
_ATTEMPTS = 5
_POSTGRES_OPTIONS = {
    # a server that is gone without a word is noticed after about a minute, not after two hours
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


@dataclass(frozen=True)
class StudyStorage:
    """Where studies are kept.

    Attributes:
        storage: Optuna's; it waits with `retry_policy` while the server or the file is away.
        name: for people, without a password; optuna-dashboard takes it.
        shared: whether several processes may use it at a time.
        direct: the same, without patience: for heartbeats.
    """

    storage: BaseStorage
    name: str
    shared: bool
    direct: BaseStorage | None = None
    retry_policy: RetryPolicy = field(default_factory=lambda: RetryPolicy("memory", 0.0))


def _with_retries(
    storage: BaseStorage, name: str, retry_policy: RetryPolicy, *, shared: bool
) -> StudyStorage:
    return StudyStorage(RetryingStorage(storage, retry_policy), name, shared, storage, retry_policy)


def open_storage(setting: str, results: Path) -> StudyStorage:
    """The storage that `search.storage` names, created where it does not exist.

    Raises:
        BenchError: it cannot be reached, or its driver is missing.
    """
    silence_optuna()
    if setting == "journal":
        return _open_journal(results / JOURNAL)
    if setting == "sqlite":
        return _open_sqlite(results / SQLITE)
    url = setting
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    shown = masked_url(setting)
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.startswith("postgresql"):
        named = url.partition("?")[2]
        options["connect_args"] = {
            key: v for key, v in _POSTGRES_OPTIONS.items() if f"{key}=" not in named
        }
    database = _open_database(url, options, shown)
    retry_policy = RetryPolicy(shown, _retry_seconds(SERVER_SECONDS), database.engine.dispose)
    return _with_retries(optuna.storages.get_storage(database), shown, retry_policy, shared=True)


def _file_retries(path: Path, renew: Callable[[], object] = lambda: None) -> RetryPolicy:
    """A file's, which is not waited for where its folder, that of all results, has vanished."""
    check = partial(folders.check_kept, path.parent)
    return RetryPolicy(str(path), _retry_seconds(FILE_SECONDS), renew, check)


def _retry_seconds(usual: float) -> float:
    """For how long a storage is waited for; `BENCH_STUDY_SECONDS` changes it."""
    with contextlib.suppress(ValueError):
        return float(os.environ.get("BENCH_STUDY_SECONDS", usual))
    return usual


def silence_optuna() -> None:
    """Optuna says only what goes wrong; what it calls experimental is not news."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextlib.contextmanager
def storage_errors(storage_name: str) -> Iterator[None]:
    """Turn what goes wrong in a storage into a StoreError that names it."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except StudyUnavailableError:
        raise
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        raise StoreError(
            f"the study in {storage_name} cannot be used ({reason(error)}): what is recorded is "
            "safe; once that is fixed, the same command resumes"
        ) from error


def _open_journal(path: Path) -> StudyStorage:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in (path, path.with_name(f"{path.name}.lock")):
            refuse_special(file)
        backend = _Journal(path)
        retry_policy = _file_retries(path)
        return _with_retries(JournalStorage(backend), str(path), retry_policy, shared=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error


def _open_sqlite(path: Path) -> StudyStorage:
    path.parent.mkdir(parents=True, exist_ok=True)
    check_database(path)
    path.touch()
    # a file that is gone later is not made again, empty, where somebody has unmounted the folder
    uri = f"file:{quote(str(path.resolve()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=_LOCK_SECONDS, check_same_thread=False)

    database = _open_database(f"sqlite:///{path.resolve()}", {"creator": connect}, str(path))
    retry_policy = _file_retries(path, database.engine.dispose)
    name = f"sqlite:///{path}"
    return _with_retries(optuna.storages.get_storage(database), name, retry_policy, shared=False)


def _open_database(url: str, options: Mapping[str, Any], shown: str) -> RDBStorage:
    """Several processes may make the tables at the same moment: all but one try again."""
    from sqlalchemy.exc import SQLAlchemyError

    for attempt in range(_ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs=dict(options))
        except ImportError as error:
            missing = "needs psycopg: pip install 'bench[postgres]'"
            raise BenchError(f"search.storage: {shown} {missing}") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            made = "exists" in str(error) or "unique" in str(error).lower()
            if not made or attempt == _ATTEMPTS - 1:
                raise BenchError(
                    f"search.storage: {shown} cannot be used ({reason(error)})"
                ) from error
            # random: processes that collided would collide again
            time.sleep(random.random())  # noqa: S311 - no secret
        except Exception as error:  # an URL that SQLAlchemy cannot read
            said = truncate(masked(first_line(error)))
            raise BenchError(f"search.storage: {shown}: {said}") from error
    raise AssertionError


class _Journal(JournalFileBackend):
    """Never begins a second journal where the first one is gone; a torn last line is cut off."""

    def __init__(self, path: Path) -> None:
        self._lock_of_file = _Lock(path)
        super().__init__(str(path), lock_obj=self._lock_of_file)
        self._path = path

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]  # it is a generator that is only iterated
        """The lines from one on; a StoreError where they are damaged."""
        try:
            yield from super().read_logs(log_number_from)
        except json.JSONDecodeError as error:
            raise StoreError(f"{self._path}: is damaged ({error}): restore it") from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add lines, whole; a writer whose disk was full may have left half of one."""
        self._lock_of_file.acquire()
        try:
            with self._path.open("r+b") as file:
                end = size = os.fstat(file.fileno()).st_size
                while end and os.pread(file.fileno(), 1, end - 1) != b"\n":
                    end -= 1
                if end < size:
                    os.ftruncate(file.fileno(), end)
            super().append_logs(logs)
        finally:
            self._lock_of_file.release()


class _Lock(JournalFileOpenLock):
    """The system's own lock, which a process that is killed gives back.

    Nothing of Optuna's lock is left but its type: the common base class is not public.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._lock = FileLock(f"{path}.lock", thread_local=False, timeout=_LOCK_SECONDS)

    def acquire(self) -> bool:
        """Wait for it; where the folder is gone, it is not made again."""
        if not self._path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()
