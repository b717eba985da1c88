"""Parts that run whole experiments, and what happens when memory runs out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.gpu.common import Check

SPEC = """
experiment: gpucheck
task: segmentation
data: {{name: shapes, image_size: {size}, normalize: imagenet, train: {train}, val: {val}, test: 8}}
train: {{epochs: {epochs}, batch_size: {batch}{more}}}
grid:
  model: {model}
seeds: {seeds}
"""
_FACTS = ("device", "precision", "micro_batch", "peak_memory_mb", "test_dice")


def many(check: Check) -> None:
    """Two models, three seeds, three trials at a time on one GPU."""
    model = check.size(
        "{unet: {name: unet, width: 0.5}, r34: {name: resnet34_unet, width: 0.5}}",
        "{unet: {name: unet, width: 0.125}}",
    )
    size, train, val, batch = check.size((128, 240, 40, 20), (32, 8, 4, 4))
    values = {"size": size, "train": train, "val": val, "batch": batch, "epochs": 3}
    with tempfile.TemporaryDirectory() as folder:
        _run(check, "many", Path(folder), jobs=3, model=model, seeds=3, more="", **values)


def memory(check: Check) -> None:
    """An arm that does not fit is a row; `micro_batch: auto` trains through it."""
    if check.cuda:
        _cudnns_words(check)
    width = "" if check.cuda else ", width: 0.125"
    size, batch = check.size((256, 400), (32, 4))
    values = {"size": size, "train": batch, "val": 4, "batch": batch, "epochs": 1, "seeds": 1}
    model = "{unet: {name: unet" + width + "}}"
    with tempfile.TemporaryDirectory() as folder:
        for name, more in (("whole", ""), ("auto", ", micro_batch: auto")):
            more += ", precision: fp32"
            _run(check, f"memory, {name}", Path(folder) / name, model=model, more=more, **values)


def _cudnns_words(check: Check) -> None:
    """What is raised when a convolution has little room, and whether it is recognised."""
    code = Path(__file__).with_name("little_memory.py")
    done = subprocess.run([sys.executable, code], capture_output=True, text=True, timeout=100)
    for line in done.stdout.splitlines():
        check.emit("memory", **json.loads(line))
    if done.returncode:
        check.emit("memory", failed=done.stderr[-400:])


def _run(check: Check, part: str, folder: Path, *, jobs: int = 1, **values: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "spec.yaml"
    spec.write_text(SPEC.format(**values))
    command = [
        sys.executable, "-m", "bench", "run", str(spec), "-j", str(jobs),
        "--device", check.device, "--results", str(folder / "results"),
    ]  # fmt: skip
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=Path.cwd())
    taken = time.perf_counter() - begun
    rows = [_row(path) for path in sorted((folder / "results").glob("*/*/status.json"))]
    check.emit(part, rc=done.returncode, seconds=round(taken, 1), rows=rows, err=done.stderr[-300:])


def _row(status: Path) -> dict[str, Any]:
    state = json.loads(status.read_text())
    row = {key: state.get(key) for key in ("status", "failure")} | {"id": status.parent.name}
    row["message"] = (state.get("message") or "")[:160]
    summary, history = status.with_name("summary.json"), status.with_name("history.csv")
    if summary.exists():
        facts = json.loads(summary.read_text())
        row |= {key: facts[key] for key in _FACTS if key in facts}
    if history.exists():
        with history.open() as lines:
            row["epoch_s"] = [round(float(r["epoch_seconds"]), 3) for r in csv.DictReader(lines)]
    environment = status.with_name("environment.json")
    if environment.exists():
        row["trials_per_device"] = json.loads(environment.read_text()).get("trials_per_device")
    return row
