"""The script of a job array. Made of text alone: nothing is looked up, nothing is written."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.errors import BenchError
from bench.slurm.options import SlurmOptions, slurm_time


def job_script(
    name: str, options: SlurmOptions, command: Sequence[str], *, folder: Path, logs: Path
) -> str:
    """The script that every job of the array runs.

    Args:
        name: the job's.
        options: what each job asks for.
        command: what trains; relative paths in it are relative to `folder`.
        folder: where the script runs.
        logs: takes `<array job>_<number>.log` of each job; is there before the first job starts.
    """
    return "\n".join([
        "#!/bin/bash",
        "# Written by `bench submit`: each job takes trials that nobody has, until none is left.",
        *(f"#SBATCH {option}" for option in _options(name, options, folder, logs)),
        "",
        f"if [ ! -d {shlex.quote(str(logs))} ]; then",
        f'  echo "error: $(hostname) does not see {_in_echo(logs)}: --results must be a folder '
        'that all nodes share" >&2',
        "  exit 2",
        "fi",
        *options.setup,
        "# by srun, as Slurm tells the steps of a job of its time limit and of preemption, and not",
        "# its script; srun does not know --cpus-per-task of sbatch",
        " ".join([*_srun(options), *map(shlex.quote, command)]),
        "",
    ])  # fmt: skip


def _options(name: str, options: SlurmOptions, folder: Path, logs: Path) -> Iterator[str]:
    yield _option("job-name", name)
    yield _option("array", str(options.array))
    yield "--nodes=1"
    yield "--ntasks=1"
    if options.gpus:
        kind = "" if options.gpu_type is None else f"{options.gpu_type}:"
        yield _option("gres", f"gpu:{kind}{options.gpus}")
    if options.seconds is not None:
        yield _option("time", slurm_time(options.seconds))
    yield from (_option(key, value) for key, value in options.named)
    yield _option("signal", f"TERM@{round(options.stop_before)}")
    yield "--requeue"
    yield "--open-mode=append"  # a job that was put back into the queue goes on in its log
    yield _option("chdir", str(folder))
    yield _option("output", str(logs).replace("%", "%%") + "/%A_%a.log")
    yield from (_option(*text.removeprefix("--").partition("=")[::2]) for text in options.extra)


def _option(name: str, value: str = "") -> str:
    """`--name=value` as sbatch reads it in a script: quoted where there are spaces."""
    if not value:
        return f"--{name}"
    if '"' in value or "\n" in value or "\\" in value:
        raise BenchError(f"--{name}={value}: sbatch takes no quotes, backslashes or line ends here")
    quoted = f'"{value}"' if set(value) & set(" '#;&()") else value
    return f"--{name}={quoted}"


def _srun(options: SlurmOptions) -> list[str]:
    cpus = [] if options.cpus is None else [f"--cpus-per-task={shlex.quote(options.cpus)}"]
    return ["srun", "--ntasks=1", *cpus]


def _in_echo(path: Path) -> str:
    """A path between double quotes of the shell."""
    return "".join(f"\\{char}" if char in '\\"$`' else char for char in str(path))
