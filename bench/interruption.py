"""What signals and closed streams do to a command. Imports the standard library only."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

INTERRUPTED = 130
"""The exit code of an interrupted command; a shell's own for Ctrl-C."""
CLOSED_PIPE = 141
"""The exit code where nobody reads standard output any more: 128 + SIGPIPE, as a shell says it."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Ctrl-C, a scheduler's end of time, a terminal that was closed, Ctrl-Backslash."""

_Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def ending_at_once() -> Iterator[None]:
    """While nothing is at stake (imports, planning): any of `SIGNALS` ends the process at once.

    An exception would not do: code that is being imported may swallow it, or print a traceback.
    """
    with _handling(_end):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Any of `SIGNALS` raises KeyboardInterrupt: a run stops resumably."""
    with _handling(_interrupt):
        yield


def ignore_signals() -> None:
    """In a worker: signals to the group reach the parent too, which asks its workers to stop."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def _handling(handler: _Handler) -> Iterator[None]:
    """Signals that are ignored stay ignored: `nohup` ignores SIGHUP.

    In another thread than the main one Python lets nobody handle signals: they stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in SIGNALS}
    before = {each: old for each, old in before.items() if old is not signal.SIG_IGN}
    for each in before:
        signal.signal(each, handler)
    try:
        yield
    finally:
        for each, old in before.items():
            signal.signal(each, old)


def _end(*_: object) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


class OutputError(Exception):
    """Standard output takes nothing more; the system's error is its cause."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"standard output: cannot be written ({cause.strerror})")
        self.closed_pipe = cause.errno == errno.EPIPE


class _Output(io.TextIOWrapper):
    """Standard output, whose errors are distinguished from those of other files."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputError(error) from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputError(error) from error


class _Messages(io.TextIOWrapper):
    """Standard error: a terminal that is gone or a full disk is no reason to stop training."""

    def write(self, text: str, /) -> int:
        with suppress(OSError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def set_up_streams() -> None:
    """Let standard output say when it fails and standard error never fail; open closed ones.

    Else the next file that is opened takes the number of a stream that was closed (`>&-`), and what
    is printed goes into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # takes the lowest number that is free: this one; workers inherit it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    sys.stdout = _instead_of(sys.stdout, _Output)
    sys.stderr = _instead_of(sys.stderr, _Messages)


def _instead_of(stream: TextIO, kind: type[io.TextIOWrapper]) -> TextIO:
    """The same stream; names of files that are no text are printed with backslashes."""
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, lines, through = stream.encoding, stream.line_buffering, stream.write_through
    return kind(stream.detach(), encoding, "backslashreplace", None, lines, through)


def leave(code: int) -> NoReturn:
    """Exit with `code`, having written what was printed."""
    try:
        sys.stdout.flush()
    except OutputError as error:
        code = unprinted(error)
    except ValueError:
        pass  # it is closed
    sys.exit(code)


def unprinted(error: OutputError) -> int:
    """The exit code where standard output takes nothing more; says why, but for a closed pipe."""
    with suppress(OSError, ValueError):  # what it still holds would be written at Python's end
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    if error.closed_pipe:
        return CLOSED_PIPE
    print(f"error: {error}", file=sys.stderr)
    return 1
