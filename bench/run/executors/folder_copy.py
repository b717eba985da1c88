"""A trial's folder in two places: what changes on a node of a cluster is copied to the driver.

The node's side sends the parts of files that have changed, and a commit after all that belongs
together; the driver's side puts files into place at a commit, each as a whole, in an order in which
the folder can be gone on from at every instant.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bench import folders
from bench.atomic_files import force_to_disk
from bench.errors import StoreError, UnwritableError
from bench.safe_files import open_log, open_plain, refuse_link_out, temporary_path

CHUNK = 8 << 20
"""Bytes sent at a time: a checkpoint must not fill a node's object store."""
SMALL = 4 << 20
"""Bytes of checkpoints up to which they are sent after every epoch."""
TOTAL_RATE = 200e6
"""Bytes per second that all trials together send of checkpoints: a sixth of 10 Gbit/s."""

# Read in this order: the best weights belong to the last state's best epoch, or to a later one.
_STATES = ("last.pt", "previous.pt")
# Put into place in this order: the best weights are there before a state that needs them, and what
# says how far the trial is comes when all that it says is true.
_ORDER = ("best.pt", "previous.pt", "last.pt", "history.csv", "summary.json", "status.json")
_NOT_COPIED = frozenset({"mlflow.json"})
"""Files of the driver alone."""
_NAME = re.compile(r"\w[\w.+-]*")


@dataclass(frozen=True)
class FilePart:
    """Bytes of one file.

    Attributes:
        path: relative to the experiment's folder.
        last: whether the file ends with them.
        appended: whether they go to the end of what is there: of a log.
    """

    path: str
    data: bytes
    last: bool = True
    appended: bool = False


@dataclass(frozen=True)
class Commit:
    """All parts since the last one belong together; these files are no longer there."""

    deleted: tuple[str, ...] = ()
    durable: bool = False


def parts_of(folder: Path, path: Path, file: BinaryIO) -> Iterator[FilePart]:
    """An open file in pieces; `path` is relative to `folder` in what is sent."""
    name = str(path.relative_to(folder))
    size = os.fstat(file.fileno()).st_size
    sent = 0
    while True:
        data = file.read(CHUNK)
        sent += len(data)
        last = sent >= size or not data
        yield FilePart(name, data, last)
        if last:
            return


def read_folder(experiment: Path, trial: Path) -> Iterator[FilePart]:
    """All that a trial's folder has for another node to go on from."""
    for path in _plain_files(trial):
        if path.name not in _NOT_COPIED and path.suffix != ".txt":
            with suppress(FileNotFoundError), open_plain(path) as file:
                yield from parts_of(experiment, path, file)


class FolderSender:
    """The node's side: what has changed since the last call.

    Args:
        experiment: the folder above the trial's; only this trial's files are in it.
        log: grows at its end.
        rate: bytes per second that may be sent of checkpoints.
    """

    def __init__(self, experiment: Path, log: Path, rate: float) -> None:
        self._experiment, self._log, self._rate = experiment, log, rate
        self._sent: dict[Path, tuple[int, int, int]] = {}
        self._logged = 0
        self._next_states = 0.0

    def adopt(self) -> None:
        """What is there now came from the driver."""
        for path in _plain_files(self._experiment):
            with suppress(OSError), open_plain(path) as file:
                self._sent[path] = _signature(file)

    def changes(self, *, everything: bool = False) -> Iterator[FilePart | Commit]:
        """Parts of what has changed and a commit; nothing where nothing has.

        Checkpoints come as often as the rate allows, or with `everything` in any case.
        """
        with ExitStack() as stack:
            there = {path for path in _plain_files(self._experiment) if path != self._log}
            changed: list[tuple[Path, BinaryIO]] = []
            for path in sorted(there, key=_reading_order):
                with suppress(FileNotFoundError):
                    file = stack.enter_context(open_plain(path))
                    if self._sent.get(path) != _signature(file):
                        changed.append((path, file))
            if not (everything or self._may_send_states(changed)):
                changed = [(path, file) for path, file in changed if path.suffix != ".pt"]
            gone = set(self._sent) - there
            if not everything and any(path.suffix == ".pt" for path in gone):
                gone = {path for path in gone if path.suffix != ".pt"}  # with the end's commit
            found = False
            for path, file in changed:
                found = True
                yield from parts_of(self._experiment, path, file)
                self._sent[path] = _signature(file)
            for part in self._log_parts():
                found = True
                yield part
            for path in gone:
                del self._sent[path]
            if found or gone:
                deleted = tuple(str(path.relative_to(self._experiment)) for path in sorted(gone))
                yield Commit(deleted, durable=everything)

    def _may_send_states(self, changed: list[tuple[Path, BinaryIO]]) -> bool:
        states = [os.fstat(file.fileno()).st_size for path, file in changed if path.suffix == ".pt"]
        now = time.monotonic()
        if sum(states) <= SMALL:
            return True
        if now < self._next_states:
            return False
        self._next_states = now + sum(states) / self._rate
        return True

    def _log_parts(self) -> Iterator[FilePart]:
        name = str(self._log.relative_to(self._experiment))
        with suppress(FileNotFoundError), open_plain(self._log) as file:
            file.seek(self._logged)
            while data := file.read(CHUNK):
                self._logged += len(data)
                yield FilePart(name, data, appended=True)


@dataclass
class FolderReceiver:
    """The driver's side: writes what comes beside the files, and renames it at a commit.

    Attributes:
        experiment: the folder above the trial's.
        trial: the trial's id; parts of other trials are refused.
        check: raises a StoreError where the folder is another process's by now: then nothing is
            written.
    """

    experiment: Path
    trial: str
    check: Callable[[], None]
    _written: dict[Path, Path] = field(default_factory=dict)
    _logged: list[tuple[Path, bytes]] = field(default_factory=list)

    def take(self, part: FilePart) -> None:
        """Keep a part; UnwritableError where that is not possible."""
        path = self._path(part.path)
        if part.appended:
            self._logged.append((path, part.data))
            return
        temporary = self._written.get(path)
        if temporary is None:
            temporary = self._written[path] = temporary_path(path)
        with _writing(path):
            folders.make(path.parent)
            with temporary.open("ab") as file:
                file.write(part.data)

    def commit(self, commit: Commit) -> None:
        """Put everything into place that came since the last commit."""
        try:
            self.check()
        except UnwritableError:
            raise
        except StoreError:  # another run has the trial: what this one did is void
            self.drop()
            return
        for path in sorted(self._written, key=_writing_order):
            temporary = self._written[path]
            with _writing(path):
                if commit.durable:
                    force_to_disk(temporary)
                temporary.replace(path)
            del self._written[path]
        for path, data in self._logged:
            with _writing(path):
                descriptor = open_log(path)
                try:
                    os.write(descriptor, data)
                finally:
                    os.close(descriptor)
        self._logged.clear()
        for name in commit.deleted:
            with _writing(path := self._path(name)):
                path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget what came since the last commit: the rest of it will not come."""
        for temporary in self._written.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._written.clear()
        self._logged.clear()

    def _path(self, name: str) -> Path:
        """Where a file belongs: in the trial's folder, or, of what trials share, beside it."""
        steps = name.split("/")
        shared = len(steps) == 1 and steps[0].startswith("images-")
        if not (all(map(_NAME.fullmatch, steps)) and (shared or steps[0] == self.trial)):
            raise StoreError(f"{name!r}: no file of {self.trial}, though its node sent it")
        path = self.experiment.joinpath(*steps)
        refuse_link_out(path.parent, self.experiment)
        return path


def write_folder(experiment: Path, parts: Iterator[FilePart]) -> None:
    """Write what `read_folder` gave into a folder of one's own."""
    for part in parts:
        path = experiment / part.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(part.data)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Makes an UnwritableError of the system's."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(
            f"{path}: cannot be written ({error.strerror}): free space or make the folder writable"
        ) from error


def _plain_files(folder: Path) -> list[Path]:
    """Files in a folder and those below, without what is only being written."""
    found = []
    for root, _, names in os.walk(folder):
        found += [Path(root) / name for name in names if not name.startswith(".")]
    return found


def _signature(file: BinaryIO) -> tuple[int, int, int]:
    facts = os.fstat(file.fileno())
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def _reading_order(path: Path) -> tuple[bool, str]:
    return path.name not in _STATES, str(path)


def _writing_order(path: Path) -> tuple[int, str]:
    return (_ORDER.index(path.name) + 1 if path.name in _ORDER else 0), str(path)
