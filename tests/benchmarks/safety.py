"""What checkpoints, records and health checks cost of an epoch.

`PYTHONPATH=. python tests/benchmarks/safety.py`, with real pets under `../shared/data` (or
`--data`). Trains arms of experiments/pets_small.yaml epoch by epoch as a trial of `bench run` does,
leases and all, beside the same training that keeps nothing. They take turns; the ratio of the
median epochs is printed, and the part of the kept one's time that goes into keeping, which is what
the other's noise hides. Best epochs, whose weights are written once more, are as many as training
has them, and every one with `--best`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import torch

from bench.plan.expand import make_plan, trial_config
from bench.plan.trial import Trial
from bench.record.leases import Lease
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.spec.load import load_spec
from bench.train.loop import Training
from bench.train.recorder import Recorder
from bench.train.trial_parts import build
from tests.benchmarks.timing import Line, every_round, table
from tests.builders.training import MemoryRecorder, Silent

ROOT = Path(__file__).parents[2]


class Epochs:
    """A trial's training, an epoch at a time."""

    def __init__(self, trial: Trial, recorder: Recorder) -> None:
        parts, size = build(trial), trial.settings.train.batch_size
        self.training = Training(
            trial, parts.model, parts.task, parts.batches("train", size), parts.batches("val"),
            samples=parts.samples("val"), fingerprint=parts.data.fingerprint, device=parts.device,
            recorder=recorder, signals=Silent(),
        )  # fmt: skip
        self.kept = self._noted(self.training.health, "look")

    def _noted(self, owner: Any, name: str) -> list[float]:
        """The seconds that a method takes, from now on."""
        taken: list[float] = []
        action: Callable[..., object] = getattr(owner, name)

        def timed(*arguments: Any) -> None:
            begun = time.perf_counter()
            action(*arguments)
            taken.append(time.perf_counter() - begun)

        setattr(owner, name, timed)
        return taken

    def epoch(self, keep: bool, best: bool) -> float:
        """Train and validate one, and keep it; its seconds."""
        training, begun = self.training, time.perf_counter()
        row = training._epoch(training.progress.epoch + 1)
        training.progress.history.append(row)
        if keep:
            middle = time.perf_counter()
            if best:
                training.progress.best = None
            training.note_best(row)
            training.epoch_record(row)()
            self.kept[-1] += time.perf_counter() - middle
        return time.perf_counter() - begun


class Found(NamedTuple):
    """Seconds of an arm's epoch without and with keeping, of keeping, and the state's MB."""

    base: float
    whole: float
    kept: float
    size: float

    def lines(self, name: str) -> list[Line]:
        """For people."""
        return [
            Line(f"{name}: an epoch, nothing kept", f"{self.base:.3f} s"),
            Line(f"{name}: an epoch, all kept", f"{self.whole:.3f} s", self.whole / self.base),
            Line(f"{name}: of it, keeping ({self.size:.1f} MB)", f"{1000 * self.kept:.1f} ms",
                 self.kept / self.whole),
        ]  # fmt: skip


def compare(trial: Trial, rounds: int, best: bool, folder: Path) -> Found:
    """One arm's figures. Not every epoch waits for the disk, so what is kept is a mean."""
    store = Store(folder / "results")
    with ExitStack() as stack:
        leases = stack.enter_context(store.leases(trial.experiment))
        lease = leases.claim(trial.id)
        if not isinstance(lease, Lease):
            raise SystemExit(f"{trial.id} is held by {lease}")
        files = store.trial(trial.experiment, trial.id)
        files.write_config(trial_config(trial))
        metrics = trial.settings.metrics
        recorder = TrialRecorder(files, trial.settings.select.metric, metrics, lease=lease)
        recorder.begin({})
        safe, bare = Epochs(trial, recorder), Epochs(trial, MemoryRecorder(folder))
        bare.training.health.observe_epoch = lambda steps: None  # type: ignore[method-assign]
        runs = {
            "nothing kept": lambda: bare.epoch(keep=False, best=False),
            "all kept": lambda: safe.epoch(keep=True, best=best),
        }
        taken = every_round(runs, rounds)
    base, whole = (statistics.median(taken[name]) for name in runs)
    kept = statistics.mean(safe.kept[-rounds:])
    return Found(base, whole, kept, files.last.stat().st_size / 1e6)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", type=Path, default=ROOT / "experiments/pets_small.yaml")
    parser.add_argument("--data", default=str(ROOT.parent / "shared/data"))
    parser.add_argument("--arms", nargs="+", default=["unet, none", "resnet34_unet, none"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--best", action="store_true", help="every epoch is the best so far")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    overrides = [f"data.root={options.data}", "data.download=false", "seeds=1"]
    plan = make_plan(load_spec(options.spec, overrides))
    lines: list[Line] = []
    found: list[Found] = []
    for trial in plan.trials:
        name = ", ".join(trial.axes.values())
        if name in options.arms:
            with tempfile.TemporaryDirectory() as folder:
                found.append(compare(trial, options.rounds, options.best, Path(folder)))
            lines += found[-1].lines(name)
    whole, kept = sum(each.whole for each in found), sum(each.kept for each in found)
    table([*lines, Line("together: of an epoch, keeping", f"{1000 * kept:.1f} ms", kept / whole)])


if __name__ == "__main__":
    main()
