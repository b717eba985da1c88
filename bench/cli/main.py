"""Running the command line: what every error of a command becomes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from bench.cli.app import RaisedError, app
from bench.errors import BenchError, WorkerStartError, describe_exception, printable
from bench.exit_codes import ExitCode
from bench.interruption import OutputError, leave, unprinted
from bench.masking import masked


def main() -> NoReturn:
    """Run the command line; a foreseen error is one line and exit code 2."""
    debug = "--debug" in sys.argv
    arguments = [word for word in sys.argv[1:] if word != "--debug"]
    leave(_code(lambda: _command(arguments), debug))


def _command(arguments: list[str]) -> int:
    """Call the command that is named; an error in it comes through as it is."""
    try:
        app(arguments, prog_name="bench")
    except RaisedError as raised:
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
