"""Opening files of a data set, which may be anything: a FIFO would be waited for."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def open_plain(file: Path) -> BinaryIO:
    """Open a file for reading; links are followed.

    Raises:
        OSError: it is not there, cannot be read, or is no plain file.
    """
    try:
        found = os.open(file, os.O_RDONLY | _NO_WAIT | _BINARY)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device that is not there
            raise _not_plain(file) from error
        raise
    mode = os.fstat(found).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(found, "rb")
    os.close(found)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    raise _not_plain(file)


def _not_plain(file: Path) -> OSError:
    return OSError(errno.EINVAL, "it is a FIFO, a device or a socket, not a plain file", str(file))
