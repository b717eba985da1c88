"""What the driver of an experiment on a Ray cluster spends on each trial, and on each epoch of one.

    python -m tests.benchmarks.cluster_scheduling [--trials 100 200 400] [--epochs 1 20]

Trials go through everything that `bench run --executor ray` does with one (claims, hosts, streams,
copied files, records, the event's display) but for training: a host sends at once what a small
trial sent when it was trained. The driver's CPU time, all of Ray's threads in it included, is
fitted as a line over the number of trials; its slope is what one trial costs.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.experiment.recording import observer
from bench.experiment.shared_trials import SharedTrials
from bench.plan.expand import trial_config
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialStatus
from bench.run.events import Ended, EpochDone, Started
from bench.run.executors.cluster import TrialShare, connected
from bench.run.executors.folder_copy import Commit, FilePart
from bench.run.executors.ray import RayExecutor
from bench.run.executors.ray_host import Message, Order, TrialHost
from bench.run.executors.ray_hosts import Hosts, HostSettings
from bench.run.progress import display
from bench.run.runner import run
from bench.run.worker import Job
from bench.states import Status
from tests.builders.ray_cluster import ray_nodes
from tests.builders.training import make_trial

STATE = os.urandom(1_000_000)
"""A checkpoint; a resnet34_unet of a quarter of the width has 16 MB with its optimizer's state."""
SMALL = {"status.json": b"{}", "history.csv": b"epoch\n" * 50, "summary.json": b"{}"}


class QuickHost(TrialHost):
    """Sends what a trial of so many epochs sends."""

    def run(self, order: Order, node: str) -> Iterator[Message]:
        trial = order.job.trial.id
        yield (Started(trial, node),)
        state = [FilePart(f"{trial}/{name}", STATE) for name in ("last.pt", "best.pt")]
        small = [FilePart(f"{trial}/{name}", data) for name, data in SMALL.items()]
        log = FilePart(f"{trial}/log.txt", b"a line\n", appended=True)
        for epoch in range(1, order.job.trial.settings.train.epochs + 1):
            row = EpochDone(trial, {"epoch": epoch, "train/loss": 0.5, "val/dice": 0.5})
            yield (*state, *small[:2], log, Commit(), row)
        yield (*small, Commit((f"{trial}/last.pt",), durable=True), Ended(trial, Status.DONE))


def driver_seconds(hosts: Hosts, count: int, epochs: int) -> tuple[float, float]:
    """CPU and wall seconds of the driver for so many trials."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        trials = [make_trial(seed=seed, train={"epochs": epochs}) for seed in range(count)]
        with store.leases("made") as leases:
            recorders = {trial.id: _recorder(store, trial) for trial in trials}
            before = dict.fromkeys(recorders, TrialStatus(Status.PLANNED))
            claims = SharedTrials(leases, recorders, before, {})
            jobs = [Job(t, recorders[t.id], recorders[t.id].files.log) for t in trials]
            console = Console(file=io.StringIO())
            shown = display(console, {trial.id: epochs for trial in trials}, "val/dice")
            observe = observer(recorders, lambda _: None, shown.observe)
            cpu, wall = time.process_time(), time.perf_counter()
            with shown:
                outcome = run(jobs, RayExecutor(hosts), observe, claims=claims)
            assert outcome.count(Status.DONE) == count, outcome.ended[:1]
            return time.process_time() - cpu, time.perf_counter() - wall


def _recorder(store: Store, trial: Trial) -> TrialRecorder:
    files = store.trial("made", trial.id)
    files.write_config(trial_config(trial))
    return TrialRecorder(files, "val/dice", {"dice": "max"})


def main() -> None:
    """Print the seconds of each number of trials, and the slopes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 20])
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--at-a-time", type=int, default=8)
    given = parser.parse_args()
    cpus = given.at_a_time // given.nodes
    with ray_nodes(given.nodes, cpus) as cluster, connected(cluster.address):
        import ray

        from tests.benchmarks.cluster_scheduling import QuickHost as Quick  # not of __main__

        settings = HostSettings(TrialShare(1, 0, 1), str(Path.cwd()), files="copied")
        hosts = Hosts(replace(settings, jobs=given.at_a_time), print)
        hosts._actor = ray.remote(max_restarts=0, max_concurrency=8)(Quick)
        driver_seconds(hosts, 2 * given.at_a_time, 1)  # hosts are started
        slopes = [_slope(hosts, given.trials, epochs) for epochs in given.epochs]
        hosts.close()
    more = given.epochs[-1] - given.epochs[0]
    if more:
        each = (slopes[-1] - slopes[0]) / more
        print(f"one epoch more: {1000 * each:.1f} ms")


def _slope(hosts: Hosts, counts: list[int], epochs: int) -> float:
    found = []
    for count in counts:
        cpu, wall = driver_seconds(hosts, count, epochs)
        found.append(cpu)
        print(f"{epochs} epochs, {count} trials: {cpu:.2f} s CPU, {wall:.2f} s", flush=True)
    slope, intercept = np.polyfit(counts, found, 1)
    print(f"{epochs} epochs: {1000 * slope:.1f} ms a trial, {intercept:.2f} s besides")
    return float(slope)


if __name__ == "__main__":
    main()
