"""`bench run`, `plan` and `data`: what a spec asks for, and training it."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import arguments as cli
from bench.cli.output import print_note, print_table
from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.interruption import ending_at_once

if TYPE_CHECKING:
    from bench.plan.plan import Plan


def run(
    spec: cli.Spec,
    overrides: cli.Overrides = None,
    jobs: cli.Jobs = None,
    device: cli.OtherDevice = None,
    retry_failed: Annotated[bool, typer.Option(help="Run failed trials again.")] = False,
    force: Annotated[bool, typer.Option(help="Delete the results of these trials first.")] = False,
    fail_fast: Annotated[bool, typer.Option(help="Stop at the first failure.")] = False,
    timeout: Annotated[
        str,
        typer.Option(
            help="A trial fails that is not done this long after its start in this run: seconds, "
            "or 90m, 2h. 0: no limit."
        ),
    ] = "0",
    hung_after: cli.HungAfter = "30m",
    budget: Annotated[
        str | None,
        typer.Option(
            help="Spend this time, from now on, and begin only repeats (a seed in every arm) that "
            "will be over in it: seconds, or 30m, 8h, 2d."
        ),
    ] = None,
    retries: cli.Retries = 2,
    trust_code: cli.TrustCode = False,
    keep_last: cli.KeepLast = False,
    executor: cli.Executor = cli.ExecutorName.LOCAL,
    address: cli.Address = None,
    files: cli.Files = cli.FilesMode.AUTO,
    wait: Annotated[
        bool,
        typer.Option(
            help="Whether to wait for trials that others run; if not, the report is theirs."
        ),
    ] = True,
    requeue: Annotated[
        bool,
        typer.Option("--requeue", help="In a Slurm job: back into the queue where it is stopped."),
    ] = False,
    reports: cli.Reports = cli.REPORTS,
    results: cli.Results = cli.RESULTS,
) -> None:
    """Train every trial that is not finished, and make the report."""
    with ending_at_once():
        from rich.console import Console

        from bench.experiment.current_run import RunOptions
        from bench.experiment.running import run_plan
        from bench.run.executor_options import ExecutorOptions
        from bench.run.limits import Limits, parse_duration

        changes = [*(overrides or ()), *([f"machine.device={device}"] if device else [])]
        limits = Limits(
            parse_duration(timeout, "--timeout"), parse_duration(hung_after, "--hung-after")
        )
        options = RunOptions(
            results,
            reports,
            jobs,
            retry_failed,
            force,
            fail_fast,
            limits,
            retries,
            keep_last,
            ExecutorOptions(executor.value, address, files.value),
            waits=wait,
            requeue=requeue,
            budget=None if budget is None else parse_duration(budget, "--budget") or 0.0,
            command=command_line(),
        )
        planned = _plan(spec, changes, results, trust_code=trust_code)
    sys.exit(run_plan(planned, options, Console(stderr=True)))


def plan(
    spec: cli.Spec,
    overrides: cli.Overrides = None,
    cost: Annotated[bool, typer.Option("--cost", help="Measure parameters and MACs.")] = False,
    memory: Annotated[
        bool,
        typer.Option(
            "--memory", help="Predict each trial's peak memory from a few steps on its data."
        ),
    ] = False,
    time: Annotated[
        bool,
        typer.Option(
            "--time", help="Predict how long it takes, from finished trials or a few steps."
        ),
    ] = False,
    jobs: cli.Jobs = None,
    device: cli.OtherDevice = None,
    as_json: cli.AsJson = False,
    trust_code: cli.TrustCode = False,
    results: cli.Results = cli.RESULTS,
) -> None:
    """Show the trials of a spec; nothing runs."""
    from rich.console import Console

    from bench.commands.plan_view import PlanQuestions, plan_view, search_times
    from bench.run.stage_bar import stage_bar
    from bench.spec.load import load_spec

    changes = [*(overrides or ()), *([f"machine.device={device}"] if device else [])]
    read = load_spec(spec, changes)
    if read.sweep.search is not None and time:
        for line in search_times(read, spec, results, jobs, print_note, trust_code=trust_code):
            print(line)
        return
    planned = _plan(spec, changes, results, trust_code=trust_code)
    with stage_bar(Console(stderr=True)):
        asked = PlanQuestions(cost, memory, time, jobs)
        view = plan_view(planned, spec, results, asked, print_note)
    if as_json:
        print(json.dumps(view.records, indent=2))
        for line in view.lines:
            print(line, file=sys.stderr)
        return
    for table in view.tables:
        print_table(table)
        print()
    for line in (*view.summary, *view.lines):
        print(line)


def data(spec: cli.Spec, overrides: cli.Overrides = None, as_json: cli.AsJson = False) -> None:
    """Show what a spec's data are like and what is suspicious.

    Of a folder of images, print the `data:` that reads it; exit code 1 where that is not decided.
    """
    from rich.console import Console

    from bench.commands.data_sets import data_sets_of, look_at, whole

    if spec.is_dir():
        from bench.commands.data_block import folder_text

        if overrides or as_json:
            raise BenchError("of a folder the `data:` section is printed: no overrides, no --json")
        text, decided = folder_text(spec)
        print(text, end="")
        raise typer.Exit(ExitCode.OK if decided else ExitCode.SOME_FAILED)
    found = look_at(data_sets_of(spec, overrides or ()), Console(stderr=True))
    if as_json:
        print(json.dumps([entry.record() for entry in found], indent=2))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=80)
    console.print(whole(found))


def command_line() -> str:
    """What was typed, for a person to type again."""
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])


def _plan(
    spec: Path, overrides: list[str] | None, results: Path, *, trust_code: bool = False
) -> Plan:
    from bench.experiment.planning import plan_of
    from bench.spec.load import load_spec

    return plan_of(load_spec(spec, overrides or ()), spec.parent, results, trust_code=trust_code)
