"""docs/own-parts.md: its files are written as a reader would write them, and its specs run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest

from bench.spec import yaml12
from bench.spec.load import load_spec
from bench.spec.schema import TrialSettings
from bench.tasks.metric_settings import METRICS
from bench.train.check_parts import check_parts
from tests.builders.training import make_trial

PAGE = (Path(__file__).parents[1] / "docs/own-parts.md").read_text()
PYTHON = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
YAML = dict(re.findall(r"^```yaml\n# ([^\n]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))


QUICK = ["seeds=1", "train.epochs=1", "machine.threads=1"]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text in PYTHON:
        Path(name).write_text(text)
    Path("spec.yaml").write_text(YAML["spec.yaml"])
    return tmp_path


def test_every_block_is_tested() -> None:
    assert len(PYTHON) == PAGE.count("```python") == 5
    assert len(YAML) == PAGE.count("```yaml") == 5


def test_the_spec_runs_to_a_report(written: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "bench", "run", "spec.yaml", "-j", "1", *QUICK],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    runs = pd.read_csv("reports/losses/runs.csv")
    assert set(runs["axis.train.loss"]) == {"dice", "TverskyLoss", "soft_iou"}
    assert {"best_val_hd95", "test_precision"} <= set(runs)


@pytest.mark.slow
def test_the_task_runs_to_a_report_and_predicts(written: Path) -> None:
    Path("task.yaml").write_text(YAML["task.yaml"])
    image = np.zeros((20, 30, 3), np.uint8)
    PIL.Image.fromarray(image).save("a.png")
    for arguments in (
        ["run", "task.yaml", "-j", "1", "train.epochs=1", "machine.threads=1"],
        ["predict", "restoring/2-s0", "a.png", "--out", "out", "--trust-code"],
    ):
        found = subprocess.run(
            [sys.executable, "-m", "bench", *arguments],
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip
        assert found.returncode == 0, found.stdout + found.stderr
    assert "test_psnr" in pd.read_csv("reports/restoring/runs.csv")
    assert np.load("out/a.npy").shape == (3, 32, 32)


def test_the_other_blocks_are_valid_beside_it(written: Path) -> None:
    spec = load_spec(Path("spec.yaml")).document.tree
    for name in ("a sum", "metrics", "training"):
        block = yaml12.parse(YAML[name], name)[0]
        tree = {key: spec[key] for key in ("task", "data", "model", "train")} | block
        TrialSettings.model_validate(tree)
        check_parts(make_trial(**block))


def test_two_lines_test_a_part(written: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_parts.py"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "failed" not in found.stdout


def test_every_metric_is_in_the_table() -> None:
    table = PAGE[PAGE.index("## Metrics") : PAGE.index("## Optimizers")]
    assert all(f"`{name}`" in table for name in METRICS.names())
