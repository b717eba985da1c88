"""Leases: who may work on what, where several processes share a folder of records.

They need atomic creation (O_EXCL) and renaming, nothing else: neither locks nor links, nor clocks
that agree.

    .leases/runs/<token>             who takes part; its time of change is their heartbeat
    .leases/<name>/<generation>      whose turn it is; the highest generation counts

A lease is taken by creating the generation above one that was given back, or whose owner is dead:
of several that try, exactly one creates it. An owner is dead where its process is known to be gone
(on the same machine), or when its heartbeat has not changed for `Owner.expiry` seconds of the
*observer's* time, counted only while the observer was looking: neither clocks that jump nor a
machine that sleeps make anybody look dead. The highest generation is never deleted, so that no
number comes twice.

Whoever works under a lease asks `Lease.held` before each write. A process that was stopped, taken
for dead and woken finds the next generation there, and has lost its lease.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import folders
from bench.errors import BenchError, StoreError, UnwritableError
from bench.record.files import read_json, read_text, write_json
from bench.record.heartbeats import BEATS, HeartbeatMonitor
from bench.record.owners import Owner
from bench.safe_files import open_plain, refuse_link_out

EXPIRY = 60.0
"""Seconds; `BENCH_LEASE_SECONDS` changes it."""
_POLL_SECONDS = 0.05
_RELEASED = "\nreleased\n"


class LostLeaseError(StoreError):
    """Another process has taken over: this one must not write any more."""


@dataclass(frozen=True)
class Lease:
    """The right to work on one thing. Picklable.

    Attributes:
        folder: of the thing's generations.
        generation: its number.
        token: the owner's.
    """

    folder: Path
    generation: int
    token: str

    @property
    def path(self) -> Path:
        """The file that says so."""
        return self.folder / str(self.generation)

    def held(self) -> bool:
        """Whether it is still ours. The folder is listed: a file server's answer to that is fresh.

        What cannot be read is not held: to stop is harmless.
        """
        try:
            if max(_generations(self.folder), default=-1) != self.generation:
                return False
            owner, released = _read(self.path)
        except (OSError, StoreError):
            return False
        return owner is not None and owner.token == self.token and not released

    def check(self) -> None:
        """Raises LostLeaseError where it is not ours any more.

        Raises:
            UnwritableError: the folder of records has vanished, or cannot be written any more.
        """
        self.check_folder()
        if not self.held():
            raise LostLeaseError(f"{self.folder.name}: another process has taken over")

    def check_folder(self) -> None:
        """Raises UnwritableError where the folder of records has vanished or is read-only."""
        folders.check(self.folder.parent)
        folders.check(self.folder)


class Leases:
    """This process's part in the leases of one folder. A context manager; leaves nothing held.

    Args:
        folder: `.leases`, made if it is not there.
        expiry: seconds of silence after which others may take what this process holds.
    """

    def __init__(self, folder: Path, expiry: float | None = None) -> None:
        self._folder = folder
        self.owner = Owner.here(_expiry() if expiry is None else expiry)
        self._held: set[Lease] = set()
        self._others = HeartbeatMonitor(self.owner.expiry)
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        """Say that we are here. StoreError where the folder cannot be written."""
        try:
            refuse_link_out(self._folder, self._folder.parent)
            folders.make(self._runs)
            refuse_link_out(self._runs, self._folder)
            folders.keep(self._folder)
            self._announce()
        except (OSError, StoreError) as error:
            # the results folder is what a user knows
            reason = getattr(error, "strerror", None) or getattr(error.__cause__, "strerror", error)
            raise StoreError(
                f"{self._folder.parent}: cannot be written ({reason}): "
                "choose another --results folder"
            ) from error
        self._remove_dead()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._thread.join()
        for lease in tuple(self._held):
            self.release(lease)
        with suppress(OSError):
            self._heartbeat_file(self.owner).unlink()
        folders.release(self._folder)

    def claim(self, name: str) -> Lease | Owner:
        """Our lease on `name` from now on, or who has it. Returns at once.

        Raises:
            UnwritableError: the folder cannot be written.
            StoreError: it is a link that leads elsewhere.
        """
        folder = self._folder / name
        try:
            folders.check(self._folder)
            folder.mkdir(exist_ok=True)
            refuse_link_out(folder, self._folder)
            while True:
                found = _generations(folder)
                top = max(found, default=-1)
                if found and (owner := self._owner(folder / str(top))):
                    return owner
                lease = Lease(folder, top + 1, self.owner.token)
                if self._create(lease):
                    self._held.add(lease)
                    return lease
        except OSError as error:
            raise UnwritableError(
                f"{error.filename or folder}: cannot be written ({error.strerror}): free space or "
                "make the folder writable"
            ) from error

    def release(self, lease: Lease) -> bool:
        """Give it back; False where it had been lost."""
        self._held.discard(lease)
        held = lease.held()
        with suppress(OSError):  # a full disk, say: it is free once we leave
            if held:
                _append(lease.path, _RELEASED)
        return held

    def holder(self, name: str) -> Owner | None:
        """Who has the lease on `name` now, so far as is known; None: nobody who is alive."""
        folder = self._folder / name
        try:
            return self._owner(folder / str(max(_generations(folder), default=0)))
        except (OSError, StoreError):
            return None

    @contextmanager
    def hold(
        self,
        name: str,
        on_wait: Callable[[Owner], None] = lambda _: None,
        timeout: float | None = None,
    ) -> Iterator[None]:
        """Work under the lease on `name`, after waiting for it; `on_wait` hears once for whom.

        Raises:
            TimeoutError: it was not to be had within `timeout` seconds.
        """
        start = time.monotonic()
        said = None
        while isinstance(found := self.claim(name), Owner):
            if said != found:
                said = found
                on_wait(found)
            if timeout is not None and time.monotonic() - start > timeout:
                raise TimeoutError(f"{name} is held by {found}")
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            self.release(found)

    @property
    def own_file(self) -> tuple[Path, str]:
        """A file that says that we are here, and what only it says."""
        return self._heartbeat_file(self.owner), self.owner.token

    def others(self) -> list[Owner]:
        """Who else takes part now, so far as is known."""
        return [owner for owner in self._present() if not self._is_dead(owner)]

    def certain_others(self) -> list[Owner]:
        """Who else takes part for certain.

        Waits for a sign of those on other machines, at most their expiry; who gives none is dead.
        """
        first = {owner: _mtime(self._heartbeat_file(owner)) for owner in self.others()}
        silent = {owner for owner in first if not owner.is_local()}
        while silent:
            time.sleep(_POLL_SECONDS)
            silent &= set(self.others())
            silent = {
                owner for owner in silent if _mtime(self._heartbeat_file(owner)) == first[owner]
            }
        return self.others()

    @property
    def _runs(self) -> Path:
        return self._folder / "runs"

    def _heartbeat_file(self, owner: Owner) -> Path:
        return self._runs / owner.token

    def _announce(self) -> None:
        write_json(self._heartbeat_file(self.owner), self.owner.record())

    def _live(self) -> None:
        """Give signs of life, and look at the others' all the time: unseen silence counts less."""
        while not self._leaving.wait(self.owner.expiry / BEATS):
            with suppress(OSError, StoreError):
                self._beat()
            with suppress(OSError, StoreError):
                self.others()

    def _beat(self) -> None:
        """Needs no space on the disk."""
        try:
            os.utime(self._heartbeat_file(self.owner))
        except FileNotFoundError:
            if self._runs.is_dir():  # somebody tidied up while we slept
                self._announce()

    def _create(self, lease: Lease) -> bool:
        """Whether we were the first to create this generation, and it is the highest."""
        try:
            file = os.open(lease.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        try:
            with os.fdopen(file, "w", encoding="utf-8") as stream:
                json.dump(self.owner.record(), stream)
        except OSError:  # a full disk: nobody's turn
            lease.path.unlink(missing_ok=True)
            raise
        found = _generations(lease.folder)
        if max(found) != lease.generation:  # we had looked long ago: this number was used before
            lease.path.unlink(missing_ok=True)
            return False
        for generation in sorted(found)[:-2]:  # the last but one stays for who is listing just now
            (lease.folder / str(generation)).unlink(missing_ok=True)
        return True

    def _owner(self, path: Path) -> Owner | None:
        """Who holds a generation; None: nobody who is alive."""
        owner, released = _read(path)
        if released:
            return None
        if owner is not None:
            return None if self._is_dead(owner) else owner
        # created a moment ago, or by a process that died right then
        expiry = self.owner.expiry
        unknown = Owner("", 0, "?", "", None, "?", expiry)
        return None if self._seconds_since_change(path) >= expiry else unknown

    def _present(self) -> list[Owner]:
        """Those who said that they are here and not that they left, without ourselves."""
        found = []
        for path in sorted(self._runs.iterdir()):
            with suppress(StoreError):
                owner = Owner.read(read_json(path) or {})
                if owner is not None and owner.token not in ("", self.owner.token):
                    found.append(owner)
        return found

    def _is_dead(self, owner: Owner) -> bool:
        return (
            owner.is_dead()
            or self._seconds_since_change(self._heartbeat_file(owner)) >= owner.expiry
        )

    def _seconds_since_change(self, path: Path) -> float:
        """Seconds for which a file was seen not to change."""
        return self._others.seconds_since_change(path, _mtime(path))

    def _remove_dead(self) -> None:
        for owner in self._present():
            if owner.is_dead():
                with suppress(OSError):
                    self._heartbeat_file(owner).unlink()


def holders(folder: Path) -> dict[str, Owner]:
    """What is held just now in a `.leases` folder, and by whom, at one look; nothing is written.

    Of other machines one look can only tell by the clock: silent for twice its expiry is dead.
    """
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    found = {name: holder_of(folder, name) for name in names if name != "runs"}
    return {name: owner for name, owner in found.items() if owner is not None}


def holder_of(folder: Path, name: str) -> Owner | None:
    """Who holds one lease, by the same signs; None: nobody."""
    with suppress(OSError, StoreError):
        last = max(_generations(folder / name), default=0)
        owner, released = _read(folder / name / str(last))
        if owner and not released and not _looks_dead(owner, folder / "runs" / owner.token):
            return owner
    return None


def _read(path: Path) -> tuple[Owner | None, bool]:
    """Who signed a lease, None where nobody has (yet), and whether it was given back since."""
    signed, _, rest = (read_text(path) or "").partition("\n")
    try:
        record = json.loads(signed)
    except ValueError:
        return None, False
    return Owner.read(record), bool(rest)


def _append(path: Path, text: str) -> None:
    """Add to a file that is there. Replacing it would wait for the disk on some file systems."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def _looks_dead(owner: Owner, heartbeat_file: Path) -> bool:
    if owner.is_local():
        return owner.is_dead()
    mtime = _mtime(heartbeat_file)
    return mtime is None or time.time() - mtime / 1e9 > 2 * owner.expiry


def _generations(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]


def _mtime(path: Path) -> int | None:
    """When the file was changed, in ns; None where it is not there.

    It is opened first, because a file server's client may remember what `stat` said.
    """
    with suppress(OSError, StoreError), open_plain(path) as file:
        return os.fstat(file.fileno()).st_mtime_ns
    return None


def _expiry() -> float:
    text = os.environ.get("BENCH_LEASE_SECONDS", str(EXPIRY))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise BenchError(f"BENCH_LEASE_SECONDS={text}: give a number of seconds above 0")
    return seconds
