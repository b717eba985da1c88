"""What freezing an encoder saves in time and memory.

`PYTHONPATH=. python tests/benchmarks/freezing.py`. Training steps on made-up images: unfrozen, with
the encoder frozen and BatchNorm's statistics moving, and with them held. For time the three take
turns step by step in one process; for memory each is a process of its own, whose peak on a CPU has
torch and the data in it (`before`: without a step). Medians are printed, and ratios to unfrozen.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from bench.measure.memory import PeakMemory
from bench.run.processes import worker_context
from bench.tasks.base import Batch
from bench.train.loop import Training
from bench.train.trial_parts import build
from tests.builders.training import MemoryRecorder, Silent, make_trial

ARMS: dict[str, dict[str, Any]] = {
    "unfrozen": {"freeze": "none"},
    "frozen, moving statistics": {"freeze": "encoder", "freeze_statistics": False},
    "frozen, held statistics": {"freeze": "encoder", "freeze_statistics": True},
}


def prepared(options: argparse.Namespace, arm: str) -> tuple[Training, Batch]:
    torch.set_num_threads(options.threads)
    trial = make_trial(
        task={"name": options.task},
        data={"image_size": options.size, "train": options.batch, "val": 1, "test": 1},
        model=json.loads(options.model),
        train={"batch_size": options.batch, **ARMS[arm]},
        select={"metric": "val/loss", "mode": "min"},
        machine={"device": options.device, "threads": options.threads},
    )
    parts = build(trial)
    train = parts.batches("train", options.batch)
    with tempfile.TemporaryDirectory() as folder:
        training = Training(
            trial, parts.model, parts.task, train, parts.batches("val"),
            samples=parts.samples("val"),
            fingerprint=parts.data.fingerprint, device=parts.device,
            recorder=MemoryRecorder(Path(folder)), signals=Silent(),
        )  # fmt: skip
    return training, next(iter(train.in_order()))


def step(training: Training, batch: Batch) -> float:
    """Seconds of one step."""
    start = time.perf_counter()
    training.model.train()
    training.freezing.freeze_to_eval()
    training.step(batch)
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def times(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds a step; the first two are not counted."""
    ready = {arm: prepared(options, arm) for arm in ARMS}
    taken: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for _ in range(options.steps + 2):
        for arm, (training, batch) in ready.items():
            taken[arm].append(step(training, batch))
    return {arm: statistics.median(found[2:]) for arm, found in taken.items()}


def send_memory(options: argparse.Namespace, arm: str, pipe: Connection) -> None:
    training, batch = prepared(options, arm)
    memory = PeakMemory(training.device)
    before = memory.megabytes()
    for _ in range(4):
        step(training, batch)
    pipe.send((before, memory.megabytes()))


def memory(options: argparse.Namespace, arm: str) -> tuple[float, float]:
    """MB before the first step and at the peak."""
    context = worker_context()
    ours, theirs = context.Pipe()
    process = context.Process(target=send_memory, args=(options, arm, theirs))  # type: ignore[attr-defined]
    process.start()
    theirs.close()
    try:
        found: tuple[float, float] = ours.recv()
    except EOFError:
        sys.exit("a process ended without a result; its error stands above")
    process.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default='{"name": "resnet18_unet"}', help="settings, as JSON")
    parser.add_argument("--task", default="segmentation")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=7)
    options = parser.parse_args()
    seconds = times(options)
    peaks = {arm: memory(options, arm) for arm in ARMS}
    size = options.size
    print(f"{options.model}, {size}×{size}, batch {options.batch}, {options.device}")
    print(f"{'':28s}{'s/step':>9s}{'ratio':>7s}{'before':>9s}{'peak MB':>9s}{'ratio':>7s}")
    for arm, (before, peak) in peaks.items():
        time_ratio, memory_ratio = seconds[arm] / seconds["unfrozen"], peak / peaks["unfrozen"][1]
        print(
            f"{arm:28s}{seconds[arm]:9.3f}{time_ratio:7.2f}{before:9.0f}{peak:9.0f}"
            f"{memory_ratio:7.2f}"
        )


if __name__ == "__main__":
    main()
