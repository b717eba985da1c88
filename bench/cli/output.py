"""What commands print, and how they end where only some of it could be read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from bench.errors import StoreError, printable
from bench.exit_codes import ExitCode

T = TypeVar("T")
R = TypeVar("R")


def for_each(items: Iterable[T], action: Callable[[T], R]) -> tuple[list[R], list[str]]:
    """What the action gives for each item, and why it gives nothing for some."""
    found, problems = [], []
    for item in items:
        try:
            found.append(action(item))
        except StoreError as error:
            problems.append(str(error))
    return found, problems


def print_note(text: str) -> None:
    """A line for a person, on standard error: standard output is for programs."""
    print(printable(text), file=sys.stderr)


def exit_on_problems(problems: Sequence[str]) -> None:
    """Say what could not be read, and exit with 1 if anything."""
    for problem in problems:
        print(f"error: {printable(problem)}", file=sys.stderr)
    if problems:
        sys.exit(ExitCode.SOME_FAILED)


def print_table(table: Any) -> None:
    """Print a rich table, or what is text already; wide where it goes to a file or a pipe."""
    if isinstance(table, str):
        print(table)
        return
    from rich.console import Console

    console = Console()
    console = console if console.is_terminal else Console(width=200)
    console.print(table, soft_wrap=False)
