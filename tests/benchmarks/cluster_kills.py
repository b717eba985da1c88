"""Nodes of a Ray cluster killed at random while an experiment runs; what it comes to in the end.

    python -m tests.benchmarks.cluster_kills --kills 20 [--pets FOLDER]

The cluster is on this machine: a head, and nodes of one core each with folders of their own, of
which the driver's results folder is none. An experiment runs on it while after every few epochs a
random node is killed, with all its processes, and another started; after every seventh node the
driver is killed, too, and started again. In the end every trial must be done, exactly once, and
equal to the bit to one of the local executor.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from bench.record.store import Store, TrialFiles
from bench.states import Status
from tests.builders.ray_cluster import RayNodes, ray_nodes
from tests.builders.training import results as without_clocks

ROOT = Path(__file__).parents[2]
SHAPES = """\
experiment: pets_small
task: segmentation
data: {name: shapes, image_size: 32, train: 60, val: 8, test: 8}
train: {epochs: 4, batch_size: 5}
grid:
  model:
    unet: {name: unet, width: 0.1}
    resnet34_unet: {name: resnet34_unet, width: 0.1}
seeds: 6
"""


def command(spec: Path, folder: Path, changes: list[str], *options: str) -> list[str]:
    """`bench run` of the spec with its records in `folder`."""
    where = ["--results", str(folder / "results"), "--out", str(folder / "reports")]
    return [sys.executable, "-m", "bench", "run", str(spec), *changes, *where, *options]


def start(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a driver."""
    with log.open("ab") as file:
        return subprocess.Popen(arguments, cwd=ROOT, stdout=file, stderr=file)


def run_with_kills(
    nodes: RayNodes, arguments: list[str], log: Path, kills: int, seed: int
) -> dict[str, int]:
    """Run to the end; how often nodes and drivers were killed."""
    draw, done = random.Random(seed), {"nodes": 0, "drivers": 0}
    driver = start(arguments, log)
    while driver.poll() is None:
        wait_for_epochs(log, driver, 2)
        time.sleep(draw.uniform(0.0, 5.0))
        if done["nodes"] >= kills or driver.poll() is not None:
            continue
        nodes.lose(draw.choice(sorted(nodes.added)))
        done["nodes"] += 1
        nodes.add()
        if done["nodes"] % 7 == 0:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            done["drivers"] += 1
            driver = start(arguments, log)
    if driver.returncode:
        sys.exit(f"the driver ended with {driver.returncode}: see {log}")
    return done


def wait_for_epochs(log: Path, driver: subprocess.Popen[bytes], count: int) -> None:
    """Until so many epochs more are said to be done: a kill hits trials that are under way."""
    before = log.read_bytes().count(b": epoch ")
    while driver.poll() is None and log.read_bytes().count(b": epoch ") < before + count:
        time.sleep(0.2)


def differences(one: Path, other: Path, experiment: str) -> list[str]:
    """What is not equal to the bit in two folders of results; clocks and places aside."""
    found = []
    ours, theirs = (
        {files.id: files for files in Store(root).trials(experiment)} for root in (one, other)
    )
    if ours.keys() != theirs.keys():
        return [f"other trials: {sorted(ours.keys() ^ theirs.keys())}"]
    for trial in ours:
        pair = ours[trial], theirs[trial]
        if any(files.status().status is not Status.DONE for files in pair):
            found.append(f"{trial}: not done")
        for what, read in READERS.items():
            first, second = map(read, pair)
            if first != second:
                found.append(f"{trial}: other {what}")
    return found


def _weights(files: TrialFiles) -> dict[str, bytes]:
    state = torch.load(files.best, weights_only=True)["model"]
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


def _summary(files: TrialFiles) -> dict[str, Any]:
    clocks = ("seconds", "images_per_second", "peak_memory", "digest")
    found = files.summary().items()
    return {k: v for k, v in found if not any(word in k for word in clocks) and k != "git_commit"}


def _scores(files: TrialFiles) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in files.scores.glob("*.npy")}


READERS = {
    "history": lambda files: without_clocks(files.history()),
    "summary": _summary,
    "weights": _weights,
    "scores of images": _scores,
}


def rows_of(reports: Path) -> list[str]:
    """The ids in runs.csv."""
    with (reports / "pets_small" / "runs.csv").open() as file:
        return sorted(row["id"] for row in csv.DictReader(file))


def main() -> None:
    """Print a line for each run, and what differs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pets", type=Path)
    parser.add_argument("--out", type=Path, default=Path("kills"))
    parser.add_argument("--local", type=Path, help="results of the same run from before")
    parser.add_argument("changes", nargs="*")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    given.out.mkdir(parents=True, exist_ok=True)
    spec, changes = ROOT / "experiments" / "pets_small.yaml", [*given.changes]
    if given.pets is None:
        spec = given.out / "spec.yaml"
        spec.write_text(SHAPES)
    else:
        changes += [f"data.root={given.pets}", "data.download=false"]
    changes += ["machine.threads=1"]
    local, cluster = (given.out.absolute() / name for name in ("local", "cluster"))
    begun = time.monotonic()
    if given.local is not None:
        local = given.local.absolute()
    elif start(command(spec.absolute(), local, changes), given.out / "local.log").wait():
        sys.exit(f"the local run failed: see {given.out / 'local.log'}")
    print(f"local: {time.monotonic() - begun:.0f} s", flush=True)
    with ray_nodes(given.nodes) as nodes:
        options = ["--executor", "ray", "--address", nodes.address, "--files", "copied"]
        arguments = command(spec.absolute(), cluster, changes, *options, "--retries", "20")
        begun = time.monotonic()
        log = given.out / "cluster.log"
        log.write_bytes(b"")
        killed = run_with_kills(nodes, arguments, log, given.kills, given.seed)
    print(f"cluster: {time.monotonic() - begun:.0f} s, killed: {killed}", flush=True)
    retries = [files.status().retries for files in Store(cluster / "results").trials("pets_small")]
    print(f"{len(retries)} trials, started again {sum(retries)} times, one up to {max(retries)}")
    found = differences(local / "results", cluster / "results", "pets_small")
    if rows_of(local / "reports") != rows_of(cluster / "reports"):
        found.append("other rows in runs.csv")
    print("\n".join(found) if found else "every trial once, and the same bits")
    sys.exit(1 if found or killed["nodes"] < given.kills else 0)


if __name__ == "__main__":
    main()
