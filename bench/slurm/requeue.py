"""In a job: putting it back into the queue where it is stopped before its work is done."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

from bench.slurm_job import current_job

_START, _END = "SLURM_JOB_START_TIME", "SLURM_JOB_END_TIME"
_MOST_IN_VAIN = 0.5
"""Of a job's time: a job that finished no epoch in so much of it would not in another one."""
AGAIN = "`bench submit` again goes on from here"


def put_back(*, progressed: bool, say: Callable[[str], None]) -> None:
    """Put this job back into the queue: it was told to stop with trials left.

    Not where it had most of its time and no epoch of any trial was done in it: the next job would
    have no more.

    Args:
        progressed: whether an epoch or a trial ended in this job.
        say: takes a line for a person.
    """
    job = current_job()
    if job is None:
        say("Not put back into the queue: this is no Slurm job.")
        return
    if not progressed and _time_is_up():
        say(
            f"Job {job} is not put back into the queue: no epoch of any trial was "
            f"finished in it. A longer --time helps; {AGAIN}."
        )
        return
    say(f"Job {job} goes back into the queue.")  # first: it may end this process at once
    if (error := _requeue(job)) is not None:
        say(f"Job {job} cannot be put back into the queue ({error}): {AGAIN}.")


def _time_is_up() -> bool:
    """Whether it had most of its time: preemption comes at any moment, a time limit at the end."""
    begin, end = (os.environ.get(name, "") for name in (_START, _END))
    if not (begin.isdecimal() and end.isdecimal()):  # before Slurm 22.05
        return False
    return time.time() - int(begin) > _MOST_IN_VAIN * (int(end) - int(begin))


def _requeue(job: str) -> str | None:
    """Ask Slurm, which may end this process before it answers; why not, else None."""
    try:
        done = subprocess.run(  # noqa: S603 - Slurm's own, on a node of its own
            ["scontrol", "requeue", job],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else " ".join((done.stderr or done.stdout).split())
