"""docs/augmentation.md: its files are written as a reader would write them, and its specs run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.augment.check_custom import check_custom_transforms
from bench.augment.settings import AUGMENTATIONS
from bench.spec import yaml12
from tests.builders.training import make_trial

PAGE = (Path(__file__).parents[1] / "docs/augmentation.md").read_text()
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
    """Those without a name are valid parts of a spec: tests/docs/test_code_blocks.py."""
    assert len(PYTHON) == PAGE.count("```python") == 4
    assert set(YAML) == {"spec.yaml", "of torchvision", "a list"}


@pytest.mark.slow
def test_the_spec_runs_to_a_report(written: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "bench", "run", "spec.yaml", "-j", "1", *QUICK],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    runs = pd.read_csv("reports/augmentations/runs.csv")
    assert set(runs["axis.augment"]) == {"none", "light", "make_pipeline", "shifted"}
    said = found.stdout + found.stderr
    assert re.search(
        r"augmentation by 'my_augment:make_pipeline' takes \S+ ms of CPU time per image", said
    )
    assert "left out: its Normalize, which data.normalize does" in said


def test_the_other_blocks_work_beside_it(written: Path) -> None:
    for name in ("of torchvision", "a list"):
        settings = make_trial(**yaml12.parse(YAML[name], name)[0]).settings
        check_custom_transforms(settings.augment, (64, 64))


@pytest.mark.slow
def test_two_lines_test_an_augmentation(written: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_augmentation.py"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    assert "failed" not in found.stdout


def test_every_transform_is_in_the_table() -> None:
    table = PAGE[PAGE.index("## Transforms by name") : PAGE.index("## Pipelines")]
    names = set(AUGMENTATIONS.names()) - {"one_of"}
    assert all(f"`{name}`" in table for name in names)
