"""Which process on which machine holds something, and whether that process is still there."""

from __future__ import annotations

import os
import re
import socket
import uuid
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import psutil

from bench.record.trial_files import now
from bench.slurm_job import current_job

_PROC = Path("/proc")
_TOKEN = re.compile(r"\w*")
_RECORDED_AS = {"machine_id": "place", "process_start": "birth"}
"""Fields by their names in lease files and studies, which earlier releases read, too."""


@dataclass(frozen=True)
class Owner:
    """One process, as others may need to know it.

    Attributes:
        token: its own and nobody else's, now or ever.
        pid: process id on `host`.
        host: the machine's name.
        machine_id: machine, boot and process namespace: within one, `pid` and `process_start` name
            a process.
        process_start: when it started, on a clock that nobody sets.
        since: ISO 8601, UTC; for people.
        expiry: seconds of silence after which it is taken for dead by other machines.
        job: the scheduler's job that it is of, for people; empty: of none.
    """

    token: str
    pid: int
    host: str
    machine_id: str
    process_start: float | None
    since: str
    expiry: float
    job: str = ""

    @classmethod
    def here(cls, expiry: float) -> Self:
        """This process, under a new token."""
        pid = os.getpid()
        token = uuid.uuid4().hex
        job = f"Slurm job {found}" if (found := current_job()) else ""
        return cls(
            token, pid, socket.gethostname(), _machine_id(), _process_start(pid), now(), expiry, job
        )

    @classmethod
    def read(cls, record: object) -> Self | None:
        """From what `record()` gave; None where it is anything else."""
        names = {field: _RECORDED_AS.get(field, field) for field in cls.__dataclass_fields__}
        if not isinstance(record, dict) or not record.keys() >= {*names.values()} - {"job"}:
            return None
        known = {field: record[name] for field, name in names.items() if name in record}
        owner = cls(**known)
        texts = (owner.token, owner.host, owner.machine_id, owner.since, owner.job)
        numbers = (
            owner.pid,
            owner.expiry,
            0 if owner.process_start is None else owner.process_start,
        )
        right = all(isinstance(text, str) for text in texts) and all(
            isinstance(number, int | float) for number in numbers
        )
        # a token is a file's name, and must lead nowhere else
        return owner if right and _TOKEN.fullmatch(owner.token) else None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {_RECORDED_AS.get(field, field): value for field, value in asdict(self).items()}

    def is_local(self) -> bool:
        """Whether its process can be looked up from here."""
        return self.machine_id == _machine_id()

    def is_dead(self) -> bool:
        """Whether the process is known to be gone; one on another machine may be, unknown to us.

        A process with the same id that started at another time is another process.
        """
        return self.is_local() and _process_start(self.pid) != self.process_start

    def __str__(self) -> str:
        who = f"process {self.pid} on {self.host}"
        return f"{self.job} ({who})" if self.job else who


@cache
def _machine_id() -> str:
    """Two containers on one machine have one name and one boot, but two process namespaces."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        processes = (_PROC / "self/ns/pid").readlink().name
    except OSError:  # no Linux
        boot, processes = f"{uuid.getnode():x}", ""
    return f"{socket.gethostname()} {boot} {processes}".strip()


def _process_start(pid: int) -> float | None:
    """When the process started; None where there is none, or only its corpse.

    From the kernel's ticks where there is /proc: psutil's time moves when the clock is set.
    """
    if (_PROC / "self/stat").exists():
        try:
            state, *fields = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            return None
        return None if state in "ZX" else float(fields[18])
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
