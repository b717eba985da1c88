"""Where studies are kept: SQLite for one process, a journal file or PostgreSQL for several."""

from __future__ import annotations

import contextlib
import random
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock

from bench.errors import BenchError, StoreError, first_line
from bench.masking import masked

SQLITE, JOURNAL = "optuna.db", "optuna.journal"
_WAIT_SECONDS = 60.0
_ATTEMPTS = 5


@dataclass(frozen=True)
class Place:
    """A place for studies.

    Attributes:
        storage: Optuna's.
        name: for people, without a password; optuna-dashboard takes it.
        shared: whether several processes may use it at a time.
    """

    storage: BaseStorage
    name: str
    shared: bool


def open_place(setting: str, results: Path) -> Place:
    """The place that `search.storage` names, made where it is not there.

    Raises:
        BenchError: it cannot be reached, or its driver is missing.
    """
    quiet()
    if setting == "journal":
        return _journal(results / JOURNAL)
    if setting == "sqlite":
        path = results / SQLITE
        path.parent.mkdir(parents=True, exist_ok=True)
        url, options = f"sqlite:///{path.resolve()}", {"connect_args": {"timeout": _WAIT_SECONDS}}
        return Place(_relational(url, options, str(path)), f"sqlite:///{path}", shared=False)
    url = setting
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    shown = masked(setting)
    return Place(_relational(url, {"pool_pre_ping": True}, shown), shown, shared=True)


def quiet() -> None:
    """Optuna says only what goes wrong; what it calls experimental is not news."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


@contextlib.contextmanager
def told(place: str) -> Iterator[None]:
    """Turn what goes wrong in a storage into a StoreError that names the place."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (optuna.exceptions.StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if error.__cause__ is not None else error
        reason = masked(first_line(cause))[:300]
        raise StoreError(
            f"{place}: {reason}: what is recorded is safe, the same command goes on"
        ) from error


def _journal(path: Path) -> Place:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        backend = JournalFileBackend(str(path), lock_obj=_Lock(path))
        return Place(JournalStorage(backend), str(path), shared=True)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror})") from error


def _relational(url: str, options: Mapping[str, Any], shown: str) -> BaseStorage:
    """Several processes may make the tables at the same moment: all but one try again."""
    from sqlalchemy.exc import SQLAlchemyError

    for attempt in range(_ATTEMPTS):
        try:
            return optuna.storages.get_storage(RDBStorage(url, engine_kwargs=dict(options)))
        except ImportError as error:
            missing = "needs psycopg: pip install 'bench[postgres]'"
            raise BenchError(f"search.storage: {shown} {missing}") from error
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            made = "exists" in str(error) or "unique" in str(error).lower()
            if not made or attempt == _ATTEMPTS - 1:
                reason = masked(first_line(error))[:300]
                raise BenchError(f"search.storage: {shown}: {reason}") from error
            time.sleep(random.random())  # noqa: S311 - no secret
        except Exception as error:  # an URL that SQLAlchemy cannot read
            reason = masked(first_line(error))[:300]
            raise BenchError(f"search.storage: {shown}: {reason}") from error
    raise AssertionError


class _Lock(BaseJournalFileLock):
    """The system's own lock, which a process that is killed gives back."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(f"{path}.lock", thread_local=False)

    def acquire(self) -> bool:
        """Wait for it."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()
