"""SIGKILL at random instants, to workers, the parent, or both: everything must come out the same.

    python -m tests.faults.kills --kills 200 [--seed 0]

Three `bench run`s of four trials (segmentation with augmentation, diffusion with a moving average,
classification) and two `bench search`es (TPE on SQLite, random side by side on a journal, both with
confirmation) are done once undisturbed. Then the same, round after round in a fresh folder, while
processes are killed and the command is started again, until all trials are done. After each kill:
no finished trial may be lost or changed, no row be lost or trained again (what a clock said in it
stays), every history must be a beginning of the undisturbed one, and one of the last two
checkpoints must be whole. After each round: histories (without what a clock says), best
checkpoints, summaries and pictures must be the same to the bit, with one row per trial in the
report and one run per trial in MLflow, and no traceback anywhere; a search must have tried the same
points with the same figures, and chosen the same. Exits with 1 on any violation.
"""

from __future__ import annotations

import argparse
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
from tests.faults.workspace import SPECS, Record, Workspace, history, read_json, record

LIMIT_SECONDS = 600.0
PREPARING = "preparing the trials: the process was ended from outside"
"""Said by a command whose preparation was killed three times in a row."""

Found = tuple[dict[str, Record], tuple[dict[str, Any], str]]
"""Every trial's record, and what a search has found."""


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


@dataclass
class Seen:
    """What was on disk of one workspace's trials at the last look.

    Attributes:
        finished: everything of those that were finished.
        rows: the lines of each history, with what a clock said: of an epoch that is trained twice,
            that differs.
    """

    finished: dict[str, Record] = field(default_factory=dict)
    rows: dict[str, list[str]] = field(default_factory=dict)

    def look(self, workspace: Workspace, tally: Tally) -> None:
        """Nothing that was there at the last look may be gone or changed."""
        for folder in workspace.trials():
            path = folder / "history.csv"
            lines = path.read_text().splitlines() if path.exists() else []
            before = self.rows.get(folder.name, [])
            kept = lines[: len(before)] == before
            tally.expect(kept, f"{folder}: rows are gone, or were trained again")
            self.rows[folder.name] = lines
        for trial, was in self.finished.items():
            now = record(workspace.folder / "results" / workspace.name / trial)
            tally.expect(now == was, f"{trial}: was finished, and is not what it was")
        for folder in workspace.trials():
            done = read_json(folder / "status.json")["status"] == "done"
            if done and folder.name not in self.finished:
                self.finished[folder.name] = record(folder)


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


def training(workspace: Workspace, processes: Sequence[psutil.Process]) -> int:
    """How many of the processes train a trial that has finished an epoch, and not the last one."""
    pids = {process.pid for process in processes}
    statuses = [(read_json(folder / "status.json"), folder) for folder in workspace.trials()]
    return sum(
        status["status"] == "running" and status["pid"] in pids and bool(history(folder))
        for status, folder in statuses
    )


def strike(
    workspace: Workspace,
    run: subprocess.Popen[bytes],
    draw: random.Random,
    seen: Seen,
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
    seen.look(workspace, tally)
    if whom == "worker":
        victims = workers(run)
        if not victims:
            return None
        victim = draw.choice(victims)
        tally.counts["cut"] += training(workspace, [victim])
        victim.kill()
        return whom
    tally.counts["cut"] += training(workspace, workers(run))
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
    workspace: Workspace, expected: dict[str, Record], seen: Seen, tally: Tally
) -> None:
    """What must hold at every instant."""
    seen.look(workspace, tally)
    for folder in workspace.trials():
        if folder.name not in expected:
            tally.expect(False, f"{folder}: no trial of the undisturbed one")
            continue
        whole, found = expected[folder.name].history, history(folder)
        tally.expect(found == whole[: len(found)], f"{folder}: rows that are not the expected ones")
        if found and read_json(folder / "status.json")["status"] != "done":
            tally.expect(_one_is_whole(folder), f"{folder}: no checkpoint to go on from")


def _one_is_whole(folder: Path) -> bool:
    for name in ("last.pt", "previous.pt"):
        for _ in range(3):  # a worker that still runs may rename it meanwhile
            try:
                checkpoint.load(folder / name)
            except StoreError:
                continue
            return True
    return False


def check_mlflow(workspace: Workspace, epochs: int, trials: int, tally: Tally) -> None:
    """After a sync: one run per trial, every epoch once."""
    synced = workspace.start("sync").wait(LIMIT_SECONDS) == 0
    said = (workspace.folder / "said.txt").read_text()[-2000:]
    tally.expect(synced, f"{workspace.folder}: sync failed: {said}")
    database = sqlite3.connect(workspace.folder / "results" / "mlflow.db")
    active = (
        "SELECT r.run_uuid FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
        "WHERE t.key = 'bench.kind' AND t.value = 'trial' AND r.lifecycle_stage = 'active'"
    )
    runs = database.execute(active).fetchall()
    tally.expect(len(runs) == trials, f"{workspace.folder}: {len(runs)} runs in MLflow")
    for (run,) in runs:
        query = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'train/loss' ORDER BY step"
        steps = [step for (step,) in database.execute(query, (run,))]
        tally.expect(steps == list(range(1, epochs + 1)), f"{workspace.folder}: MLflow has {steps}")
    database.close()


def disturbed(
    workspace: Workspace, expected: dict[str, Record], kills: int, draw: random.Random, tally: Tally
) -> None:
    """Run it with at most so many kills, to the end."""
    seen = Seen()
    begun = time.monotonic()
    run = workspace.run()
    try:
        while run.poll() is None or run.returncode != 0:
            if time.monotonic() - begun > LIMIT_SECONDS:
                tally.expect(False, f"{workspace.folder}: not done in {LIMIT_SECONDS:.0f} s")
                return
            if run.poll() is not None:
                said = (workspace.folder / "said.txt").read_text()[-2000:]
                killed = run.returncode == -signal.SIGKILL or PREPARING in said
                tally.expect(killed, f"{workspace.folder}: it ended by itself: {said}")
                tally.counts["starts"] += 1
                run = workspace.run()
            whom = strike(workspace, run, draw, seen, tally) if kills > 0 else None
            if whom is not None:
                kills -= 1
                tally.counts[whom] += 1
                check_on_the_way(workspace, expected, seen, tally)
            elif kills == 0:
                run.wait(LIMIT_SECONDS)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    check_on_the_way(workspace, expected, seen, tally)


def check_result(workspace: Workspace, undisturbed: Found, tally: Tally) -> None:
    """Every trial done once, to the bit as it was undisturbed; a search with the same points."""
    expected, search = undisturbed
    tally.expect(
        workspace.found() == search, f"{workspace.folder}: the search has found something else"
    )
    found = workspace.records()
    tally.expect(set(found) == set(expected), f"{workspace.folder}: other trials")
    for trial in set(found) & set(expected):
        for part in Record.__dataclass_fields__:
            same = getattr(found[trial], part) == getattr(expected[trial], part)
            tally.expect(same, f"{workspace.folder}: {trial}: another {part}")
    rows = [row["id"] for row in workspace.rows() if row["status"] == "done"]
    tally.expect(sorted(rows) == sorted(expected), f"{workspace.folder}: runs.csv has {rows}")
    left = list((workspace.folder / "results").rglob("*/.*.pt.*"))
    tally.expect(not left, f"{workspace.folder}: left behind: {left}")
    for said in (workspace.folder / "said.txt", *workspace.folder.rglob("log.txt")):
        text = said.read_text()
        reported = any(word in text for word in ("Traceback", "was not foreseen"))
        tally.expect(not reported, f"{said}: a traceback: {text[-2000:] if reported else ''}")


def undisturbed(workspace: Workspace, epochs: int) -> Found:
    """The reference."""
    workspace.write(epochs)
    run = workspace.run()
    if run.wait(LIMIT_SECONDS):
        raise SystemExit((workspace.folder / "said.txt").read_text())
    return workspace.records(), workspace.found()


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
        alone = {n: undisturbed(Workspace(Path(folder) / "alone" / n, n), options.epochs)
                 for n in options.specs}  # fmt: skip
        while (left := options.kills - _kills(tally)) > 0:
            name = options.specs[number % len(options.specs)]
            workspace = Workspace(Path(folder) / f"{options.seed}-{number}" / name, name)
            workspace.write(options.epochs)
            draw = random.Random(1000 * options.seed + number)
            disturbed(workspace, alone[name][0], min(left, options.per_run), draw, tally)
            check_result(workspace, alone[name], tally)
            check_mlflow(workspace, options.epochs, len(alone[name][0]), tally)
            tally.counts["trials"] += len(alone[name][0])
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
        "the command started again": counts["starts"],
        "trainings cut short and gone on with": counts["cut"],
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
