"""Two `bench run`s of one experiment that are killed, stopped and started again at random.

    python -m tests.faults.two_runs --rounds 20 [--seed 0] [--without-locks]

Each round, in a fresh folder, must give every trial once, with the bits of a single run that nobody
disturbed. `--without-locks` makes flock fail in every process, as on some file systems.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPEC = """\
experiment: shared
task: segmentation
data: {{name: shapes, image_size: 32, train: 12, val: 4, test: 4}}
train: {{epochs: {epochs}, batch_size: 6}}
model: {{name: unet, width: 0.05}}
grid: {{train.lr: [1e-3, 1e-4]}}
seeds: {seeds}
machine: {{threads: 1}}
"""
NO_LOCKS = """\
import errno, fcntl
def flock(*_):
    raise OSError(errno.ENOLCK, "No locks available")
fcntl.flock = flock
"""
CLOCKS = {"epoch_seconds", "val_seconds", "between_seconds", "images_per_second", "peak_memory_mb"}
EXPIRY = 3.0
LIMIT_SECONDS = 600.0

DONE = re.compile(r"^\[\d+/\d+\] (\S+): done(?! by another run)", re.MULTILINE)
STARTED = re.compile(r"^(\S+): started$", re.MULTILINE)


@dataclass
class Workspace:
    """A folder with a spec, and all that was said by the runs in it."""

    folder: Path
    locks: bool = True
    expiry: float = 60.0
    said: list[Path] = field(default_factory=list)

    def write(self, epochs: int, seeds: int) -> None:
        """The spec, and what makes locks fail."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "spec.yaml").write_text(SPEC.format(epochs=epochs, seeds=seeds))
        if not self.locks:
            (self.folder / "sitecustomize.py").write_text(NO_LOCKS)

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """A `bench run` of it, one trial at a time."""
        path = self.folder / f"said{len(self.said)}.txt"
        self.said.append(path)
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "BENCH_CACHE": str(self.folder / "cache"),
            "BENCH_LEASE_SECONDS": str(self.expiry),
        }
        with path.open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "bench", "run", "spec.yaml", "-j", "1", *options],
                cwd=self.folder, env=environment, stdout=said, stderr=said,
                start_new_session=True,
            )  # fmt: skip

    def count(self, pattern: re.Pattern[str]) -> Counter[str]:
        """How often the runs said something of each trial."""
        return Counter(name for path in self.said for name in pattern.findall(path.read_text()))

    def results(self) -> dict[str, tuple[object, bytes]]:
        """By trial: the history, without what a clock says, and the best checkpoint."""
        found = {}
        for path in sorted((self.folder / "results/shared").glob("*/history.csv")):
            rows = list(csv.DictReader(path.read_text().splitlines()))
            history = [{k: v for k, v in row.items() if k not in CLOCKS} for row in rows]
            found[path.parent.name] = history, (path.parent / "best.pt").read_bytes()
        return found

    def statuses(self) -> dict[str, int]:
        """How many trials are in which state."""
        text = (path.read_text() for path in self.folder.glob("results/shared/*/status.json"))
        return dict(Counter(re.findall(r'"status": "(\w+)"', " ".join(text))))


@contextmanager
def running(*processes: subprocess.Popen[bytes]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Whatever happens, none of them stays."""
    all_of_them = list(processes)
    try:
        yield all_of_them
    finally:
        for process in all_of_them:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def await_moment(
    workspace: Workspace, runs: Sequence[subprocess.Popen[bytes]], draw: random.Random
) -> None:
    """Some time while the runs start or, more often, while a trial runs that starts after now."""
    if draw.random() < 0.3:
        time.sleep(draw.uniform(0, 8))
        return
    before = workspace.count(STARTED).total()
    while workspace.count(STARTED).total() == before:
        if all(run.poll() is not None for run in runs):
            return
        time.sleep(0.02)
    time.sleep(draw.uniform(0, 2))


def disturb(workspace: Workspace, runs: list[subprocess.Popen[bytes]], draw: random.Random) -> str:
    """Kill one or both and start them again, or stop one for longer than its lease; says which."""
    what = draw.choice(["kill one", "kill both", "stop one"])
    chosen = draw.randrange(2)
    if what == "stop one":
        # the group: workers too, as by Ctrl-Z
        if runs[chosen].poll() is None:
            os.killpg(runs[chosen].pid, signal.SIGSTOP)
            time.sleep(EXPIRY * draw.uniform(0.5, 3))
            os.killpg(runs[chosen].pid, signal.SIGCONT)
        return what
    for k in (0, 1) if what == "kill both" else (chosen,):
        runs[k].kill()
        runs[k].wait()
    time.sleep(draw.uniform(0, 1))
    for k in (0, 1):
        if runs[k].poll() == -signal.SIGKILL:
            runs[k] = workspace.start()
    return what


def play(workspace: Workspace, draw: random.Random, disturbances: int) -> tuple[list[str], int]:
    """Two runs with so many disturbances; what was done, and how many trials started in all."""
    done = []
    with running(workspace.start(), workspace.start()) as runs:
        for _ in range(disturbances):
            await_moment(workspace, runs, draw)
            if all(run.poll() is not None for run in runs):
                break
            done.append(disturb(workspace, runs, draw))
        limit = time.monotonic() + LIMIT_SECONDS
        codes = [run.wait(max(0.1, limit - time.monotonic())) for run in runs]
    if codes != [0, 0]:
        raise AssertionError(f"exit codes {codes}: {[path.read_text() for path in workspace.said]}")
    return done, workspace.count(STARTED).total()


def check(workspace: Workspace, expected: dict[str, tuple[object, bytes]]) -> None:
    """Every trial once, with the expected bits, and nothing left held."""
    if workspace.statuses() != {"done": len(expected)}:
        raise AssertionError(f"states: {workspace.statuses()}")
    if workspace.results() != expected:
        wrong = [k for k, found in workspace.results().items() if found != expected.get(k)]
        raise AssertionError(f"other results: {wrong}")
    twice = [trial for trial, times in workspace.count(DONE).items() if times > 1]
    if twice:
        raise AssertionError(f"done twice: {twice}")
    left = list((workspace.folder / "results").rglob(".*.tmp"))
    cards = list((workspace.folder / "results/shared/.leases/runs").iterdir())
    if left or len(cards) > len(workspace.said):
        raise AssertionError(f"left behind: {left} {cards}")


def main(arguments: Sequence[str] | None = None) -> None:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=6, help="trials: twice as many")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--disturbances", type=int, default=4, help="a round")
    parser.add_argument("--without-locks", action="store_true")
    options = parser.parse_args(arguments)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        alone = Workspace(Path(folder) / "alone")
        alone.write(options.epochs, options.seeds)
        with running(alone.start()) as (run,):
            run.wait(LIMIT_SECONDS)
        expected = alone.results()
        for k in range(options.rounds):
            workspace = Workspace(Path(folder) / str(k), not options.without_locks, EXPIRY)
            workspace.write(options.epochs, options.seeds)
            draw = random.Random(1000 * options.seed + k)
            done, starts = play(workspace, draw, options.disturbances)
            check(workspace, expected)
            total.update(done)
            total["starts"] += starts
            print(f"round {k}: {', '.join(done)}; {starts} starts of {len(expected)}", flush=True)
    trials = options.rounds * len(expected)
    print(f"{trials} trials, each done once, bit-identical: {dict(total)}")


if __name__ == "__main__":
    main()
