"""The command line: wiring only. Whatever is slow to import is imported inside a command."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

from bench.commands.arguments import (
    REPORTS,
    RESULTS,
    AsJson,
    Device,
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
from bench.commands.exit_codes import ExitCode
from bench.commands.search_cli import search
from bench.errors import BenchError, StoreError, WorkerStartError, describe_exception, printable
from bench.interruption import OutputError, ending_at_once, interruptible, leave, unprinted
from bench.masking import masked
from bench.version import __version__

if TYPE_CHECKING:
    from bench.plan.plan import Plan

T = TypeVar("T")
R = TypeVar("R")


class _RaisedError(Exception):
    """Carries an error past typer, which has answers of its own to a few."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class _Commands(TyperGroup):
    """typer ends with `Aborted!` on EOFError, which a dead helper process raises, too."""

    def invoke(self, ctx: Any) -> Any:
        """Call the command."""
        try:
            with interruptible():
                return super().invoke(ctx)
        except (EOFError, KeyboardInterrupt, OSError) as error:
            raise _RaisedError(error) from error


app = typer.Typer(
    cls=_Commands,
    help="Ablation benchmarks for image models: one YAML file in, a report with statistics out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _plan(
    spec: Path, overrides: list[str] | None, results: Path, *, trust_code: bool = False
) -> Plan:
    from bench.experiment.planning import plan_of
    from bench.spec.load import load_spec

    return plan_of(load_spec(spec, overrides or ()), spec.parent, results, trust_code=trust_code)


@app.command()
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

        from bench.commands.current_run import RunOptions
        from bench.commands.run import run_plan
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


app.command()(search)


@app.command()
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
    from bench.commands.disk import disk_lines
    from bench.commands.inspect import memory_lines, outlook_lines, plan_rows, plan_table
    from bench.run.forecast import forecast

    planned = _plan(spec, overrides, results, trust_code=trust_code)
    footprints = forecast(planned.trials) if memory else None
    rows = plan_rows(planned, cost=cost, memory=footprints)
    peaks = [] if footprints is None else memory_lines(planned, footprints)
    lines = [
        *peaks,
        *outlook_lines(planned),
        *disk_lines(planned, results),
        *plan_lines(planned, spec),
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
        for line in lines:
            print(line, file=sys.stderr)
        return
    _print(plan_table(rows, list(planned.axes), cost=cost))
    print(f"{len(rows)} trials, {sum(t.settings.train.epochs for t in planned.trials)} epochs")
    for caution in planned.warnings:
        print(f"Warning: {caution}.")
    for line in lines:
        print(line)


@app.command()
def data(spec: Spec, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Show what the data of a spec are like, split by split, and what is suspicious in them."""
    from rich.console import Console

    from bench.commands.data_sets import data_sets_of, look_at, whole

    found = look_at(data_sets_of(spec, overrides or ()), Console(stderr=True))
    if as_json:
        print(json.dumps([entry.record() for entry in found], indent=2))
        return
    console = Console()
    console = console if console.is_terminal else Console(width=80)
    console.print(whole(found))


@app.command()
def status(
    experiment: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    as_json: AsJson = False,
    results: Results = RESULTS,
) -> None:
    """Show how far the trials are."""
    from bench.commands.inspect import status_rows, status_table
    from bench.record.store import Store

    store = Store(results)
    names = [store.existing(experiment)] if experiment else store.experiments()
    found, problems = _each(names, lambda name: status_rows(store, name))
    rows = [row for rows in found for row in rows]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        _print(status_table(rows))
    elif not problems:
        print(f"No experiments in {results}.")
    _tell(problems)


@app.command()
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
    from bench.commands.reporting import make_report, named, report_together
    from bench.record.store import Store

    store = Store(results)
    if together is not None:
        print(report_together(store, experiments or [], together, out))
        return
    wanted = experiments or store.experiments()
    if not wanted:
        raise BenchError(f"no experiments in {store.root}: `bench run` makes one")
    chosen = [named(store, text) for text in wanted]
    made, problems = _each(chosen, lambda one: make_report(store, one[0], out, one[1]))
    for page in made:
        print(page)
    _tell(problems)


@app.command("import")
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
    """Put histories logged elsewhere among the trials of an experiment.

    Columns: epoch, metrics as in history.csv (train/loss, val/loss, val/dice, lr, …), perhaps seed;
    every other column is an axis, and its cells are labels.
    """
    from bench.importing.import_log import ImportRequest, import_log
    from bench.record.store import Store

    request = ImportRequest(experiment, source, tuple(better or ()), select, force, first_epoch)
    for line in import_log(Store(results), file, request):
        print(line)


@app.command()
def evaluate(
    trial: Annotated[
        str,
        typer.Argument(help="Id, beginning of an id, or folder; with --scores also an experiment."),
    ],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="Record the scores of single images, where a finished trial lacks them.",
        ),
    ] = False,
    device: Device = DeviceName.AUTO,
    trust_code: TrustCode = False,
    results: Results = RESULTS,
) -> None:
    """Score a trial's best checkpoint."""
    if scores:
        _evaluate_scores(trial, device, trust_code=trust_code, results=results)
        return
    from bench.inference.trained import evaluate as evaluate_trial
    from bench.record.store import Store

    found = evaluate_trial(Store(results), trial, split, device, trust_code=trust_code)
    print(json.dumps(found, indent=2))


def _evaluate_scores(name: str, device: str, *, trust_code: bool, results: Path) -> None:
    from bench.inference.evaluate_scores import evaluate_scores
    from bench.record.store import Store

    failed = False
    for line, is_there in evaluate_scores(Store(results), name, device, trust_code=trust_code):
        print(printable(line), file=sys.stdout if is_there else sys.stderr, flush=True)
        failed |= not is_there
    if failed:
        raise typer.Exit(1)


@app.command()
def predict(
    trial: Annotated[str, typer.Argument(help="Id, beginning of an id, or folder.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    device: Device = DeviceName.AUTO,
    trust_code: TrustCode = False,
    results: Results = RESULTS,
) -> None:
    """Write what a trial predicts for any images: masks and overlays, or labels."""
    from bench.inference.predict import predict_files
    from bench.record.store import Store

    predicted = predict_files(Store(results), trial, images, out, device, trust_code=trust_code)
    for path in predicted.written:
        print(printable(path))
    if predicted.caution:
        print(f"Warning: {printable(predicted.caution)}.", file=sys.stderr)
    for line in predicted.failed:
        print(f"error: {printable(line)}", file=sys.stderr)
    if predicted.failed:
        sys.exit(ExitCode.SOME_FAILED if predicted.written else ExitCode.WRONG_REQUEST)


@app.command()
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
    for path in export_tables(Store(results), experiment, folder, form, _note):
        print(path)


@app.command()
def publish(
    experiments: Annotated[
        list[str] | None, typer.Argument(help="Names of experiments; default: all.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for the records.")] = Path("published"),
    results: Results = RESULTS,
) -> None:
    """Write records for others: without checkpoints, pictures, host names and absolute paths."""
    from bench.commands.publish import publish as publish_records
    from bench.commands.publish import published_lines
    from bench.record.store import Store

    for line in published_lines(publish_records(Store(results), experiments or [], out)):
        print(printable(line))


@app.command()
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
    """Delete checkpoints of finished trials; records, reports and pictures stay."""
    from bench.commands.clean import CleanOptions, clean_lines, keep_of
    from bench.commands.clean import clean as clean_store
    from bench.record.store import Store

    options = CleanOptions(keep_of(keep), failed, dry_run)
    for line in clean_lines(clean_store(Store(results), what or (), options), dry_run=dry_run):
        print(line)


@app.command()
def sync(
    experiment: Annotated[str | None, typer.Argument(help="Default: all.")] = None,
    results: Results = RESULTS,
) -> None:
    """Push to MLflow what it lacks."""
    from bench.experiment.mirroring import sync_confirmed
    from bench.record.store import Store

    store = Store(results)
    counts = sync_confirmed(store, store.existing(experiment) if experiment else None)
    print(f"{counts.trials} trials, {counts.pushed} of them were not up to date in MLflow.")
    _tell(counts.problems)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
    results: Results = RESULTS,
) -> None:
    """Open MLflow's pages on this store."""
    from bench.record.store import Store
    from bench.record.ui import served_uri, ui_command, ui_environment

    store = Store(results)
    command = ui_command(store, port, served_uri(store))
    print(f"http://127.0.0.1:{port}", flush=True)
    os.execve(command[0], command, ui_environment())  # noqa: S606 - our own command line


@app.command()
def doctor(results: Results = RESULTS) -> None:
    """Check machine, GPU, data and stores: what works, and what to do about the rest."""
    from bench.commands.inspect import doctor_table
    from bench.doctor import checks

    found = checks(results)
    _print(doctor_table(found))
    wrong = any(check.state == "problem" for check in found)
    sys.exit(ExitCode.SOME_FAILED if wrong else ExitCode.OK)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="The experiment's name.", show_default=False)],
    data: Annotated[
        str,
        typer.Option(
            help="shapes (synthetic images), pets (Oxford-IIIT Pet, downloaded), or a folder: "
            "with images/ and masks/, or with a folder per class."
        ),
    ] = "shapes",
    out: Annotated[Path, typer.Option("--out", help="Folder for the spec.")] = Path("experiments"),
) -> None:
    """Write a commented spec to begin with: NAME.yaml. A file that is there stays."""
    from bench.commands.init import init as write_spec
    from bench.commands.init import next_steps

    for line in next_steps(write_spec(name, data, out)):
        print(line)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from bench.spec.schema import json_schema

    print(json.dumps(json_schema(), indent=2))


def _each(items: Iterable[T], action: Callable[[T], R]) -> tuple[list[R], list[str]]:
    """What the action gives for each item, and why it gives nothing for some."""
    found, problems = [], []
    for item in items:
        try:
            found.append(action(item))
        except StoreError as error:
            problems.append(str(error))
    return found, problems


def _note(text: str) -> None:
    """A line for a person, on standard error: standard output is for programs."""
    print(printable(text), file=sys.stderr)


def _tell(problems: Sequence[str]) -> None:
    """Say what could not be read, and exit with 1 if anything."""
    for problem in problems:
        print(f"error: {printable(problem)}", file=sys.stderr)
    if problems:
        sys.exit(ExitCode.SOME_FAILED)


def _print(table: Any) -> None:
    if isinstance(table, str):
        print(table)
        return
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=200)
    console.print(table, soft_wrap=False)


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Read by `main` from the arguments, before anything can fail."""


def main() -> NoReturn:
    """Run the command line; a foreseen error is one line and exit code 2."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    leave(_code(lambda: _command(arguments), debug))


def _command(arguments: list[str]) -> int:
    """Call the command that is named; an error in it comes through as it is."""
    try:
        app(arguments, prog_name="bench")
    except _RaisedError as raised:
        raise raised.error from None
    return ExitCode.OK


def _code(command: Callable[[], int], debug: bool) -> int:
    """A command's exit code; what went wrong is said in one line."""
    try:
        return command()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else ExitCode.OK
    except BenchError as error:
        if debug:
            return _traced(ExitCode.WRONG_REQUEST)
        resumable = isinstance(error, WorkerStartError)
        return _failed(str(error), ExitCode.INTERRUPTED if resumable else ExitCode.WRONG_REQUEST)
    except KeyboardInterrupt:
        return _failed("interrupted", ExitCode.INTERRUPTED)
    except OutputError as error:
        return unprinted(error)
    except OSError as error:
        if debug:
            return _traced(ExitCode.WRONG_REQUEST if error.filename else ExitCode.SOME_FAILED)
        if error.filename is None:
            return _unforeseen(error)
        return _failed(f"{error.filename}: {error.strerror}", ExitCode.WRONG_REQUEST)
    except Exception as error:
        return _traced(ExitCode.SOME_FAILED) if debug else _unforeseen(error)


def _traced(code: ExitCode) -> ExitCode:
    """Print the traceback of what went wrong, without the passwords in it."""
    print(masked(traceback.format_exc()), file=sys.stderr, end="")
    return code


def _unforeseen(error: Exception) -> ExitCode:
    remedy = "this was not foreseen: --debug shows more, please report it"
    return _failed(f"{describe_exception(error)}; {remedy}", ExitCode.SOME_FAILED)


def _failed(message: str, code: ExitCode) -> ExitCode:
    print(f"error: {printable(message)}", file=sys.stderr)
    return code
