"""Files in a folder that somebody else may have prepared: neither followed out of it nor foreseen.

A results folder can come from anybody. A link in it may lead to a file of the user's, and a FIFO
would stop whoever opens it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from bench.errors import StoreError

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a FIFO without a writer is not waited for


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
    """A name beside `path` that nobody can foresee; it says whose process made it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(8)}.tmp")


def refuse_link_out(folder: Path, root: Path) -> Path:
    """The folder; a StoreError where it is a link that leads out of `root`."""
    if folder.is_symlink() and not folder.resolve().is_relative_to(root.resolve()):
        raise StoreError(
            f"{folder}: is a link that leads out of {root}: put the folder itself there, "
            "or name another --results"
        )
    return folder


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
