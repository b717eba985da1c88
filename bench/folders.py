"""Folders that are never made a second time: results that vanish in mid-run (moved, deleted,
unmounted) would else come into being again where they were, with a part of what they held.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UnwritableError

_KEPT: Counter[Path] = Counter()


def keep(folder: Path) -> None:
    """From now on this process does not make `folder` again: it is there."""
    _KEPT[folder] += 1


def release(folder: Path) -> None:
    """The opposite of `keep`."""
    _KEPT[folder] -= 1


@contextmanager
def keeping(*folders: Path) -> Iterator[None]:
    """`keep`, as long as the block takes."""
    _KEPT.update(folders)
    try:
        yield
    finally:
        _KEPT.subtract(folders)


def make(folder: Path) -> None:
    """Make a folder and those above it, but none that is kept, nor anything next to one that was.

    `rm -rf` deletes what is in a folder before the folder itself: what is made there meanwhile
    would stay, and be all that is left.

    Raises:
        UnwritableError: one that is kept is no longer there.
        OSError: as of `mkdir`.
    """
    kept = next((parent for parent in (folder, *folder.parents) if _KEPT[parent] > 0), None)
    if kept is None:
        folder.mkdir(parents=True, exist_ok=True)
        return
    check_kept(kept)
    # one by one, without `parents=True`: that would recreate the protected folder, too
    below = [folder, *folder.parents]
    for parent in reversed(below[: below.index(kept)]):
        try:
            parent.mkdir(exist_ok=True)
        except FileNotFoundError:
            raise gone(kept) from None
    if not kept.is_dir():
        raise gone(kept)


def check_kept(root: Path) -> None:
    """Raises UnwritableError where `root`, or a folder in it that is kept, is no longer there."""
    for folder, count in tuple(_KEPT.items()):
        if count > 0 and root in (folder, *folder.parents) and not folder.is_dir():
            raise gone(folder)
    if not root.is_dir():
        raise gone(root)


def check(folder: Path) -> None:
    """Raises UnwritableError where `folder`, which was there, is no more, or is read-only."""
    if not folder.is_dir():
        raise gone(folder)
    if not os.access(folder, os.W_OK):
        raise UnwritableError(
            f"{folder}: cannot be written any more (read-only): make it writable again"
        )


def gone(folder: Path) -> UnwritableError:
    """The error for a folder that was there; it names the topmost one that is not."""
    lost = next((parent for parent in reversed(folder.parents) if not parent.exists()), folder)
    return UnwritableError(
        f"{lost}: is no longer there (moved, deleted or unmounted): put it back where it was"
    )
