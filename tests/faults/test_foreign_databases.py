"""SQLite files from somebody else: what lies beside them has no file elsewhere changed or deleted.

SQLite itself follows what a journal says: a rollback journal that ends with the name of a
super-journal has that file deleted once it is played back.
"""

from __future__ import annotations

import io
import os
import sqlite3
import struct
from pathlib import Path

import pytest

from bench.doctor import check_mlflow
from bench.errors import StoreError
from bench.record.mlflow import Mirror, MirrorError
from bench.record.store import Store
from bench.record.ui import served_uri
from bench.safe_files import check_database
from bench.search.storages import open_storage
from tests.faults.tiny import trials

_MAGIC = bytes.fromhex("d9d505f920a163d7")
SIDES = ("", "-journal", "-wal", "-shm")


def journal_that_deletes(database: Path, victim: Path) -> Path:
    """A journal left by a transaction over several databases, of which `victim` would know."""
    pages = database.stat().st_size // 4096
    header = _MAGIC + struct.pack(">IIIII", 0, 1234, pages, 512, 4096)
    name = str(victim).encode()
    end = struct.pack(">I", 0x40000000 // 4096 + 1) + name
    end += struct.pack(">II", len(name), sum(name)) + _MAGIC
    path = database.with_name(f"{database.name}-journal")
    path.write_bytes(header.ljust(512, b"\0") + end)
    return path


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "diary.txt"
    path.write_text("mine")
    return path


def test_sqlite_deletes_what_a_journal_names(tmp_path: Path, victim: Path) -> None:
    """Why the check is there: where this fails, SQLite has become careful itself."""
    database = tmp_path / "a.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE a (b)")
    connection.close()
    journal_that_deletes(database, victim)
    connection = sqlite3.connect(database)
    connection.execute("SELECT * FROM a").fetchall()
    connection.close()
    assert not victim.exists()


def test_a_journal_that_would_delete_a_file(copy: Path, victim: Path) -> None:
    store = Store(copy / "results")
    for files in trials(store.root):
        files.mlflow_path.unlink()
    journal_that_deletes(store.root / "mlflow.db", victim)
    with pytest.raises(StoreError, match=r"mlflow\.db-journal: names a file outside"):
        Mirror(store).sync("tiny")
    with pytest.raises(StoreError, match="names a file outside"):
        served_uri(store)
    found = check_mlflow(store.root, None)
    assert found.state == "problem"
    assert "names a file outside" in found.finding
    assert victim.read_text() == "mine"
    (store.root / "mlflow.db-journal").unlink()
    assert Mirror(store).sync("tiny").problems == ()


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["link", "dangling", "FIFO"])
def test_no_database_and_no_journal_is_a_link_or_a_fifo(
    copy: Path, victim: Path, side: str, kind: str
) -> None:
    store = Store(copy / "results")
    path = store.root / f"mlflow.db{side}"
    path.unlink(missing_ok=True)
    if kind == "FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(victim if kind == "link" else victim.with_name("not_there"))
    with pytest.raises(MirrorError, match=rf"mlflow\.db{side}: is (a link|no plain file)"):
        Mirror(store).prepare()
    assert victim.read_text() == "mine"
    assert not victim.with_name("not_there").exists()


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        *(("sqlite", f"optuna.db{side}") for side in SIDES),
        ("journal", "optuna.journal"),
        ("journal", "optuna.journal.lock"),
    ],
)
@pytest.mark.parametrize("kind", ["link", "dangling", "FIFO"])
def test_no_study_is_kept_through_a_link(
    tmp_path: Path, victim: Path, setting: str, name: str, kind: str
) -> None:
    path = tmp_path / "results" / name
    path.parent.mkdir()
    if kind == "FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(victim if kind == "link" else victim.with_name("not_there"))
    with pytest.raises(StoreError, match=rf"{name}: is (a link|no plain file)"):
        open_storage(setting, tmp_path / "results")
    assert victim.read_text() == "mine"
    assert not victim.with_name("not_there").exists()


def test_a_study_s_journal_that_would_delete_a_file(tmp_path: Path, victim: Path) -> None:
    results = tmp_path / "results"
    open_storage("sqlite", results)
    journal_that_deletes(results / "optuna.db", victim)
    with pytest.raises(StoreError, match="names a file outside"):
        open_storage("sqlite", results)
    assert victim.read_text() == "mine"


def test_a_journal_of_our_own_is_played_back(tmp_path: Path) -> None:
    """A process that was killed in a transaction leaves one: it is no reason to refuse."""
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE a (b)")
    connection.close()
    writing = sqlite3.connect(path)
    writing.execute("PRAGMA cache_size = 1")
    writing.execute("PRAGMA cache_spill = 1")
    writing.executemany("INSERT INTO a VALUES (?)", [("x" * 3000,) for _ in range(100)])
    left = {name: path.with_name(name).read_bytes() for name in ("a.db", "a.db-journal")}
    assert len(left["a.db-journal"]) > io.DEFAULT_BUFFER_SIZE // 16
    writing.rollback()
    writing.close()
    for name, content in left.items():
        path.with_name(name).write_bytes(content)
    check_database(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM a").fetchone() == (0,)
    connection.close()
