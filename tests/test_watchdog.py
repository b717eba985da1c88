"""A run of tests whose worker dies ends, with an error, in bounded time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

DIES = """
    import os, time

    def test_that_aborts():
        {leaving}os.fork() or (time.sleep(600), os._exit(0))
        os.abort()

    def test_that_passes():
        pass
"""
HANGS = """
    import time

    def test_that_hangs():
        time.sleep(600)
"""


def run(folder: Path, tests: str) -> tuple[int, str, float]:
    """Exit code, output and seconds of a run of these tests with the project's own options."""
    project = Path(__file__).parents[1]
    (folder / "test_it.py").write_text(textwrap.dedent(tests))
    options = [
        "-n",
        "2",
        "-p",
        "tests.watchdog",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
    ]
    options += ["-c", str(project / "pyproject.toml"), "--max-worker-restart", "0"]
    options += ["-o", "dead_worker_grace=1", "-o", "timeout=5", "-o", "tmp_path_retention_count=1"]
    begun, log = time.monotonic(), folder / "log.txt"
    with log.open("w") as stream:  # a pipe would be held open by what a dead worker leaves behind
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, str(folder / "test_it.py")],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        code = process.wait(timeout=120)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what the worker forked
    return code, log.read_text(), time.monotonic() - begun


def test_a_dead_worker_that_left_a_process_behind(tmp_path: Path) -> None:
    code, output, seconds = run(tmp_path, DIES.format(leaving=""))
    assert code == pytest.ExitCode.INTERNAL_ERROR
    assert "error: a test worker died" in output
    assert seconds < 60


def test_a_dead_worker(tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, DIES.format(leaving="True or "))
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "crashed while running" in output


def test_a_test_that_hangs(tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, HANGS)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "Timeout" in output
