"""Files that are never half there: written under a temporary name, and renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import folders
from bench.errors import UnwritableError
from bench.safe_files import temporary_path


@contextlib.contextmanager
def replacing(
    path: Path,
    *,
    durable: bool = False,
    keep: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """A temporary path next to `path`, renamed to it when the block ends without an error.

    Whoever reads `path` sees the old file or the whole new one, at whatever instant the writer is
    killed.

    Args:
        path: its folder is made if it is not there.
        durable: force the bytes to the disk first, so that they survive a power cut too.
        keep: what the old file becomes, so that one of the two is there at every instant.
        check: called first, and last of all, to raise what keeps the new file from being put into
            place: no folder is made where one has vanished.

    Raises:
        UnwritableError: the folder is read-only, the disk is full, …
    """
    temporary = temporary_path(path)
    check()
    try:
        folders.make(path.parent)
        yield temporary
        if durable:
            force_to_disk(temporary)
        check()
        if keep is not None:
            with contextlib.suppress(FileNotFoundError):
                path.replace(keep)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        if (reason := _system_error(error)) is None:
            raise
        raise UnwritableError(
            f"{path}: cannot be written ({reason.strerror or reason}): free space or make the "
            "folder writable"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace the file's content; errors as `replacing`."""
    with replacing(path, durable=durable) as temporary, temporary.open("xb") as file:
        file.write(content)


def force_to_disk(path: Path) -> None:
    """Wait until the file's bytes would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _system_error(error: BaseException | None) -> OSError | None:
    """The system's own error behind what a library (torch) makes of it."""
    while error is not None:
        if isinstance(error, OSError):
            return error
        error = error.__cause__ or error.__context__
    return None
