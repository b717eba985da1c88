"""SIGKILL at random instants, to workers, the parent, or both: everything must come out the same.

    python -m tests.faults.kills --kills 200 [--seed 0]

Twelve trials (segmentation with augmentation, diffusion with a moving average, classification; four
each) are run once undisturbed. Then the same, round after round in a fresh folder, while processes
are killed and `bench run` is started again, until all trials are done. After each kill: no finished
trial may be lost or changed, every history must be a beginning of the undisturbed one, and one of
the last two checkpoints must be whole. After each round: histories (without what a clock says),
best checkpoints, summaries and pictures must be the same to the bit, with one row per trial in the
report and one run per trial in MLflow. Exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.errors import StoreError
from bench.train import checkpoint

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 600.0
CLOCKS = frozenset(
    {"epoch_seconds", "val_seconds", "images_per_second", "peak_memory_mb", "train_seconds"}
    | {"seconds_to_95pct", "compile_seconds"}
)
COMMON = "seeds: {seeds}\nmachine: {{threads: 1, device: cpu}}\n"
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
}


@dataclass
class Tally:
    """What was done, and what was wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def expect(self, true: bool, what: str) -> None:
        """Note a violation unless it is true."""
        if not true:
            self.violations.append(what)
            print(f"VIOLATION: {what}", flush=True)


@dataclass(frozen=True)
class Record:
    """All that must not depend on what happened to a trial's processes."""

    status: str
    history: tuple[tuple[tuple[str, str], ...], ...]
    best: bytes
    summary: str
    pictures: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Place:
    """A folder with a spec that `bench run` is called in."""

    folder: Path
    name: str

    def write(self, epochs: int, seeds: int = 2) -> None:
        """The spec."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = SPECS[self.name].replace("EPOCHS", str(epochs)) + COMMON.format(seeds=seeds)
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
        """`bench run`, two trials at a time, with as many retries as it takes."""
        return self.start("run", f"{self.name}.yaml", "-j", "2", "--retries", "1000")

    def trials(self) -> list[Path]:
        """The folders of trials that have begun."""
        found = (self.folder / "results" / self.name).glob("*/status.json")
        return sorted(path.parent for path in found)

    def records(self) -> dict[str, Record]:
        """Every trial's."""
        return {folder.name: record(folder) for folder in self.trials()}

    def rows(self) -> list[dict[str, str]]:
        """The report's runs.csv."""
        path = self.folder / "reports" / self.name / "runs.csv"
        return list(csv.DictReader(path.read_text().splitlines()))


def record(folder: Path) -> Record:
    """What is on disk of one trial."""
    summary = {k: v for k, v in _json(folder / "summary.json").items() if k not in CLOCKS}
    best = folder / "best.pt"
    return Record(
        _json(folder / "status.json")["status"],
        history(folder),
        best.read_bytes() if best.exists() else b"",
        json.dumps(summary, sort_keys=True),
        tuple((path.name, path.read_bytes()) for path in sorted(folder.glob("samples/*.png"))),
    )


def history(folder: Path) -> tuple[tuple[tuple[str, str], ...], ...]:
    """history.csv as text, without what a clock says."""
    path = folder / "history.csv"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = csv.DictReader(lines)
    return tuple(tuple((k, v) for k, v in row.items() if k not in CLOCKS) for row in rows)


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def workers(run: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that train or prepare: the fork server's children."""
    try:
        servers = [
            child
            for child in psutil.Process(run.pid).children()
            if "forkserver" in " ".join(child.cmdline())
        ]
        return [worker for server in servers for worker in server.children()]
    except psutil.Error:
        return []


def training(place: Place, processes: Sequence[psutil.Process]) -> int:
    """How many of the processes train a trial that has finished an epoch, and not the last one."""
    pids = {process.pid for process in processes}
    statuses = [(_json(folder / "status.json"), folder) for folder in place.trials()]
    return sum(
        status["status"] == "running" and status["pid"] in pids and bool(history(folder))
        for status, folder in statuses
    )


def strike(
    place: Place,
    run: subprocess.Popen[bytes],
    draw: random.Random,
    tally: Tally,
    whom: str | None = None,
    within: float = 4.0,
) -> str | None:
    """Kill at some instant of so many seconds; says whom, None where the run had ended before."""
    whom = whom or draw.choices(["worker", "parent", "both"], [0.75, 0.15, 0.1])[0]
    if whom == "worker" or draw.random() < 0.7:  # else perhaps while it starts or prepares
        while not workers(run):
            if run.poll() is not None:
                return None
            time.sleep(0.02)
    time.sleep(draw.uniform(0, within / 2 if whom == "worker" else within))
    if run.poll() is not None:
        return None
    if whom == "worker":
        victims = workers(run)
        if not victims:
            return None
        victim = draw.choice(victims)
        tally.counts["cut"] += training(place, [victim])
        victim.kill()
        return whom
    tally.counts["cut"] += training(place, workers(run))
    if whom == "both":
        family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        for process in family:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
    run.kill()
    run.wait()
    return whom


def check_on_the_way(
    place: Place, expected: dict[str, Record], finished: dict[str, Record], tally: Tally
) -> None:
    """What must hold at every instant; `finished` is what was finished at the last look."""
    for folder in place.trials():
        whole = expected[folder.name].history
        found = history(folder)
        tally.expect(found == whole[: len(found)], f"{folder}: rows that are not the expected ones")
        if found and _json(folder / "status.json")["status"] != "done":
            tally.expect(_one_is_whole(folder), f"{folder}: no checkpoint to go on from")
    for trial, before in finished.items():
        now = record(place.folder / "results" / place.name / trial)
        tally.expect(now == before, f"{trial}: was finished, and is not what it was")
    for folder in place.trials():
        if _json(folder / "status.json")["status"] == "done" and folder.name not in finished:
            finished[folder.name] = record(folder)


def _one_is_whole(folder: Path) -> bool:
    for name in ("last.pt", "previous.pt"):
        for _ in range(3):  # a worker that still runs may rename it meanwhile
            try:
                checkpoint.load(folder / name)
            except StoreError:
                continue
            return True
    return False


def check_mlflow(place: Place, epochs: int, trials: int, tally: Tally) -> None:
    """After a sync: one run per trial, every epoch once."""
    tally.expect(place.start("sync").wait(LIMIT_SECONDS) == 0, f"{place.folder}: sync failed")
    database = sqlite3.connect(place.folder / "results" / "mlflow.db")
    active = (
        "SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
        "WHERE t.key = 'bench.kind' AND t.value = 'trial' AND r.lifecycle_stage = 'active'"
    )
    runs = database.execute(active).fetchall()
    tally.expect(len(runs) == trials, f"{place.folder}: {len(runs)} runs in MLflow")
    for (run,) in runs:
        query = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'train/loss' ORDER BY step"
        steps = [step for (step,) in database.execute(query, (run,))]
        tally.expect(steps == list(range(1, epochs + 1)), f"{place.folder}: MLflow has {steps}")
    database.close()


def disturbed(
    place: Place, expected: dict[str, Record], kills: int, draw: random.Random, tally: Tally
) -> None:
    """Run it with at most so many kills, to the end."""
    finished: dict[str, Record] = {}
    begun = time.monotonic()
    run = place.run()
    try:
        while run.poll() is None or run.returncode != 0:
            if time.monotonic() - begun > LIMIT_SECONDS:
                tally.expect(False, f"{place.folder}: not done in {LIMIT_SECONDS:.0f} s")
                return
            if run.poll() is not None:
                tally.counts["starts"] += 1
                run = place.run()
            whom = strike(place, run, draw, tally) if kills > 0 else None
            if whom is not None:
                kills -= 1
                tally.counts[whom] += 1
                check_on_the_way(place, expected, finished, tally)
            elif kills == 0:
                run.wait(LIMIT_SECONDS)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    check_on_the_way(place, expected, finished, tally)


def check_result(place: Place, expected: dict[str, Record], tally: Tally) -> None:
    """Every trial done once, to the bit as it was undisturbed."""
    found = place.records()
    tally.expect(set(found) == set(expected), f"{place.folder}: other trials")
    for trial in set(found) & set(expected):
        for part in Record.__dataclass_fields__:
            same = getattr(found[trial], part) == getattr(expected[trial], part)
            tally.expect(same, f"{place.folder}: {trial}: another {part}")
    rows = [row["id"] for row in place.rows() if row["status"] == "done"]
    tally.expect(sorted(rows) == sorted(expected), f"{place.folder}: runs.csv has {rows}")
    left = list((place.folder / "results").rglob("*/.*.pt.*"))
    tally.expect(not left, f"{place.folder}: left behind: {left}")


def undisturbed(place: Place, epochs: int) -> dict[str, Record]:
    """The reference."""
    place.write(epochs)
    run = place.run()
    if run.wait(LIMIT_SECONDS):
        raise SystemExit((place.folder / "said.txt").read_text())
    return place.records()


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--per-run", type=int, default=15, help="kills of each spec and round")
    parser.add_argument("--folder", type=Path, help="where; default: a temporary one")
    parser.add_argument("--specs", nargs="+", choices=list(SPECS), default=list(SPECS))
    options = parser.parse_args(arguments)
    tally, begun, number = Tally(), time.monotonic(), 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or temporary
        alone = {n: undisturbed(Place(Path(folder) / "alone" / n, n), options.epochs)
                 for n in options.specs}  # fmt: skip
        while (left := options.kills - _kills(tally)) > 0:
            name = options.specs[number % len(options.specs)]
            place = Place(Path(folder) / str(number) / name, name)
            place.write(options.epochs)
            draw = random.Random(1000 * options.seed + number)
            disturbed(place, alone[name], min(left, options.per_run), draw, tally)
            check_result(place, alone[name], tally)
            check_mlflow(place, options.epochs, len(alone[name]), tally)
            tally.counts["trials"] += len(alone[name])
            number += 1
            print(f"{name}: {_kills(tally)} kills so far, {len(tally.violations)} violations",
                  flush=True)  # fmt: skip
    _print_table(tally, time.monotonic() - begun)
    return 1 if tally.violations else 0


def _kills(tally: Tally) -> int:
    return sum(tally.counts[whom] for whom in ("worker", "parent", "both"))


def _print_table(tally: Tally, seconds: float) -> None:
    counts = tally.counts
    rows = {
        "kills": _kills(tally),
        "  of a worker": counts["worker"],
        "  of the parent": counts["parent"],
        "  of all": counts["both"],
        "`bench run` started again": counts["starts"],
        "trials cut short and gone on with": counts["cut"],
        "trials finished, bit-identical": counts["trials"],
        "violations": len(tally.violations),
        "seconds": round(seconds),
    }
    for what, number in rows.items():
        print(f"{what:36} {number}")
    for violation in tally.violations:
        print(violation)


if __name__ == "__main__":
    sys.exit(main())
