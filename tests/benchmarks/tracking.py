"""What recording a run's curves costs, and reading many back: ours and MLflow's client.

`PYTHONPATH=. python tests/benchmarks/tracking.py`. Writing, 100 epochs × 8 metrics into one SQLite
store, from creating the run to ending it: a value at a time, an epoch at a time, all at once, and
the mirror that `bench run` has, pushing the whole trial when it has ended, every 2 seconds while it
takes 20, or after each epoch. They take turns. The mirror's figures have the summary, the settings
and the artifacts in them, which the others do not log. Reading, 50 such runs: MLflow's client, and
`bench.analysis.load` and the histories alone from files.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric

from bench.analysis.load import load
from bench.record.mlflow import Mirror
from bench.record.store import Store
from tests.benchmarks.timing import Line, alternate, table
from tests.builders.trials import begin, finish, row

EPOCHS = 100
EXPERIMENT = "pets"  # of the made-up trials


def rows() -> list[dict[str, float]]:
    """The metrics of each epoch."""
    metrics = [{k: float(v or 0) for k, v in row(e).items() if k != "epoch"} for e in range(1, 101)]
    assert all(len(epoch) == 8 for epoch in metrics)
    return metrics


class Writer:
    """Ways to log one run each, into the store's MLflow database."""

    def __init__(self, store: Store) -> None:
        self.store, self.mirror = store, Mirror(store)
        self.mirror.prepare()
        self.client = MlflowClient(store.mlflow_uri)
        self.theirs = self.client.create_experiment("client")
        self.numbers: Iterator[int] = itertools.count()

    def by_value(self) -> None:
        """`log_metric`, as most programs do."""
        with_run = self.client.create_run(self.theirs).info.run_id
        for step, metrics in enumerate(rows(), 1):
            for name, value in metrics.items():
                self.client.log_metric(with_run, name, value, step=step)
        self.client.set_terminated(with_run)

    def by_batch(self, epochs: int) -> None:
        """`log_batch` for so many epochs at a time."""
        run_id = self.client.create_run(self.theirs).info.run_id
        now = int(1000 * time.time())
        steps = list(enumerate(rows(), 1))
        for start in range(0, EPOCHS, epochs):
            part = steps[start : start + epochs]
            metrics = [Metric(k, v, now, s) for s, found in part for k, v in found.items()]
            self.client.log_batch(run_id, metrics=metrics)
        self.client.set_terminated(run_id)

    def ours(self, epochs: int) -> None:
        """The mirror, pushing whenever so many epochs have been added to the files."""
        recorder = begin(self.store, f"trial{next(self.numbers)}", epochs=0)
        recorder.best.write_bytes(b"best weights")
        for epoch in range(1, EPOCHS + 1):
            recorder._history.append(row(epoch))  # writing the files is not what is compared
            if epoch % epochs == 0 and epoch < EPOCHS:
                recorder._write_history()
                self.mirror.sync_trial(recorder.files)
        recorder._write_history()
        self.mirror.sync_trial(finish(recorder))


def write(options: argparse.Namespace, store: Store) -> None:
    """Measure writing, and print it."""
    writer = Writer(store)
    runs: dict[str, Callable[[], object]] = {
        "log_metric a value": writer.by_value,
        "log_batch an epoch": partial(writer.by_batch, 1),
        "log_batch at once": partial(writer.by_batch, EPOCHS),
        "ours, all at once": partial(writer.ours, EPOCHS),
        "ours, every 2 s of a run of 20 s": partial(writer.ours, 10),
        "ours, after each epoch": partial(writer.ours, 1),
    }
    found = alternate(runs, options.rounds)
    print(f"Writing {EPOCHS} epochs × 8 metrics, a run")
    base = found["ours, all at once"]
    table(Line(name, f"{seconds:.3f} s", seconds / base) for name, seconds in found.items())


class Reader:
    """Ways to read every run's history back."""

    def __init__(self, store: Store, runs: int) -> None:
        self.store = store
        mirror = Mirror(store)
        for k in range(runs):
            recorder = begin(store, f"trial{k}", epochs=0)
            recorder._history = [row(epoch) for epoch in range(1, EPOCHS + 1)]
            recorder._write_history()
            mirror.sync_trial(finish(recorder))
        self.client = MlflowClient(store.mlflow_uri)
        found = self.client.get_experiment_by_name(EXPERIMENT)
        assert found is not None
        self.experiment = found.experiment_id

    def mlflow(self) -> list[list[Metric]]:
        """Every metric of every run."""
        runs = self.client.search_runs([self.experiment], "tags.`bench.kind` = 'trial'")
        return [
            self.client.get_metric_history(run.info.run_id, name)
            for run in runs
            for name in run.data.metrics
        ]

    def load(self) -> int:
        """All that a report is made from: settings, states and summaries too."""
        return len(load(self.store, EXPERIMENT).history)

    def histories(self) -> list[list[dict[str, float | int | None]]]:
        """The histories alone, exact."""
        return [trial.history() for trial in self.store.trials(EXPERIMENT)]

    def plain(self) -> list[list[list[float]]]:
        """The least that any program can do: the files' numbers by the standard library."""
        found = []
        for trial in self.store.trials(EXPERIMENT):
            with trial.history_path.open() as lines:
                found.append([[float(x) for x in line] for line in list(csv.reader(lines))[1:]])
        return found


def read(options: argparse.Namespace, store: Store) -> None:
    """Measure reading, and print it."""
    reader = Reader(store, options.runs)
    assert reader.load() == len(reader.plain()) * EPOCHS == options.runs * EPOCHS
    runs: dict[str, Callable[[], object]] = {
        "MLflow's client": reader.mlflow,
        "bench.analysis.load": reader.load,
        "histories": reader.histories,
        "the files by csv and float": reader.plain,
    }
    found = alternate(runs, options.rounds)
    print(f"\nReading {options.runs} runs of {EPOCHS} epochs × 8 metrics")
    base = found["bench.analysis.load"]
    table(Line(name, f"{seconds:.3f} s", seconds / base) for name, seconds in found.items())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=50, help="to read")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(options, Store(Path(folder) / "written"))
        read(options, Store(Path(folder) / "read"))


if __name__ == "__main__":
    main()
