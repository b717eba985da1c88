"""`bench submit`: the trials of a spec as a job array on Slurm."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.arguments import (
    REPORTS,
    RESULTS,
    DeviceName,
    HungAfter,
    KeepLast,
    Overrides,
    Reports,
    Results,
    Retries,
    Spec,
    TrustCode,
)

PASSED_ON = ("partition", "account", "qos", "constraint", "cpus-per-task", "mem")
"""Options that sbatch has under the same name."""


def submit(
    spec: Spec,
    array: Annotated[
        str,
        typer.Option(
            help="How many jobs, as in 20; 20%4: 4 of them at a time.", show_default=False
        ),
    ],
    overrides: Overrides = None,
    gpus: Annotated[str, typer.Option(help="GPUs of each job: 1, a100:1, or 0 for none.")] = "1",
    time: Annotated[
        str | None,
        typer.Option(
            help="Time limit of each job: 4h, or 1-12:00:00; default: the partition's. A job that "
            "meets it goes back into the queue."
        ),
    ] = None,
    stop_before: Annotated[
        str,
        typer.Option(help="How long before its time limit a job stops, to be gone on with."),
    ] = "3m",
    partition: Annotated[str | None, typer.Option(help="As of sbatch.")] = None,
    account: Annotated[str | None, typer.Option(help="As of sbatch.")] = None,
    qos: Annotated[str | None, typer.Option(help="As of sbatch.")] = None,
    constraint: Annotated[str | None, typer.Option(help="As of sbatch: a100|h100.")] = None,
    cpus_per_task: Annotated[int | None, typer.Option(min=1, help="CPU cores of each job.")] = None,
    mem: Annotated[str | None, typer.Option(help="Memory of each job, as of sbatch: 32G.")] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(help="Any other option of sbatch, as in --sbatch=--mail-type=END."),
    ] = None,
    setup: Annotated[
        list[str] | None,
        typer.Option(help="A shell line before training, as in --setup 'module load cuda'."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("-j", "--jobs", min=1, help="Trials at a time in each job.")
    ] = None,
    device: Annotated[
        DeviceName | None, typer.Option(help="Device to train on; default: cuda with --gpus.")
    ] = None,
    retry_failed: Annotated[bool, typer.Option(help="Run failed trials again.")] = False,
    timeout: Annotated[str, typer.Option(help="Of each trial, as of run.")] = "0",
    hung_after: HungAfter = "30m",
    retries: Retries = 2,
    trust_code: TrustCode = False,
    keep_last: KeepLast = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the script; submit and write nothing.")
    ] = False,
    reports: Reports = REPORTS,
    results: Results = RESULTS,
) -> None:
    """Submit a Slurm job array that shares the trials.

    Its jobs train what is left.
    """
    from bench.commands.submit import RunWords, submit_plan
    from bench.experiment.planning import plan_of
    from bench.run.limits import parse_duration
    from bench.slurm.options import SlurmOptions, parse_array, parse_gpus, parse_time
    from bench.spec.load import load_spec

    values = (partition, account, qos, constraint, cpus_per_task, mem)
    named = zip(PASSED_ON, values, strict=True)
    count, kind = parse_gpus(gpus)
    options = SlurmOptions(
        parse_array(array),
        count,
        kind,
        None if time is None else parse_time(time),
        parse_time(stop_before, "--stop-before"),
        tuple((name, str(value)) for name, value in named if value is not None),
        tuple(sbatch or ()),
        tuple(setup or ()),
    )
    for text, option in ((timeout, "--timeout"), (hung_after, "--hung-after")):
        parse_duration(text, option)  # now, and not in every job
    chosen = device or (DeviceName.CUDA if count else DeviceName.CPU)
    words = {
        "--device": str(chosen),
        "--timeout": None if timeout == "0" else timeout,
        "--hung-after": None if hung_after == "30m" else hung_after,
        "--retries": None if retries == 2 else str(retries),
    }
    flags = {"--trust-code": trust_code, "--keep-last": keep_last}
    chosen_words = {key: value for key, value in words.items() if value is not None}
    run_options = [word for pair in chosen_words.items() for word in pair]
    run_options += [flag for flag, wanted in flags.items() if wanted]
    changes = [*(overrides or ()), f"machine.device={chosen}"]
    plan = plan_of(load_spec(spec, changes), spec.parent, results, trust_code=trust_code)
    print(
        submit_plan(
            plan,
            RunWords(spec, overrides or (), results, reports, run_options, jobs),
            options,
            lambda line: print(line, file=sys.stderr),
            dry_run=dry_run,
            retry_failed=retry_failed,
        )
    )
