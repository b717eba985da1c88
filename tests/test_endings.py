"""How commands end whose signals or streams are not as usual: in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.interruption import SIGNALS
from tests.test_cli import ROOT, Workspace

SPEC = """\
experiment: long
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 4, test: 4}
train: {epochs: 4000, batch_size: 6}
model: {name: unet, width: 0.05}
seeds: 2
machine: {threads: 1, device: cpu}
"""
FULL = "error: standard output: cannot be written (No space left on device)\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.write(SPEC)
    return workspace


def shell(workspace: Workspace, words: str, redirected: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command with shell redirections."""
    line = f"{' '.join(workspace.command())} {words} {redirected}"
    found = subprocess.run(
        ["bash", "-c", line], cwd=workspace.folder, env=workspace.environment(),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert "Traceback" not in found.stderr
    assert "Exception ignored" not in found.stderr
    return found.returncode, found.stdout, found.stderr


@pytest.mark.parametrize("words", ["schema", "--help", "plan spec.yaml", "status"])
def test_a_full_disk_behind_standard_output_is_one_line(workspace: Workspace, words: str) -> None:
    assert shell(workspace, words, "> /dev/full") == (1, "", FULL)


@pytest.mark.parametrize("words", ["schema", "status"])
def test_a_pipe_that_nobody_reads_ends_as_by_its_signal(workspace: Workspace, words: str) -> None:
    assert shell(workspace, words, "| exec true; exit ${PIPESTATUS[0]}")[0] == 141


@pytest.mark.parametrize(
    ("redirected", "code"),
    [(">&-", 0), ("2>&-", 0), ("<&-", 0), (">&- 2>&- <&-", 0), ("2> /dev/full", 0)],
)
def test_streams_that_are_closed_change_nothing(
    workspace: Workspace, redirected: str, code: int
) -> None:
    found, out, err = shell(workspace, "status", redirected)  # the quickest that prints
    assert found == code, err
    assert (">&-" in redirected.replace("2>&-", "")) == ("No experiments in" not in out)


def test_an_error_that_cannot_be_said_keeps_its_code(workspace: Workspace) -> None:
    assert shell(workspace, "plan nowhere.yaml", "2> /dev/full")[0] == 2
    assert shell(workspace, "plan nowhere.yaml", "2>&-")[0] == 2


def test_a_run_without_any_stream_trains(workspace: Workspace) -> None:
    workspace.write(SPEC.replace("4000", "1").replace("seeds: 2", "seeds: 1"))
    code, _, _ = shell(workspace, "run spec.yaml", ">&- 2>&- <&-")
    assert code == 0
    (log,) = (workspace.folder / "results" / "long").glob("*/log.txt")
    assert "placement: " in log.read_text()  # what the worker prints is still in its own file
    assert (workspace.folder / "reports" / "long" / "report.html").is_file()


def test_a_working_folder_that_is_gone_is_one_line(workspace: Workspace) -> None:
    words = f"status; code=$?; cd {workspace.folder}; exit $code"
    line = f"mkdir gone && cd gone && rmdir ../gone && {' '.join(workspace.command())} {words}"
    found = subprocess.run(
        ["bash", "-c", line], cwd=workspace.folder, env=workspace.environment(),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stderr.startswith("error: the working folder is no longer there")
    assert found.stderr.count("\n") == 1


NOBODY = """\
import pwd

def unknown(*_):
    raise KeyError("getpwuid(): uid not found")

pwd.getpwuid = unknown
"""


def test_without_home_and_name_a_run_trains_and_says_what_is_not_kept(workspace: Workspace) -> None:
    workspace.write(SPEC.replace("4000", "1").replace("seeds: 2", "seeds: 1"))
    workspace.write(NOBODY, "sitecustomize.py")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{workspace.folder}"}
    found = subprocess.run(
        workspace.command("run", "spec.yaml"), cwd=workspace.folder, env=environment,
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "set HOME, or BENCH_CACHE to a folder" in found.stderr
    assert "without MLflow" not in found.stderr
    assert "MLflow does not have" not in found.stderr
    assert not [path for path in workspace.folder.iterdir() if path.name.startswith("~")]


def start(workspace: Workspace, before: Sequence[str] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, *workspace.command("run", "spec.yaml", "-j", "1")], cwd=workspace.folder,
        env=workspace.environment(), text=True, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=default_signals,
    )  # fmt: skip


def default_signals() -> None:
    """As a terminal has them: a shell's background job, the tests perhaps, ignores some."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)


def finish(process: subprocess.Popen[str]) -> str:
    try:
        said, _ = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in said
    assert "Aborted" not in said
    return said


def catches(pid: int, wanted: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (wanted - 1) & 1)


@pytest.mark.parametrize(
    ("wanted", "seconds"),
    [
        *((each, 0.0) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)),
        *((each, 3.0) for each in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_signal_soon_after_the_start(workspace: Workspace, wanted: int, seconds: float) -> None:
    """To the whole group, as a terminal sends it. Later ones: see the terminal that is closed."""
    process = start(workspace)
    end = time.monotonic() + 80
    while not catches(process.pid, signal.SIGQUIT):  # the last one; before, Python itself ends
        assert time.monotonic() < end
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, wanted)
    said = finish(process)
    assert process.returncode == 130, said
    assert "interrupted" in said


@pytest.mark.parametrize("wanted", [signal.SIGHUP, signal.SIGQUIT])
def test_a_terminal_that_is_closed_leaves_a_run_to_go_on_with(
    workspace: Workspace, wanted: int
) -> None:
    process = start(workspace)
    history = workspace.folder / "results" / "long"
    end = time.monotonic() + 80
    while not list(history.glob("*/history.csv")) and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, wanted)
    said = finish(process)
    assert process.returncode == 130, said
    assert "the same command goes on from here" in said
    assert '"interrupted"' in "".join(p.read_text() for p in history.glob("*/status.json"))


def test_nohup_is_heeded(workspace: Workspace) -> None:
    workspace.write(SPEC.replace("4000", "2").replace("seeds: 2", "seeds: 1"))
    process = start(workspace, ["bash", "-c", 'trap "" HUP; exec "$@"', "-"])
    end = time.monotonic() + 80
    while not list(workspace.folder.glob("results/long/.leases")) and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGHUP)
    said = finish(process)
    assert process.returncode == 0, said
    assert "1 of 1 trials done" in said


def test_progress_that_nobody_reads_does_not_stop_a_run(workspace: Workspace) -> None:
    workspace.write(SPEC.replace("4000", "2").replace("seeds: 2", "seeds: 1"))
    code, _, _ = shell(workspace, "run spec.yaml", "2>&1 >report | head -1; exit ${PIPESTATUS[0]}")
    assert code == 0
    assert (workspace.folder / "report").read_text() == "reports/long/report.html\n"
