"""How close the times that `bench plan --time` predicts are to what trials then take.

`PYTHONPATH=. python tests/benchmarks/durations.py` predicts and runs one seed of some arms of three
shipped specs at reduced sizes, in turn, each in processes of its own as workers are. For each arm
it prints seconds predicted, seconds taken and their ratio, of the wall clock and of the CPU; on a
machine with busy neighbours only the latter says something. Real pets are where BENCH_PETS says.

`--whole` predicts and runs whole specs instead, as many trials at a time as `bench run` would have.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from bench.experiment.current_run import RunOptions
from bench.experiment.durations import DurationRequest, durations
from bench.experiment.planning import plan_of
from bench.experiment.running import run_plan
from bench.experiment.time_forecast import TrialTime, forecast_time
from bench.plan.plan import Plan
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store, TrialFiles
from bench.run.measure_durations import ClockName
from bench.run.processes import worker_context
from bench.run.worker import WorkerResources, redirect_output
from bench.spec.load import load_spec
from tests.builders.training import Silent
from tests.conftest import PETS

SPECS = {
    "pets_small": ["train.epochs=3", "seeds=1"],
    "encoders_small": ["train.epochs=2", "seeds=1"],
    "resnet_blocks_small": ["train.epochs=3", "train.warmup_epochs=1", "seeds=1"],
    "diffusion_noise_small": [
        "train.epochs=4",
        "seeds=1",
        "task.ddpm_steps=20",
        "task.show_every=2",
    ],
    "quickstart": ["train.epochs=6", "seeds=1"],
}
DEFAULT = ("pets_small", "encoders_small", "resnet_blocks_small")


class Seconds(NamedTuple):
    """Of the wall clock, and of the CPU."""

    wall: float
    cpu: float


def planned(name: str) -> Plan:
    """The spec's plan at its reduced size."""
    path = Path("experiments") / f"{name}.yaml"
    changes = [*SPECS[name], "machine.device=cpu", "machine.threads=1"]
    if "oxford_pet" in path.read_text():
        changes += [f"data.root={PETS}", "data.download=false"]
    return plan_of(load_spec(path, changes), path.parent, Path("results"))


def predicted(trial: Trial, results: Path, clock: ClockName) -> float:
    """What a few steps say."""
    request = DurationRequest(Store(results), trial.experiment, [WorkerResources(1)], clock)
    return TrialTime(trial, durations([trial], request, lambda _: None)[trial.id]).seconds


def taken(trial: Trial, results: Path) -> Seconds:
    """What a trial takes in a process of its own."""
    context = worker_context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(trial, results, theirs))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    found: Seconds = ours.recv()
    process.join()
    return found


def _run(trial: Trial, results: Path, connection: Connection) -> None:
    import torch

    from bench.train.session import train_trial

    wall, cpu = time.perf_counter(), time.process_time()
    torch.set_num_threads(1)
    files = TrialFiles(results / trial.experiment / trial.id)
    files.folder.mkdir(parents=True)
    redirect_output(files.log)
    recorder = TrialRecorder(files, trial.settings.select.metric, trial.settings.metrics)
    train_trial(trial, recorder, Silent())
    connection.send(Seconds(time.perf_counter() - wall, time.process_time() - cpu))


def compare(name: str, arms: int, folder: Path) -> None:
    """Predict and run some arms in turn."""
    sums = {"predicted": 0.0, "taken": 0.0}
    for trial in itertools.islice(planned(name).trials, arms):
        foreseen = predicted(trial, folder / "nothing", "cpu")
        by_wall = predicted(trial, folder / "nothing", "wall")  # no record tells
        found = taken(trial, folder / "results")
        sums["predicted"] += foreseen
        sums["taken"] += found.cpu
        print(
            f"{name}: {', '.join(trial.axes.values())}: CPU {foreseen:.1f} s predicted, "
            f"{found.cpu:.1f} taken, {foreseen / found.cpu:.2f}; wall {by_wall:.1f}, "
            f"{found.wall:.1f}, {by_wall / found.wall:.2f}",
            flush=True,
        )
    print(f"{name}: CPU in all: ratio {sums['predicted'] / sums['taken']:.3f}", flush=True)


def compare_whole(name: str, folder: Path) -> None:
    """Predict and run a whole spec."""
    plan, store = planned(name), Store(folder / "results")
    foreseen = forecast_time(plan, store, None, lambda _: None).first.seconds
    begun = time.perf_counter()
    options = RunOptions(store.root, folder / "reports")
    run_plan(plan, options, Console(file=io.StringIO()))
    found = time.perf_counter() - begun
    print(
        f"{name}: {foreseen:.0f} s predicted, {found:.0f} with everything, {foreseen / found:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=DEFAULT, choices=sorted(SPECS))
    parser.add_argument("--arms", type=int, default=3, help="of each spec")
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    for name in given.only:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["BENCH_CACHE"] = folder
            if given.whole:
                compare_whole(name, Path(folder))
            else:
                compare(name, given.arms, Path(folder))


if __name__ == "__main__":
    main()
