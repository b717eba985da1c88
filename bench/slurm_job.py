"""Which job of Slurm this process is of."""

from __future__ import annotations

import os


def current_job() -> str | None:
    """The id of the job that this process is of: `1234_5` of an array; None: of none."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    if array and task:
        # the last job of an array has the array's own id besides: requeued, all of them would be
        return f"{array}_{task}"
    return os.environ.get("SLURM_JOB_ID") or None
