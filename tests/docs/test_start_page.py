"""docs/start.md, as a newcomer types it: from a folder of images to what is published."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/start.md").read_text()
COMMANDS = re.findall(r"^    python -m (bench .+)$", PAGE, re.MULTILINE)
TINY = ["data.image_size=32", "train.epochs=1", "machine.threads=1"]


def test_the_page_has_all_steps() -> None:
    assert [command.split()[1] for command in COMMANDS] == [
        "run",
        "init",
        "data",
        "plan",
        "run",
        "run",
    ]


@pytest.mark.slow
def test_from_images_to_a_publication(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _photos(tmp_path / "photos")
    _, init, data, plan, _, trial = COMMANDS
    assert "experiments/mine.yaml" in _bench(init)
    assert "foreground" in _bench(data)
    assert "12 trials" in _bench(plan)
    said = _run(" ".join([trial, *TINY, "-j 2"]))
    assert Path(said.split()[-1]).read_text().startswith("<!doctype html>")
    assert "4 of 4 trials done, 0 failed." in said
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", said)  # a log has no control characters
    assert "publish mine" in PAGE
    assert "mine_trial" in _bench("bench publish mine_trial --out published")


def _photos(folder: Path) -> None:
    """Bright squares on dark noise, and where they are."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number in range(30):
        mask = np.zeros((24, 32), np.uint8)
        y, x = random.integers(2, 12, 2)
        mask[y : y + 8, x : x + 10] = 255
        image = random.integers(0, 90, (24, 32, 3), dtype=np.uint8) + mask[..., None] // 2
        Image.fromarray(image).save(folder / f"images/{number:02}.png")
        Image.fromarray(mask).save(folder / f"masks/{number:02}.png")


def _bench(command: str) -> str:
    """Here, which saves a start; what a command said."""
    found = CliRunner().invoke(app, shlex.split(command)[1:])
    assert found.exit_code == 0, found.output
    return found.output


def _run(command: str) -> str:
    """In a process of its own, as workers are forked from it."""
    found = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stderr + found.stdout
