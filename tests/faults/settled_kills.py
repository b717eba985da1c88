"""Studies that grow, or have folds, killed at random: the verdicts are the same.

    python -m tests.faults.settled_kills [--study path] [--kills 10] [--seed 0] [--together]

Of `seeds` the hypotheses are repeated until all is settled, of `path` the steps of an ablation
path, too; `folds` cross-validates. The study is run undisturbed, one trial at a time. Then in
another folder, two at a time, while its worker or all of its processes are killed at random
instants and the command is started again. verdicts.json must be the same to the byte, looks.json
and the planned trials too, and no look may ever be decided otherwise than before. With `--together`
two commands share a third folder, too.
Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.kills import workers
from tests.faults.workspace import ROOT

LIMIT_SECONDS = 1800.0
FOLDERS = ("alone", "killed", "together")
_HEAD = """\
experiment: settled
task: segmentation
train: {epochs: EPOCHS, batch_size: 6}
model: {name: unet, width: 0.05}
machine: {threads: 1, device: cpu}
"""
_SHAPES = "data: {name: shapes, image_size: 32, train: 12, val: 4, test: 12}\n"
_RATES = """\
grid: {train.lr: {low: 0.0001, middle: 0.003, high: 0.01}}
hypotheses:
  - {id: low, claim: "A low rate is too low", metric: final_train_loss, a: {train.lr: low},
     b: {train.lr: middle}, expect: higher}
  - {id: high, claim: "A high rate is better", metric: test_dice, a: {train.lr: high},
     b: {train.lr: middle}, expect: higher}
"""
_PATH = """\
design:
  path:
    from: {train.lr: 0.00001, train.ema: 0.9}
    to: {train.lr: 0.01, train.ema: null, flips: {augment: [{hflip: {p: 0.5}}]}}
"""
_FOLDS = """\
grid: {train.lr: {low: 0.0001, high: 0.01}}
seeds: 1
hypotheses:
  - {id: low, claim: "A low rate is too low", metric: final_train_loss, a: {train.lr: low},
     b: {train.lr: high}, expect: higher}
  - {id: dice, claim: "A high rate is better", metric: cross_val_dice, a: {train.lr: high},
     b: {train.lr: low}, expect: higher}
"""
_REPEATED = "seeds: {until: settled, max: MAX}\n"
SPECS = {
    "seeds": _HEAD + _SHAPES + _REPEATED + _RATES,
    "path": _HEAD + _SHAPES + _REPEATED + _PATH,
    "folds": _HEAD + _SHAPES.replace("test: 12", "test: 12, folds: {k: 5}") + _FOLDS,
}
"""Each by the name of its study."""


@dataclass(frozen=True)
class Folder:
    """Where the study is run."""

    path: Path
    jobs: int

    def write(self, study: str, epochs: int, most: int) -> None:
        """The spec."""
        self.path.mkdir(parents=True)
        text = SPECS[study].replace("EPOCHS", str(epochs)).replace("MAX", str(most))
        (self.path / "spec.yaml").write_text(text)

    def start(self) -> subprocess.Popen[bytes]:
        """`bench run`, in a process group of its own; what it says is added to said.txt."""
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "BENCH_CACHE": str(self.path / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        words = ["run", "spec.yaml", "-j", str(self.jobs), "--retries", "1000"]
        with (self.path / "said.txt").open("ab") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "bench", *words],
                cwd=self.path,
                env=environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    @property
    def n_done(self) -> int:
        """How many trials are."""
        paths = (self.path / "results" / "settled").glob("*/status.json")
        return sum('"done"' in path.read_text() for path in paths)

    @property
    def said(self) -> str:
        """All that the commands said."""
        return (self.path / "said.txt").read_text()

    def found(self) -> dict[str, object]:
        """What must not depend on what happened to the processes."""
        results, reports = self.path / "results" / "settled", self.path / "reports" / "settled"
        plan = json.loads((results / "plan.json").read_text())
        path = results / "looks.json"
        looks = json.loads(path.read_text()) if path.exists() else {}
        looks.pop("reports", None)  # two commands may make two
        return {
            "verdicts": (reports / "verdicts.json").read_bytes(),
            "looks": looks,
            "trials": [trial["id"] for trial in plan["trials"]],
        }


def undisturbed(folder: Folder) -> dict[str, object]:
    """The reference."""
    run = folder.start()
    if run.wait(LIMIT_SECONDS):
        raise SystemExit(folder.said)
    return folder.found()


def disturbed(folder: Folder, kills: int, draw: random.Random) -> dict[str, object]:
    """Killed so many times on the way, and started again."""
    until = time.monotonic() + LIMIT_SECONDS
    run = folder.start()
    try:
        while kills > 0 and time.monotonic() < until:
            enough = folder.n_done + draw.choice((0, 1, 1, 2))  # 0: while it starts, too
            while folder.n_done < enough and run.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(draw.uniform(0, 3))
            if run.poll() is not None:
                break  # it has ended before
            kills -= 1
            if draw.random() < 0.4 and (found := workers(run)):
                draw.choice(found).kill()
                continue
            os.killpg(run.pid, signal.SIGKILL if draw.random() < 0.8 else signal.SIGINT)
            run.wait(LIMIT_SECONDS)
            run = folder.start()
        if run.wait(max(1.0, until - time.monotonic())) != 0:  # interrupted with the last one
            run = folder.start()
            if run.wait(max(1.0, until - time.monotonic())) != 0:
                raise SystemExit(folder.said)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    return folder.found()


def together(folder: Folder) -> dict[str, object]:
    """Two commands at once."""
    runs = [folder.start(), folder.start()]
    codes = [run.wait(LIMIT_SECONDS) for run in runs]
    if any(codes):
        raise SystemExit(folder.said)
    return folder.found()


def differences(
    root: Path,
    kills: int,
    seed: int,
    epochs: int,
    most: int,
    *,
    study: str = "seeds",
    shared: bool = False,
) -> list[str]:
    """What was not the same, in words."""
    alone, killed, both = (Folder(root / name, 1 + (name == "killed")) for name in FOLDERS)
    for folder in (alone, killed, both):
        folder.write(study, epochs, most)
    expected = undisturbed(alone)
    found = {}
    if kills:
        found[killed] = disturbed(killed, kills, random.Random(seed))
    if shared:
        found[both] = together(both)
    problems = []
    for folder, parts in found.items():
        name = folder.path.name
        problems += [f"{name}: another {p}" for p, value in expected.items() if parts[p] != value]
        for text in ("is another than before", "Traceback", "was not foreseen"):
            if text in folder.said:
                problems.append(f"{name}: it said: {text}: {folder.said[-3000:]}")
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form; 1 where anything was different."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", choices=SPECS, default="seeds")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--max", type=int, default=6)
    parser.add_argument("--together", action="store_true", help="two commands at once, too")
    options = parser.parse_args(arguments)
    counts = options.kills, options.seed, options.epochs, options.max
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        found = differences(root, *counts, study=options.study, shared=options.together)
        said = "".join(path.read_text() for path in root.glob("*/said.txt"))
    starts, looks = said.count("Starting: loading"), said.count("Look ")
    print(f"{options.kills} kills, {starts} starts, {looks} looks said")
    print("\n".join(found) or "verdicts.json, looks.json and the planned trials are the same")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
