"""What a report on a large study costs: seconds of CPU, memory, and bytes of the page.

`PYTHONPATH=. python tests/benchmarks/reporting.py`. The study is made up: 480 arms of 4 seeds with
100 epochs each, a few with sample pictures, written by the code that `bench run` writes records
with. `--make results` only writes it, to look at; `--pieces 2` spreads it over two experiments and
reports on them together.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bench.plan.expand import make_plan, trial_config
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.benchmarks.timing import Line, table
from tests.builders.records import curves, environment, facts, write_samples

SPEC = """
experiment: {name}
task: segmentation
data: {{name: shapes, train: 8, val: 4, test: 4, image_size: 32}}
train: {{epochs: {epochs}, batch_size: 4}}
grid:
  model: {{{models}}}
  augment: {{none: [], flip: [hflip], elastic: [{{elastic: {{p: 0.2}}}}]}}
  train.lr: [0.001, 0.0003, 0.0001, 0.00003]
  train.weight_decay: [0, 0.0001]
seeds: {seeds}
hypotheses:
  - {{id: elastic, claim: Elastic deformation raises the Dice coefficient, metric: best_val_dice,
     a: {{augment: elastic}}, b: {{augment: none}}, expect: higher}}
  - {{id: flip, claim: Flipping does not change the Dice coefficient, metric: best_val_dice,
     a: {{augment: flip}}, b: {{augment: none}}, expect: equivalent, margin: 0.01}}
"""
PER_MODEL = 24  # arms
WITH_PICTURES = 12  # trials
CHILD = """
import json, sys, time
from pathlib import Path
from bench.record.store import Store
from bench.report.page import write_report, write_together
store, out, names = Store(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3:]
if len(names) > 1:
    page = write_together(store, names, "all", out)
else:
    page = write_report(store, names, out)
# of this program: ru_maxrss would have that of the process that started it, which imports torch
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
print(json.dumps({"seconds": time.process_time(), "peak": peak, "page": str(page)}))
"""


def write_study(
    results: Path, arms: int, seeds: int, epochs: int, name: str = "large", first: int = 0
) -> int:
    """Write a study of at least so many arms, of models from number `first` on; returns its arms.

    Every trial is finished.
    """
    models = range(first, first + -(-arms // PER_MODEL))
    levels = ", ".join(f"unet_{i}: {{name: unet, width: {(i + 1) / 64}}}" for i in models)
    results.mkdir(parents=True, exist_ok=True)
    spec = results / f"{name}.yaml"
    spec.write_text(SPEC.format(name=name, epochs=epochs, models=levels, seeds=seeds))
    plan, store = make_plan(load_spec(spec)), Store(results)
    store.write_plan(name, plan.record())
    for number, trial in enumerate(plan.trials):
        files = store.trial(name, trial.id)
        files.write_config(trial_config(trial))
        _record(trial, TrialRecorder(files, "val/dice", plan.metrics), number)
        if number < WITH_PICTURES:
            write_samples(files.folder)
    return len(models) * PER_MODEL


def _record(trial: Trial, recorder: TrialRecorder, number: int) -> None:
    """A finished trial with made-up curves; some arms are better than others."""
    rng = np.random.default_rng([number, trial.seed])
    history = curves("unet", trial.axes["augment"], trial.settings.train.epochs, rng)
    all_facts = facts("unet", history, rng)
    follows = {"epochs", "best_epoch", "final_train_loss", "overfit_gap", "epochs_to_95pct"}
    recorder.begin(environment())
    recorder.resume(history)
    recorder.finish(
        {k: v for k, v in all_facts.items() if k not in follows and k[:5] not in _SCORES}
    )


_SCORES = ("best_", "final", "epoch", "secon", "train")


def measured(results: Path, out: Path, names: Sequence[str]) -> dict[str, Any]:
    """A report in a process of its own: its seconds of CPU, peak of memory in kB, and page."""
    command = [sys.executable, "-c", CHILD, str(results), str(out), *names]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def linked_files(page: Path) -> Iterator[Path]:
    """The files that lie beside the page."""
    return (path for path in page.parent.rglob("*") if path.is_file() and path != page)


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, default=480)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--pieces", type=int, default=1, help="experiments that it is spread over")
    parser.add_argument("--make", type=Path, metavar="RESULTS", help="write it, and no more")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = options.make or Path(scratch, "results")
        share = options.arms // options.pieces
        names = [f"large_{i}" for i in range(options.pieces)]
        arms = sum(
            write_study(results, share, options.seeds, options.epochs, name, i * share // PER_MODEL)
            for i, name in enumerate(names)
        )
        if options.make:
            return
        found = measured(results, Path(scratch, "reports"), names)
        page = Path(found["page"])
        print(f"{arms} arms × {options.seeds} seeds × {options.epochs} epochs")
        table(
            [
                Line("CPU of the report", f"{found['seconds']:.1f} s"),
                Line("peak of memory", f"{found['peak'] / 1e3:.0f} MB"),
                Line("report.html", f"{page.stat().st_size / 1e6:.2f} MB"),
                *(
                    Line(f"{path.relative_to(page.parent)}", f"{path.stat().st_size / 1e6:.2f} MB")
                    for path in islice(sorted(linked_files(page), key=_size), 3)
                ),
            ]
        )


def _size(path: Path) -> int:
    return -path.stat().st_size


if __name__ == "__main__":
    main()
