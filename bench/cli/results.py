"""`bench status`, `report`, `import`, `export`, `clean`, `sync` and `ui`: what is recorded."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.arguments import REPORTS, RESULTS, AsJson, Results
from bench.cli.output import exit_on_problems, for_each, print_note, print_table
from bench.errors import BenchError, printable
from bench.interruption import interruptible

if TYPE_CHECKING:
    from bench.record.store import Store


def status(
    experiment: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    as_json: AsJson = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Follow the experiment until every trial has ended, from any machine that sees "
            "the folder.",
        ),
    ] = False,
    results: Results = RESULTS,
) -> None:
    """Show how far the trials are."""
    from bench.commands.inspect import status_rows, status_table
    from bench.commands.look_lines import status_look_lines
    from bench.record.store import Store

    store = Store(results)
    if watch:
        _watch(store, experiment, as_json=as_json)
        return
    names = [store.existing(experiment)] if experiment else store.experiments()
    found, problems = for_each(names, lambda name: status_rows(store, name))
    rows = [row for rows in found for row in rows]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print_table(status_table(rows))
    elif not problems:
        print(f"No experiments in {results}.")
    looks, untold = for_each(names if rows else [], lambda name: status_look_lines(store, name))
    for line in (line for lines in looks for line in lines):
        print(printable(line), file=sys.stderr if as_json else sys.stdout)
    exit_on_problems(problems or untold)


def _watch(store: Store, experiment: str | None, *, as_json: bool) -> None:
    from rich.console import Console

    from bench.commands.watch import watch, watched_experiment

    if as_json:
        raise BenchError("--watch shows what happens: without --json")
    with interruptible():
        watch(store, watched_experiment(store, experiment), Console())


def report(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Names or spec files; default: all.")
    ] = None,
    together: Annotated[
        str | None, typer.Option(help="Make one report on all of them, under this name.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of reports.")] = REPORTS,
    results: Results = RESULTS,
) -> None:
    """Make the report of an experiment from its records."""
    from rich.console import Console

    from bench.commands.reporting import named, report_together
    from bench.experiment.reports import make_report
    from bench.record.store import Store
    from bench.run.stage_bar import stage_bar

    store = Store(results)
    if together is not None:
        print(report_together(store, experiments or [], together, out))
        return
    wanted = experiments or store.experiments()
    if not wanted:
        raise BenchError(f"no experiments in {store.root}: `bench run` makes one")
    chosen = [named(store, text) for text in wanted]
    with stage_bar(Console(stderr=True)):
        made, problems = for_each(chosen, lambda one: make_report(store, one[0], out, one[1]))
    for page in made:
        print(page)
    exit_on_problems(problems)


def import_(
    file: Annotated[
        Path, typer.Argument(help="A CSV file with one line per epoch.", show_default=False)
    ],
    experiment: Annotated[str, typer.Option(help="The experiment to put the histories into.")],
    source: Annotated[str, typer.Option(help="Where they were logged, in a few words.")],
    better: Annotated[
        list[str] | None,
        typer.Option(help="METRIC=max or METRIC=min, for a metric that bench does not know."),
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(help="The metric whose best epoch counts; default: the plan's, or val/dice."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace records that differ.")] = False,
    first_epoch: Annotated[
        int, typer.Option(min=0, help="The number of the file's first epoch: 0, as in Keras' logs.")
    ] = 1,
    results: Results = RESULTS,
) -> None:
    """Add trials that were logged elsewhere to an experiment.

    Columns: epoch, metrics as in history.csv (train/loss, val/loss, val/dice, lr, …), perhaps seed;
    every other column is an axis, and its cells are labels.
    """
    from bench.importing.import_log import ImportRequest, import_log
    from bench.record.store import Store

    request = ImportRequest(experiment, source, tuple(better or ()), select, force, first_epoch)
    for line in import_log(Store(results), file, request):
        print(line)


def export(
    experiment: str,
    form: Annotated[str, typer.Option("--format", help="csv or parquet.")] = "csv",
    out: Annotated[Path | None, typer.Option(help="Folder; default: reports/<experiment>.")] = None,
    results: Results = RESULTS,
) -> None:
    """Write all runs and histories of an experiment as tables."""
    from bench.commands.reporting import export as export_tables
    from bench.record.store import Store

    folder = out or REPORTS / experiment
    for path in export_tables(Store(results), experiment, folder, form, print_note):
        print(path)


def publish(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Names of experiments; default: all.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the records.")] = Path("published"),
    results: Results = RESULTS,
) -> None:
    """Write the records that others need to check a report.

    Without checkpoints, pictures, host names and absolute paths.
    """
    from bench.commands.publish import publish as publish_records
    from bench.commands.publish import published_lines
    from bench.record.store import Store

    for line in published_lines(publish_records(Store(results), experiments or [], out)):
        print(printable(line))


def clean(
    what: Annotated[
        list[str] | None, typer.Argument(help="Experiments and trials; default: all.")
    ] = None,
    keep: Annotated[
        str,
        typer.Option(help="best: delete the states to resume from; none: also the best weights."),
    ] = "best",
    failed: Annotated[
        bool, typer.Option("--failed", help="Failed trials' checkpoints, too.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, only count.")] = False,
    results: Results = RESULTS,
) -> None:
    """Delete checkpoints of finished trials; all else stays."""
    from bench.commands.clean import clean_lines, keep_of
    from bench.record.clean import CleanOptions
    from bench.record.clean import clean as clean_store
    from bench.record.store import Store

    options = CleanOptions(keep_of(keep), failed, dry_run)
    for line in clean_lines(clean_store(Store(results), what or (), options), dry_run=dry_run):
        print(line)


def sync(
    experiment: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    results: Results = RESULTS,
) -> None:
    """Bring MLflow up to date with the records."""
    from bench.experiment.mirroring import sync_confirmed
    from bench.record.store import Store

    store = Store(results)
    counts = sync_confirmed(store, store.existing(experiment) if experiment else None)
    print(f"{counts.trials} trials, {counts.pushed} of them were not up to date in MLflow.")
    exit_on_problems(counts.problems)


def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
    results: Results = RESULTS,
) -> None:
    """Open MLflow's pages on these results."""
    from bench.record.store import Store
    from bench.record.ui import served_uri, ui_command, ui_environment

    store = Store(results)
    command = ui_command(store, port, served_uri(store))
    print(f"http://127.0.0.1:{port}", flush=True)
    os.execve(command[0], command, ui_environment())  # noqa: S606 - our own command line
