"""Ends a test run whose worker process died unnoticed.

pytest-xdist learns of a worker's death from its closed pipes. Processes that the worker forked hold
them open, and the run would wait for as long as these live: for ever, for a fork server's children.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import psutil
import pytest

_POLL_SECONDS = 0.5


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "seconds that pytest-xdist has for noticing by itself that a worker died"
    parser.addini("dead_worker_grace", about, default="20")


@pytest.hookimpl
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    runs_workers = not hasattr(config, "workerinput") and config.getoption("dist", "no") != "no"
    if runs_workers:
        grace = float(config.getini("dead_worker_grace"))
        threading.Thread(target=_watch, args=(grace,), daemon=True).start()


def _watch(grace: float) -> None:
    """A dead child stays a zombie until pytest-xdist collects it; none may stay one for long."""
    dead_since: dict[int, float] = {}
    while True:
        time.sleep(_POLL_SECONDS)
        children = psutil.Process().children()
        zombies = {child.pid for child in children if _is_zombie(child)}
        dead_since = {pid: dead_since.get(pid, time.monotonic()) for pid in zombies}
        if any(time.monotonic() - since > grace for since in dead_since.values()):
            _end("a test worker died, and processes that it left behind hide it from pytest-xdist")


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _end(why: str) -> None:
    print(f"\n\nerror: {why}: the run ends here", file=sys.__stderr__, flush=True)
    for child in psutil.Process().children(recursive=True):
        child.send_signal(signal.SIGKILL)
    os._exit(pytest.ExitCode.INTERNAL_ERROR)
