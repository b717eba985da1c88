"""Processes of our own: how they are started, and how one is asked for an answer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import Pipe, forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from bench.errors import BenchError, WorkerStartError, describe_exception
from bench.interruption import SIGNALS, ignore_signals

START_ATTEMPTS = 3
KILL_SECONDS = 5.0
"""A killed process is waited for so long: one that waits for a dead disk ends later, or never."""


def worker_context() -> BaseContext:
    """The way to start workers: a fork server where there is one, else fresh processes.

    The server imports what every trial needs and runs no operator: a fork after torch's threads
    have started can hang. CUDA stays untouched in it for the same reason.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    # threads that wait busily starve each other on a shared machine: up to 4 times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.run.preload"])
    return context


def start_process(target: Callable[..., None], args: tuple[Any, ...], name: str) -> BaseProcess:
    """Start a process of `worker_context`, and the fork server anew where somebody has killed it.

    It has the environment of this process as it is now, not as it was when the server began.

    Raises:
        WorkerStartError: neither works.
    """
    context = worker_context()
    for attempt in range(START_ATTEMPTS):
        process: BaseProcess = context.Process(  # type: ignore[attr-defined]  # typeshed's base context lacks it
            target=_run_in, args=(dict(os.environ), target, args), name=name
        )
        try:
            _start_server()
            process.start()  # waits for what the server imports
        except (EOFError, OSError) as error:  # the server died between two processes
            reason = getattr(error, "strerror", None) or "the process that starts them was killed"
            time.sleep(0.1 * attempt)
        else:
            return process
    raise WorkerStartError(
        f"no worker process can be started ({reason}): free memory, or run fewer trials at a time "
        "(-j); the same command goes on from here"
    )


def _run_in(
    environment: Mapping[str, str], target: Callable[..., None], args: tuple[Any, ...]
) -> None:
    """Run `target` in this environment."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    target(*args)


def _start_server() -> None:
    """Start the fork server, unless it runs, with signals blocked until it ignores them.

    The tracker of multiprocessing first: starting it takes some of the signals off again.
    """
    if worker_context().get_start_method() != "forkserver":
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def asked_process(
    target: Callable[..., None], args: tuple[Any, ...], name: str, patience: float = 0.0
) -> Iterator[Connection]:
    """Run `target(*args, connection)` in a process of its own, which has nothing of ours.

    Gives the connection that it answers by (`send_answer`); reading there raises EOFError where the
    process was killed. When the block is left, the process is ended, after so many
    seconds of `patience`.
    """
    ours, theirs = Pipe()
    process = start_process(target, (*args, theirs), name)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(patience)
        process.kill()
        process.join(KILL_SECONDS)


def send_answer(
    connection: Connection,
    work: Callable[[], object],
    error_type: Callable[[str], BenchError],
    what: str,
) -> None:
    """Send what `work` gives, or why it failed; for the target of `asked_process`.

    Args:
        error_type: makes what is sent of any error; its own must survive pickling.
        what: is being done, for errors that say nothing of it themselves.
    """
    ignore_signals()
    try:
        connection.send(work())
    except BrokenPipeError:
        return  # the parent was interrupted
    except BenchError as error:
        connection.send(error_type(str(error)))
    except Exception as error:  # a part of the user's own may raise anything
        connection.send(error_type(f"{what}: {describe_exception(error)}"))
