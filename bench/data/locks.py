"""Locks between processes, where the file system has them."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

_HAS_NONE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Hold the lock, after waiting for it; False where the file system has none.

    Then others may be here at the same time.

    Raises:
        OSError: the file cannot be made.
    """
    lock = FileLock(path)
    try:
        lock.acquire()
    except NotImplementedError:  # what filelock raises where the file system has no locks
        pass
    except OSError as error:
        if error.errno not in _HAS_NONE:
            raise
    try:
        yield lock.is_locked
    finally:
        lock.release()
