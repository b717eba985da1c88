"""A folder that `bench run` is called in, and what must not depend on how often it was killed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CLOCKS = frozenset(
    {"epoch_seconds", "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb"}
    | {"train_seconds"}
    | {
        "seconds_to_95pct",
        "compile_seconds",
        "history_digest",
        "summary_digest",
        "environment_digest",
    }
)
MACHINE = "machine: {threads: 1, device: cpu}\n"
SPECS = {
    "seg": """\
experiment: seg
task: segmentation
data: {name: shapes, image_size: 32, train: 24, val: 8, test: 8}
train: {epochs: EPOCHS, batch_size: 6, lr: 3e-3, schedule: cosine, optimizer: adamw}
model: {name: unet, width: 0.1}
augment: [{hflip: {p: 0.5}}, {elastic: {p: 0.5}}, {brightness: {p: 0.5}}]
grid: {train.loss: [cross_entropy, dice]}
""",
    "diff": """\
experiment: diff
task: {name: diffusion, samples: 2, ddim_steps: 2, ddpm_steps: 2, show_every: 5}
data: {name: shapes, image_size: 32, normalize: symmetric, train: 12, val: 6, test: 6}
train: {epochs: EPOCHS, batch_size: 6, lr: 1e-3, ema: 0.9}
model: {name: ddpm_unet, width: 0.05, attention: false}
grid: {train.lr: [1e-3, 3e-4]}
""",
    "class": """\
experiment: class
task: classification
data: {name: shapes, image_size: 32, train: 24, val: 12, test: 12, kinds: 3}
train: {epochs: EPOCHS, batch_size: 8, optimizer: sgd, lr: 0.05}
model: {name: resnet, depth: 18, width: 0.1}
augment: [{hflip: {p: 0.5}}]
grid: {train.momentum: [0.9, 0.5]}
""",
    "tpe": """\
experiment: tpe
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 6, test: 6}
train: {epochs: EPOCHS, batch_size: 6}
model: {name: unet, width: 0.05}
search:
  trials: 5
  sampler: {name: tpe, startup_trials: 2, seed: 0}
  pruner: none
  confirm_seeds: 2
  space: {train.lr: {float: [1e-4, 1e-1], log: true}, train.optimizer: {choice: [adam, sgd]}}
""",
    "random": """\
experiment: random
task: segmentation
data: {name: shapes, image_size: 32, train: 12, val: 6, test: 6}
train: {epochs: EPOCHS, batch_size: 6}
model: {name: unet, width: 0.05}
search:
  trials: 6
  sampler: {name: random, seed: 0}
  pruner: none
  confirm_seeds: 2
  storage: journal
  space: {train.lr: {float: [1e-4, 1e-1], log: true}, model.width: {float: [0.04, 0.1]}}
""",
}
AT_A_TIME = {"tpe": 1}
"""Trials; else two. TPE draws by what has ended, so that side by side its points would differ."""


@dataclass(frozen=True)
class Record:
    """All that must not depend on what happened to a trial's processes."""

    status: str
    history: tuple[tuple[tuple[str, str], ...], ...]
    best: bytes
    summary: str
    pictures: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Workspace:
    """A folder with a spec that `bench run` is called in."""

    folder: Path
    name: str

    @property
    def searches(self) -> bool:
        """Whether its spec is one of a search."""
        return "search:" in SPECS[self.name]

    def write(self, epochs: int, seeds: int = 2) -> None:
        """The spec."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = SPECS[self.name].replace("EPOCHS", str(epochs)) + MACHINE
        text += "" if self.searches else f"seeds: {seeds}\n"
        (self.folder / f"{self.name}.yaml").write_text(text)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A `bench` command in a process group of its own; what it says is added to said.txt."""
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "BENCH_CACHE": str(self.folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        with (self.folder / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "bench", *words], cwd=self.folder, env=environment,
                stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    def run(self) -> subprocess.Popen[bytes]:
        """`bench run` or `search`, with as many retries as it takes."""
        command, jobs = "search" if self.searches else "run", str(AT_A_TIME.get(self.name, 2))
        return self.start(command, f"{self.name}.yaml", "-j", jobs, "--retries", "1000")

    def trials(self) -> list[Path]:
        """The folders of trials that have begun."""
        found = (self.folder / "results" / self.name).glob("*/status.json")
        return sorted(path.parent for path in found)

    def records(self) -> dict[str, Record]:
        """Every trial's."""
        return {folder.name: record(folder) for folder in self.trials()}

    def found(self) -> tuple[dict[str, Any], str]:
        """What a search has found: search.json without what a clock says, and the best's spec."""
        record = read_json(self.folder / "results" / self.name / "search.json")
        best = self.folder / "reports" / self.name / "best.yaml"
        clocks = CLOCKS | {"seconds", "started", "ended"}
        return without(clocks, record), best.read_text() if best.exists() else ""

    def rows(self) -> list[dict[str, str]]:
        """The report's runs.csv."""
        path = self.folder / "reports" / self.name / "runs.csv"
        return list(csv.DictReader(path.read_text().splitlines()))


def record(folder: Path) -> Record:
    """What is on disk of one trial."""
    summary = {k: v for k, v in read_json(folder / "summary.json").items() if k not in CLOCKS}
    best = folder / "best.pt"
    return Record(
        read_json(folder / "status.json")["status"],
        history(folder),
        best.read_bytes() if best.exists() else b"",
        json.dumps(summary, sort_keys=True),
        tuple((path.name, path.read_bytes()) for path in sorted(folder.glob("samples/*.png"))),
    )


def without(keys: frozenset[str], value: Any) -> Any:
    """The same without some keys, at any depth."""
    if isinstance(value, dict):
        return {k: without(keys, v) for k, v in value.items() if k not in keys}
    return [without(keys, each) for each in value] if isinstance(value, list) else value


def history(folder: Path) -> tuple[tuple[tuple[str, str], ...], ...]:
    """history.csv as text, without what a clock says."""
    path = folder / "history.csv"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = csv.DictReader(lines)
    return tuple(tuple((k, v) for k, v in row.items() if k not in CLOCKS) for row in rows)


def read_json(path: Path) -> dict[str, Any]:
    """Empty where there is no such file."""
    return json.loads(path.read_text()) if path.exists() else {}
