"""`bench run`, `plan` and `data`: what a spec asks for, and training it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.arguments import (
    REPORTS,
    RESULTS,
    AsJson,
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
from bench.cli.output import print_table
from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.interruption import ending_at_once

if TYPE_CHECKING:
    from bench.plan.plan import Plan


def run(
    spec: Spec,
    overrides: Overrides = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "-j",
            "--jobs",
            min=1,
            help="Trials at a time; default: one per GPU, or one per CPU core. With more than "
            "there are GPUs, several share each.",
        ),
    ] = None,
    device: Annotated[DeviceName | None, typer.Option(help="Device to train on.")] = None,
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
    hung_after: HungAfter = "30m",
    retries: Retries = 2,
    trust_code: TrustCode = False,
    keep_last: KeepLast = False,
    reports: Reports = REPORTS,
    results: Results = RESULTS,
) -> None:
    """Train every trial that is not finished, and make the report."""
    with ending_at_once():
        from rich.console import Console

        from bench.experiment.current_run import RunOptions
        from bench.experiment.running import run_plan
        from bench.run.limits import Limits, parse_duration

        changes = [*(overrides or ()), *([f"machine.device={device}"] if device else [])]
        limits = Limits(
            parse_duration(timeout, "--timeout"), parse_duration(hung_after, "--hung-after")
        )
        options = RunOptions(
            results, reports, jobs, retry_failed, force, fail_fast, limits, retries, keep_last
        )
        planned = _plan(spec, changes, results, trust_code=trust_code)
    sys.exit(run_plan(planned, options, Console(stderr=True)))


def plan(
    spec: Spec,
    overrides: Overrides = None,
    cost: Annotated[bool, typer.Option("--cost", help="Measure parameters and MACs.")] = False,
    memory: Annotated[
        bool,
        typer.Option(
            "--memory", help="Predict each trial's peak memory from a few steps on its data."
        ),
    ] = False,
    as_json: AsJson = False,
    trust_code: TrustCode = False,
    results: Results = RESULTS,
) -> None:
    """Show the trials of a spec; nothing runs."""
    from bench.commands.data_sets import plan_lines
    from bench.commands.design_table import design_lines, design_table
    from bench.commands.disk import disk_lines
    from bench.commands.inspect import (
        count_words,
        memory_lines,
        outlook_lines,
        plan_rows,
        plan_table,
    )
    from bench.commands.look_lines import plan_look_lines, with_further
    from bench.run.forecast import forecast

    planned = _plan(spec, overrides, results, trust_code=trust_code)
    footprints = forecast(planned.trials) if memory else None
    rows = plan_rows(planned, cost=cost, memory=footprints)
    peaks = [] if footprints is None else memory_lines(planned, footprints)
    lines = [
        *plan_look_lines(planned),
        *peaks,
        *design_lines(planned),
        *outlook_lines(planned),
        *disk_lines(planned, results),
        *plan_lines(planned, spec),
    ]
    if as_json:
        print(json.dumps(with_further(rows, planned), indent=2))
        for line in lines:
            print(line, file=sys.stderr)
        return
    if (ticks := design_table(planned)) is not None:
        print_table(ticks)
        print()
    print_table(plan_table(rows, list(planned.axes), cost=cost))
    epochs = sum(trial.settings.train.epochs for trial in planned.trials)
    print(f"{count_words(planned)}, {epochs} epochs")
    for caution in planned.warnings:
        print(f"Warning: {caution}.")
    for line in lines:
        print(line)


def data(spec: Spec, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Show what the data of a spec are like, split by split, and what is suspicious in them.

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


def _plan(
    spec: Path, overrides: list[str] | None, results: Path, *, trust_code: bool = False
) -> Plan:
    from bench.experiment.planning import plan_of
    from bench.spec.load import load_spec

    return plan_of(load_spec(spec, overrides or ()), spec.parent, results, trust_code=trust_code)
