"""The command line: its commands in the order of its help."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bench.cli import results, running, search, start, submit, trained
from bench.interruption import interruptible
from bench.version import __version__


class RaisedError(Exception):
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
            raise RaisedError(error) from error


app = typer.Typer(
    cls=_Commands,
    help="Ablation benchmarks for image models: one YAML file in, a report with statistics out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    start.init,
    running.data,
    running.plan,
    running.run,
    search.search,
    submit.submit,
    results.status,
    results.report,
    results.import_,
    trained.evaluate,
    trained.predict,
    results.export,
    results.publish,
    results.clean,
    results.sync,
    results.ui,
    start.doctor,
    start.schema,
):
    app.command(command.__name__.rstrip("_"))(command)


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
