"""Files in a folder that somebody else may have prepared: neither followed out of it nor foreseen.

A results folder can come from anybody. A link in it may lead to a file of the user's, and a FIFO
would stop whoever opens it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bench.errors import StoreError

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer is not waited for
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")  # begins a journal, and ends a file's name in it


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        StoreError: it is a link, a FIFO, a device, …
        OSError: it is not there, or cannot be read.
    """
    return os.fdopen(_opened(path, os.O_RDONLY), "rb")


def open_log(path: Path) -> int:
    """A descriptor to append to a file, which is made where there is none; errors as above."""
    return _opened(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def temporary_path(path: Path) -> Path:
    """A name in the folder of `path` that nobody can foresee; it says whose process made it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")


def refuse_link_out(folder: Path, root: Path) -> Path:
    """The folder; a StoreError where it is a link that leads out of `root`."""
    if folder.is_symlink() and not folder.resolve().is_relative_to(root.resolve()):
        raise StoreError(
            f"{folder}: is a link that leads out of {root}: put the folder itself there, "
            "or name another --results"
        )
    return folder


def refuse_special(path: Path) -> None:
    """Raises a StoreError where something is there that is no plain file: a link, a FIFO, …"""
    with suppress(OSError):
        open_plain(path).close()


def check_database(path: Path) -> None:
    """Refuse an SQLite file, there or not, that would have SQLite change files elsewhere.

    Beside a database lie its journals. SQLite writes to them, and where one of them names a file
    that belongs to several databases, SQLite deletes that file, wherever it is. Ours never does.

    Raises:
        StoreError: the database or one of its journals is a link, a FIFO, …; or a journal names a
            file to be deleted.
    """
    for name in (path.name, *(f"{path.name}-{kind}" for kind in ("journal", "wal", "shm"))):
        with suppress(OSError), open_plain(path.with_name(name)) as file:  # SQLite has better words
            if name.endswith("-journal") and _names_another_file(file):
                raise StoreError(
                    f"{path.with_name(name)}: names a file outside of the results, which SQLite "
                    "would delete: bench never writes such a journal, remove it"
                )


def _names_another_file(journal: BinaryIO) -> bool:
    """Whether a rollback journal ends with the name of a super-journal.

    See "The Super-Journal" in SQLite's file format (sqlite.org/fileformat2.html).
    """
    if journal.seek(0, os.SEEK_END) < len(_JOURNAL_MAGIC):
        return False
    journal.seek(-len(_JOURNAL_MAGIC), os.SEEK_END)
    return journal.read() == _JOURNAL_MAGIC


def _opened(path: Path, flags: int) -> int:
    try:
        found = os.open(path, flags | _NO_FOLLOW | _NO_WAIT, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK) or path.is_symlink():
            raise _no_plain_file(path, "a link") from error
        if error.errno == errno.ENXIO:  # a FIFO that nobody reads, or a socket
            raise _no_plain_file(path, "no plain file") from error
        raise
    mode = os.fstat(found).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # reading a folder has its own error
        os.close(found)
        raise _no_plain_file(path, "no plain file")
    return found


def _no_plain_file(path: Path, what: str) -> StoreError:
    return StoreError(f"{path}: is {what}, and is not opened: records are plain files, restore it")
