"""`bench search` on the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import arguments as cli
from bench.interruption import ending_at_once

if TYPE_CHECKING:
    from bench.search.context import SearchOptions


def search(
    spec: cli.Spec,
    overrides: cli.Overrides = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Points to try in total, instead of the spec's.")
    ] = None,
    timeout: Annotated[
        str,
        typer.Option(
            help="Start no new point after this: seconds, or 90m, 2h; then choose. 0: the spec's."
        ),
    ] = "0",
    jobs: cli.Jobs = None,
    device: cli.OtherDevice = None,
    retry_failed: Annotated[
        bool, typer.Option(help="Retrain trials that failed in an earlier study.")
    ] = False,
    hung_after: cli.HungAfter = "30m",
    retries: cli.Retries = 2,
    keep_last: cli.KeepLast = False,
    executor: cli.Executor = cli.ExecutorName.LOCAL,
    address: cli.Address = None,
    files: cli.Files = cli.FilesMode.AUTO,
    reports: cli.Reports = cli.REPORTS,
    trust_code: cli.TrustCode = False,
    results: cli.Results = cli.RESULTS,
) -> None:
    """Search for the best settings and confirm them with fresh seeds.

    It ends with a report.
    """
    with ending_at_once():
        from bench.run.executor_options import ExecutorOptions
        from bench.run.limits import Limits, parse_duration
        from bench.search.context import SearchOptions

        changes = [*(overrides or ())]
        changes += [f"machine.device={device}"] if device else []
        changes += [f"search.trials={trials}"] if trials else []
        seconds = parse_duration(timeout, "--timeout")
        options = SearchOptions(
            results,
            reports,
            jobs,
            timeout=seconds,
            more=bool(trials or seconds),
            retry_failed=retry_failed,
            limits=Limits(None, parse_duration(hung_after, "--hung-after")),
            retries=retries,
            keep_last=keep_last,
            executor=ExecutorOptions(executor.value, address, files.value),
        )
    sys.exit(_search(spec, changes, options, trust_code=trust_code))


def _search(spec: Path, overrides: list[str], options: SearchOptions, *, trust_code: bool) -> int:
    with ending_at_once():
        from rich.console import Console

        from bench.commands.search import run_search
        from bench.experiment.resolving import resolver
        from bench.plan.expand import check_targets
        from bench.plan.plan import Plan
        from bench.plan.pretrained import check_weights
        from bench.search.request import read_request
        from bench.spec.load import load_spec

        request = read_request(load_spec(spec, overrides))
        samples = Plan(request.space.spec, {}, request.space.sample_trials())
        check_targets(samples)
        resolve = resolver(options.results, spec.parent, trust_code=trust_code)
        samples = resolve(samples)
        check_weights(samples)
    return run_search(request, samples, resolve, options, Console(stderr=True))
