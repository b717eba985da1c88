"""Stops after the last epoch, while a Fréchet distance is computed, which may take an hour."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.exit_codes import ExitCode
from tests.builders.classifier import classifier, put
from tests.faults.tiny import run
from tests.faults.workspace import ROOT, Record, record

SPEC = """\
experiment: tiny
task: {{name: diffusion, samples: 2, ddim_steps: 120, ddpm_steps: 2,
       frechet: {{samples: 48, classifier: {classifier}}}}}
data: {{name: shapes, image_size: 32, normalize: symmetric, train: 12, val: 6, test: 6}}
train: {{epochs: 2, batch_size: 6}}
model: {{name: ddpm_unet, width: 0.05, attention: false}}
machine: {{threads: 1, device: cpu}}
"""


def write_spec(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    files = put(folder / "results", classifier())
    (folder / "spec.yaml").write_text(SPEC.format(classifier=f"kinds/{files.id}"))


def goes_on(folder: Path) -> Record:
    """The trial, after a `run` to its end."""
    code, said = run(folder)
    assert code is ExitCode.OK, said
    (trial,) = (folder / "results" / "tiny").glob("*/status.json")
    return record(trial.parent)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_spec(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        found = goes_on(folder)
    assert '"frechet": ' in found.summary
    return found


class Terminal:
    """A `bench run` in a terminal of its own, and what it shows."""

    def __init__(self, folder: Path) -> None:
        ours, theirs = pty.openpty()
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "140", "TERM": "xterm"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", "spec.yaml"], cwd=folder, env=environment,
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self.shown = b""
        threading.Thread(target=self._read, args=(ours,), daemon=True).start()

    def _read(self, terminal: int) -> None:
        try:
            while found := os.read(terminal, 4096):
                self.shown += found
        except OSError:  # it has ended
            return

    def wait_for(self, words: bytes) -> None:
        end = time.monotonic() + 150
        while words not in self.shown:
            assert self.process.poll() is None, self.shown
            assert time.monotonic() < end, self.shown
            time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_at_once_and_goes_on_to_the_same_end(
    wanted: int, undisturbed: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write_spec(tmp_path)
    terminal = Terminal(tmp_path)
    try:
        terminal.wait_for(b"final evaluation, forward pass")  # progress is shown
        begun = time.monotonic()
        os.killpg(terminal.process.pid, wanted)
        code = terminal.process.wait(60)
    finally:
        if terminal.process.poll() is None:
            os.killpg(terminal.process.pid, signal.SIGKILL)
    assert code == 130, terminal.shown
    assert time.monotonic() - begun < 20
    assert b"the same command goes on from here" in terminal.shown
    (trial,) = (tmp_path / "results" / "tiny").glob("*/status.json")
    cut = record(trial.parent)
    assert cut.status == "interrupted"
    assert cut.history == undisturbed.history
    assert goes_on(tmp_path) == undisturbed
