"""Handing a script to Slurm."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.errors import BenchError

_JOB = re.compile(r"\d+")
_KEPT = frozenset({"SLURM_CONF", "SLURM_CLUSTERS"})
"""Say which cluster; the rest of SLURM_* is about the job that `bench submit` is called in."""
_LOCAL = ("/tmp", "/var/tmp", "/dev/shm", "/local")  # noqa: S108 - to warn of
_NO_SBATCH = (
    "sbatch is not on PATH: call `bench submit` on a login node of the cluster (`module load "
    "slurm` may be needed), or print the script with --dry-run"
)


def find_sbatch() -> str:
    """Where sbatch is; BenchError where it is not."""
    found = shutil.which("sbatch")
    if found is None:
        raise BenchError(_NO_SBATCH)
    return found


def submit(script: Path) -> str:
    """Submit a script; the id of its array job.

    Raises:
        BenchError: Slurm refuses it, with what it said.
    """
    command = [find_sbatch(), "--parsable", str(script)]
    try:
        done = subprocess.run(  # noqa: S603 - what is on PATH as sbatch
            command, capture_output=True, text=True, timeout=300, env=_environment()
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{command[0]}: {error}") from error
    said = " ".join((done.stderr or done.stdout).split())
    if done.returncode:
        raise BenchError(f"sbatch refused the job ({said}): change the options, and submit again")
    job = done.stdout.strip().partition(";")[0]  # id;cluster
    if not _JOB.fullmatch(job):
        raise BenchError(f"sbatch --parsable said {done.stdout.strip()!r}, and no job's id")
    return job


def node_local(folder: Path) -> str | None:
    """The beginning of a path that is, on most clusters, another folder on each node."""
    temporary = {os.environ.get(name, "") for name in ("TMPDIR", "SLURM_TMPDIR")}
    places = {*_LOCAL, tempfile.gettempdir(), *temporary} - {""}
    found = [place for place in places if folder.resolve().is_relative_to(Path(place).resolve())]
    return max(found, key=len, default=None)


def _environment() -> dict[str, str]:
    """Without what a job, where this is called in one, would hand on to the jobs of the array."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not name.startswith(("SLURM_", "SRUN_"))
    }
