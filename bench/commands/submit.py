"""`bench submit`: a job array on Slurm whose jobs share an experiment's trials."""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.atomic_files import replacing
from bench.errors import BenchError
from bench.experiment.kinds_of_growth import growth_of
from bench.experiment.reports import check_writable
from bench.plan.plan import Plan
from bench.record.leases import Lease
from bench.record.store import Store
from bench.slurm.options import ArraySize, SlurmOptions
from bench.slurm.script import job_script
from bench.slurm.submit import find_sbatch, node_local, submit
from bench.states import Status

LOGS = "slurm"
"""Folder of an experiment: scripts, and what its jobs say."""


@dataclass(frozen=True)
class RunWords:
    """The `bench run` of each job, as it would be typed.

    Attributes:
        spec: the spec's path.
        overrides: settings to change.
        options: further options of `bench run`.
        jobs: how many trials it runs at a time; None: as many as it finds devices for.
    """

    spec: Path
    overrides: Sequence[str]
    results: Path
    reports: Path
    options: Sequence[str] = ()
    jobs: int | None = None

    def command(self) -> list[str]:
        """All words, for a folder from which the same relative paths lead to the same files."""
        # never the shell's `bench`, which may be another environment's on a node
        start = [sys.executable, "-m", "bench", "run", str(self.spec), *self.overrides]
        folders = ["--results", str(self.results), "--out", str(self.reports)]
        jobs = [] if self.jobs is None else ["-j", str(self.jobs)]
        return [*start, *folders, *jobs, *self.options, "--no-wait", "--requeue"]


def submit_plan(
    plan: Plan,
    words: RunWords,
    options: SlurmOptions,
    say: Callable[[str], None],
    *,
    dry_run: bool,
    retry_failed: bool = False,
) -> str:
    """Submit the jobs; what to print of it: with `dry_run` the script, and nothing happens.

    With `retry_failed` trials that have failed by now are run again: those that fail in the jobs
    are not, however often a job goes back into the queue.

    Raises:
        BenchError: sbatch is not there or refuses, or a folder cannot be written.
    """
    store = Store(words.results)
    if not dry_run:
        find_sbatch()
    array = _needed_jobs(
        plan, store, options.array, say, at_a_time=words.jobs or 1, retry_failed=retry_failed
    )
    if array is None:
        return f"Nothing to submit: no trial of {plan.experiment!r} is left to be run."
    devices = max(trial.settings.train.devices for trial in plan.trials)
    if 0 < options.gpus < devices:
        raise BenchError(f"--gpus {options.gpus}: train.devices is {devices}: give as many GPUs")
    for folder in (words.results, words.reports):
        if (place := node_local(folder)) is not None:
            say(
                f"Warning: {folder} is in {place}, which is on most clusters another folder on "
                "each node: choose one that all nodes share."
            )
    logs = store.experiment(plan.experiment).resolve() / LOGS
    needed = replace(options, array=array)
    text = job_script(plan.experiment, needed, words.command(), folder=Path.cwd(), logs=logs)
    if dry_run:
        return text.rstrip("\n")
    check_writable(logs, "--results")
    check_writable(words.reports / plan.experiment)
    if retry_failed:
        _reopen_failed(plan, store)
    job = _submit(text, logs)
    return (
        f"Submitted batch job {job} ({_count(array.jobs, 'job')}), which `scancel {job}` stops.\n"
        f"`bench status {plan.experiment}` shows who runs what; logs: {logs}/{job}_*.log"
    )


def _needed_jobs(
    plan: Plan,
    store: Store,
    wanted: ArraySize,
    say: Callable[[str], None],
    *,
    at_a_time: int,
    retry_failed: bool,
) -> ArraySize | None:
    """No more jobs than trials; None: there are none left."""
    states = [store.trial(plan.experiment, trial.id).status().status for trial in plan.trials]
    failed = states.count(Status.FAILED)
    left = len(states) - states.count(Status.DONE) - (0 if retry_failed else failed)
    if growth_of(plan) is not None:  # how many there will be is not known
        return wanted
    if failed and not left:
        them = "it" if failed == 1 else "them"
        say(f"{_count(failed, 'trial')} failed before: --retry-failed runs {them} again.")
    if not left:
        return None
    jobs = min(wanted.jobs, math.ceil(left / at_a_time))
    if jobs < wanted.jobs:
        verb = "is" if left == 1 else "are"
        trials, fewer = _count(left, "trial"), _count(jobs, "job")
        say(f"{trials} {verb} left to be run: {fewer}, not {wanted.jobs}.")
    return replace(wanted, jobs=jobs)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _reopen_failed(plan: Plan, store: Store) -> None:
    """Let the trials that have failed go on, unless somebody runs them."""
    with store.leases(plan.experiment) as leases:
        for files in (store.trial(plan.experiment, trial.id) for trial in plan.trials):
            status = files.status()
            if status.status is not Status.FAILED:
                continue
            lease = leases.claim(files.id)
            if isinstance(lease, Lease):
                before = f"failed before ({status.failure}: {status.message})"
                files.write_status(
                    replace(status, status=Status.INTERRUPTED, failure=None, message=before)
                )
                leases.release(lease)


def _submit(text: str, logs: Path) -> str:
    """Submit a script, which is kept with the logs under its job's id."""
    with tempfile.TemporaryDirectory(dir=logs, prefix=".submitting-") as folder:
        script = Path(folder) / "job.sh"
        script.write_text(text, encoding="utf-8")
        job = submit(script)
    with replacing(logs / f"{job}.sh") as kept:
        kept.write_text(text, encoding="utf-8")
    return job
