"""How close the memory that `bench plan --memory` predicts is to what trials then take.

`PYTHONPATH=. python tests/benchmarks/memory.py` predicts and runs a few small trials, each in
processes of its own as workers are, and prints predicted and measured peaks in MB and their ratio,
which should stay within 25%. `--only unet` runs those whose name contains it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from bench.plan.trial import Trial
from bench.run.forecast import forecast
from bench.run.processes import worker_context
from tests.builders.training import MemoryRecorder, Silent, make_trial

RESNET50 = {"name": "encoder_unet", "encoder": "resnet50"}


class Case(NamedTuple):
    """A trial: its model, images and what else its training has."""

    model: dict[str, Any]
    size: int
    batch: int
    train: dict[str, Any]

    @property
    def name(self) -> str:
        parts = [*map(str, self.model.values()), f"{self.batch}×{self.size}²"]
        return ", ".join([*parts, *(f"{key}: {value}" for key, value in self.train.items())])

    def trial(self, device: str, threads: int) -> Trial:
        diffusion = self.model["name"] == "ddpm_unet"
        tiny = {"ddim_steps": 1, "ddpm_steps": 1, "samples": 1}
        return make_trial(
            task={"name": "diffusion", **tiny} if diffusion else {"name": "segmentation"},
            data={"image_size": self.size, "train": 2 * self.batch, "val": self.batch, "test": 1,
                  "normalize": "symmetric" if diffusion else "imagenet"},
            model=self.model,
            train={"epochs": 2, "batch_size": self.batch, **self.train},
            select={"metric": "val/loss", "mode": "min"},
            machine={"device": device, "threads": threads},
        )  # fmt: skip


CASES = [
    Case({"name": "unet"}, 64, 20, {}),
    Case({"name": "unet"}, 128, 8, {}),
    Case({"name": "unet"}, 96, 20, {"micro_batch": 5}),
    Case({"name": "unet", "width": 0.25}, 128, 20, {"ema": 0.99}),
    Case({"name": "resnet34_unet"}, 64, 20, {}),
    Case({"name": "resnet34_unet"}, 128, 20, {"ema": 0.99}),
    Case({"name": "resnet18_unet"}, 96, 16, {}),
    Case({"name": "resnet18_unet"}, 128, 12, {"freeze": "encoder"}),
    Case({"name": "ddpm_unet", "width": 0.5}, 64, 8, {"ema": 0.999}),
    Case({"name": "ddpm_unet", "width": 0.25}, 64, 16, {}),
    Case(RESNET50, 64, 8, {"ema": 0.99}),
    Case(RESNET50, 128, 12, {}),
    Case(RESNET50, 128, 16, {"freeze": "encoder", "val_batch_size": 16}),
    Case(RESNET50, 128, 4, {"freeze": "encoder", "val_batch_size": 64}),
]


def measured(trial: Trial) -> float:
    """The row's `peak_memory_mb`, of a trial that is run in a process of its own."""
    context = worker_context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(trial, theirs))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    peak: float = ours.recv()
    process.join()
    return peak


def _run(trial: Trial, connection: Connection) -> None:
    from bench.train.session import train_trial

    with tempfile.TemporaryDirectory() as folder:
        recorder = MemoryRecorder(Path(folder))
        train_trial(trial, recorder, Silent())
    connection.send(max(row["peak_memory_mb"] or 0 for row in recorder.rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of the cases to run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("BENCH_CACHE", folder)
        print(f"{'predicted':>9}  {'measured':>8}  ratio")
        for case in CASES:
            if given.only not in case.name:
                continue
            trial = case.trial(given.device, given.threads)
            peak = forecast([trial])[trial.id].peak_mb
            found = measured(trial)
            columns_text = "" if peak is None else f"{peak:9.0f}  {found:8.0f}  {peak / found:5.2f}"
            print(f"{columns_text}  {case.name}", flush=True)


if __name__ == "__main__":
    main()
