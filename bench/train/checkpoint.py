"""Checkpoints: plain state dicts, whole at every instant, the last two states of a trial kept."""

from __future__ import annotations

import errno
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from bench.atomic_files import replacing
from bench.errors import DamagedError, StoreError, first_line
from bench.safe_files import open_plain

MAX_DISK_WAIT_SHARE = 0.02
"""Part of a trial's time that may pass with waiting for the disk."""


def save(
    path: Path,
    state: Mapping[str, Any],
    *,
    durable: bool = False,
    keep: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> float:
    """Write `state` so that `path` is at every instant absent, the old one or the new one.

    Equal states give files of equal bytes.

    Args:
        path: its folder is made if it is not there.
        state: plain data and tensors.
        durable: wait until the new one would survive a power cut.
        keep: what the old one becomes, so that one of the two is there at every instant.
        check: called first, and last of all, to raise what keeps the new one from being put into
            place: no folder is made where one has vanished.

    Returns:
        Seconds waited for the disk.

    Raises:
        UnwritableError: the disk is full, the folder read-only, …
    """
    with replacing(path, keep=keep, check=check) as temporary, temporary.open("xb") as file:
        torch.save(dict(state), file)
        file.flush()
        begun = time.monotonic()
        if durable:
            os.fsync(file.fileno())
        return time.monotonic() - begun


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only plain data and tensors are accepted, and every byte is checked.

    Raises:
        DamagedError: the file was cut short, or its checksums are wrong.
        StoreError: the file is missing, cannot be read, or holds something else.
    """
    _check_bytes(path)
    try:
        with open_plain(path) as file:
            found = torch.load(file, map_location=device, weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds
        if "PytorchStreamReader" in str(error):
            raise _damaged(path, error) from error
        raise StoreError(f"{path}: not a readable checkpoint ({first_line(error)})") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: not a readable checkpoint (a {type(found).__name__})")
    return found


def check_owner(state: Mapping[str, Any], path: Path, identity: str) -> bool:
    """Whether a checkpoint says that it is of the trial with this identity (`plan.trial.digest`).

    Those of version 0.1 do not say it of the best epoch's weights.

    Raises:
        StoreError: it says that it is another trial's.
    """
    owner = state.get("identity")
    if owner is not None and owner != identity:
        raise StoreError(
            f"{path}: the checkpoint of another trial (…-{str(owner)[:8]}, not …-{identity}): "
            "restore the file, or train the trial again"
        )
    return owner is not None


class RotatingCheckpoint:
    """Keeps a trial's newest state in `last`, and an earlier one in `previous`.

    After a power cut one of them is whole: what becomes `previous` has reached the disk. At most
    `MAX_DISK_WAIT_SHARE` of the time is spent waiting for the disk; where epochs are shorter than
    that allows, only `last` is replaced meanwhile, and a power cut costs more than one epoch.
    """

    def __init__(
        self, last: Path, previous: Path, check: Callable[[], None] = lambda: None
    ) -> None:
        self._last, self._previous, self._check = last, previous, check
        self._last_is_durable = False  # another process wrote it, if it is there
        self._next_wait = -float("inf")  # the first state always reaches the disk

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the state; UnwritableError where it cannot be written."""
        durable = time.monotonic() >= self._next_wait
        keep = self._previous if self._last_is_durable else None
        waited = save(self._last, state, durable=durable, keep=keep, check=self._check)
        if durable:
            self._next_wait = time.monotonic() + waited / MAX_DISK_WAIT_SHARE
        self._last_is_durable = durable


def _check_bytes(path: Path) -> None:
    """Compare the checksums, which torch writes and does not look at."""
    try:
        with open_plain(path) as file, zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
    except StoreError:
        raise
    except FileNotFoundError:
        raise StoreError(f"{path}: no checkpoint there") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a nonsensical place in the file: its directory is broken
            raise StoreError(f"{path}: cannot be read ({error.strerror})") from error
        raise _damaged(path, error) from error
    except Exception as error:  # zipfile raises half a dozen kinds, too
        raise _damaged(path, error) from error
    if broken is not None:
        raise _damaged(path, f"wrong checksum of {broken}")


def _damaged(path: Path, reason: Exception | str) -> DamagedError:
    reason_text = reason if isinstance(reason, str) else first_line(reason)
    return DamagedError(f"{path}: not a readable checkpoint ({reason_text})")
