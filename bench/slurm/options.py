"""What a job array asks Slurm for, as it was written on the command line and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.durations import SPELLINGS, format_duration, seconds_of
from bench.errors import BenchError

_ARRAY = re.compile(r"([1-9]\d*)(?:%([1-9]\d*))?")
_GPUS = re.compile(r"(?:([A-Za-z0-9_.-]+):)?(\d+)")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")
_OPTION = re.compile(r"--[a-z][a-z0-9-]*(?:=.*)?")
_LEAST_STOP = 90.0
"""Seconds: a run waits for its workers for a minute, and gives MLflow and leases what they lack."""
OURS = {
    "array": "--array",
    "chdir": "the folder that `bench submit` is called in",
    "error": "results/EXPERIMENT/slurm",
    "nodes": "1: a trial is of one node",
    "no-requeue": "--requeue, without which a job would not go on",
    "ntasks": "1: a job is one `bench run`",
    "open-mode": "append",
    "output": "results/EXPERIMENT/slurm",
    "requeue": "set already",
    "signal": "--stop-before",
    "wrap": "the script that --dry-run prints",
}
"""Options of sbatch that the script sets itself, and what to use instead."""


@dataclass(frozen=True)
class ArraySize:
    """`20`, or `20%4`: so many jobs, no more than 4 of them at a time."""

    jobs: int
    at_once: int | None = None

    def __str__(self) -> str:
        return f"0-{self.jobs - 1}" + ("" if self.at_once is None else f"%{self.at_once}")


@dataclass(frozen=True)
class SlurmOptions:
    """What each job of an array asks for.

    Attributes:
        array: how many jobs there are.
        gpus: of each; 0: none.
        gpu_type: as the cluster names it (`a100`).
        seconds: the time limit; None: the partition's.
        stop_before: seconds before the time limit at which a job is told to stop.
        named: further options of sbatch by name, without the dashes: `partition`, `mem`, …
        extra: the same as they are written: `--mail-type=END`.
        setup: shell lines before training: `module load cuda`.
    """

    array: ArraySize
    gpus: int = 1
    gpu_type: str | None = None
    seconds: float | None = None
    stop_before: float = 180.0
    named: tuple[tuple[str, str], ...] = ()
    extra: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what would fail on the cluster, hours later.

        Raises:
            BenchError: names the option.
        """
        for name, value in self.named:
            if not value.strip() or not value.isprintable():
                raise BenchError(f"--{name} {value!r}: must be one line of text")
        for text in self.extra:
            _check_extra(text)
        for line in self.setup:
            if not line.isprintable():
                raise BenchError(f"--setup {line!r}: must be one line; give the option repeatedly")
        if self.seconds is not None and self.seconds < 2 * self.stop_before:
            raise BenchError(
                f"--time: must be twice --stop-before ({format_duration(self.stop_before)}) at "
                "least, or jobs stop before they have trained anything"
            )
        if self.stop_before < _LEAST_STOP:
            raise BenchError(
                f"--stop-before {format_duration(self.stop_before)}: must be "
                f"{format_duration(_LEAST_STOP)} at least, which ending a run may take"
            )

    @property
    def cpus(self) -> str | None:
        """CPU cores of each job, where they are asked for."""
        return dict(self.named).get("cpus-per-task")


def parse_array(text: str) -> ArraySize:
    """Raises BenchError where it is neither `20` nor `20%4`."""
    found = _ARRAY.fullmatch(text)
    if found is None:
        raise BenchError(f"--array {text}: write how many jobs, as in 20, or 20%4: 4 at a time")
    jobs, at_once = found.groups()
    return ArraySize(int(jobs), None if at_once is None else int(at_once))


def parse_gpus(text: str) -> tuple[int, str | None]:
    """How many, and of which type: of `2`, or `a100:2`."""
    found = _GPUS.fullmatch(text)
    if found is None:
        raise BenchError(f"--gpus {text}: write how many per job, as in 1, a100:1, or 0 for none")
    return int(found[2]), found[1]


def parse_time(text: str, option: str = "--time") -> float:
    """Seconds of `4h`, `1h30m`, or as Slurm spells times: `04:00:00`, `1-12:00:00`."""
    seconds = seconds_of(text)
    if seconds is None and (found := _CLOCK.fullmatch(text)):
        days, *clock = found.groups()
        # Slurm: minutes:seconds, but days-hours:minutes and hours:minutes:seconds
        units = (3600, 60, 1) if days is not None or clock[2] is not None else (60, 1, 0)
        parts = zip(clock, units, strict=True)
        seconds = 86400.0 * int(days or 0) + sum(int(n or 0) * unit for n, unit in parts)
    if not seconds:
        raise BenchError(f"{option} {text}: write {SPELLINGS}, or 1-12:00:00 as Slurm does")
    return seconds


def slurm_time(seconds: float) -> str:
    """`1-12:00:00` for 129600."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}-" if days else "") + f"{hours:02}:{minutes:02}:{rest:02}"


def _check_extra(text: str) -> None:
    if not text.isprintable() or not _OPTION.fullmatch(text):
        raise BenchError(f"--sbatch {text!r}: write an option of sbatch, as in --mail-type=END")
    name = text.removeprefix("--").partition("=")[0]
    if name in OURS:
        raise BenchError(f"--sbatch {text}: is set by bench submit ({OURS[name]})")
