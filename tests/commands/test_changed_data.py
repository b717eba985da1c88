"""`run` where all is done, and images were exchanged since."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import BenchError
from bench.exit_codes import ExitCode
from bench.experiment.changed_data import moved_trials
from bench.plan.expand import make_plan
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.faults.tiny import run

SPEC = """\
experiment: tiny
task: segmentation
data: {name: folder, root: data, image_size: 32}
train: {epochs: 1, batch_size: 4}
model: {name: unet, width: 0.05}
seeds: 2
machine: {threads: 1, device: cpu}
"""


def draw(folder: Path, number: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(values).save(folder / "images" / f"{number}.png")
    Image.fromarray((values[..., 0] > 127).astype(np.uint8)).save(
        folder / "masks" / f"{number}.png"
    )


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for number in range(10):
        draw(tmp_path / "data", number, number)
    (tmp_path / "spec.yaml").write_text(SPEC)
    code, said = run(tmp_path)
    assert code is ExitCode.OK, said
    return tmp_path


def looked_at(workspace: Path) -> int:
    """How many finished trials have their data looked at again."""
    plan = make_plan(load_spec(workspace / "spec.yaml"))
    return len(
        moved_trials(plan, [trial.id for trial in plan.trials], Store(workspace / "results"))
    )


def test_images_that_were_exchanged_are_noticed(workspace: Path) -> None:
    assert looked_at(workspace) == 0
    code, said = run(workspace)
    assert (code, "Nothing to run" in said) == (ExitCode.OK, True)
    draw(workspace / "data", 3, 99)
    assert looked_at(workspace) == 2
    with pytest.raises(BenchError, match="2 finished trials of 'tiny' were trained on other data"):
        run(workspace)
    with pytest.raises(BenchError, match="were trained on other data"):  # until it is settled
        run(workspace)
    draw(workspace / "data", 3, 3)  # put back: the same content, at another time
    code, said = run(workspace)
    assert code is ExitCode.OK, said
    assert looked_at(workspace) == 0


@pytest.mark.parametrize("change", ["added", "removed", "touched", "a note"])
def test_what_changes_a_folder(workspace: Path, change: str) -> None:
    image = workspace / "data" / "images" / "3.png"
    if change == "added":
        draw(workspace / "data", 10, 10)
    elif change == "removed":
        image.unlink()
    elif change == "touched":
        os.utime(image, (1, 1))
    else:
        (workspace / "data" / "notes.txt").write_text("no image")
    assert looked_at(workspace) == 2
    if change in ("touched", "a note"):  # looked at once, and the same
        code, said = run(workspace)
        assert code is ExitCode.OK, said
        assert looked_at(workspace) == 0
    else:
        with pytest.raises(BenchError, match=r"other data|has no|no mask"):
            run(workspace)


def test_records_without_stamps_are_as_before(workspace: Path) -> None:
    (workspace / "results" / "tiny" / ".data_files.json").unlink()
    draw(workspace / "data", 3, 99)
    assert looked_at(workspace) == 0
    (workspace / "results" / "tiny" / ".data_files.json").write_text("broken")
    assert looked_at(workspace) == 0
