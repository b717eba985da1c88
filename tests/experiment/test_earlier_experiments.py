"""Earlier trials by the command line: what is not there ends it before anything is trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.plan.earlier import LOST_BEST
from tests.builders.classifier import classifier, put

ROOT = Path(__file__).parents[2]
SPEC = """\
experiment: later
task:
  name: diffusion
  frechet: {classifier: kinds/TRIAL}
data: {name: shapes, image_size: 32, normalize: symmetric}
model: {name: ddpm_unet, width: 0.1}
"""


def test_a_missing_classifier_ends_with_2_and_one_line(tmp_path: Path) -> None:
    files = put(tmp_path / "results", classifier())
    files.best.unlink()
    (tmp_path / "later.yaml").write_text(SPEC.replace("TRIAL", files.id))
    found = subprocess.run(
        [sys.executable, "-m", "bench", "run", "later.yaml"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        f"error: later.yaml:4: task.frechet.classifier: results/kinds/{files.id}: {LOST_BEST}"
    ]
    assert not (tmp_path / "results" / "later").exists()
