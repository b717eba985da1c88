"""How much of the device's arithmetic each model's training uses.

`PYTHONPATH=. python tests/benchmarks/roofline.py [--device cuda]`, on a CPU with `--small`. A
training step's FLOPs are six times fvcore's MACs (two operations each; the backward pass taken as
twice the forward one). fvcore counts normalisation and upsampling too, and neither losses nor the
optimizer. The peak is the better of a large matrix product and a large 3×3 convolution, forward
only, in the same precision, taking turns with the model's steps. Medians.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from bench.measure.cost import model_cost
from bench.models.settings import MODELS
from bench.train.loop import Training
from bench.train.trial_parts import build
from tests.benchmarks.timing import alternate
from tests.builders.training import MemoryRecorder, Silent, make_trial

STEPS = {"cpu": 1, "cuda": 10}
"""So many at a time are timed: a GPU is not waited for between steps."""
FLOPS_PER_MAC, FORWARD_AND_BACKWARD = 2, 3
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Case(NamedTuple):
    """A model as its experiment trains it."""

    model: dict[str, Any]
    size: int
    batch: int


CASES = (
    Case({"name": "unet"}, 256, 20),
    Case({"name": "resnet18_unet"}, 256, 20),
    Case({"name": "resnet34_unet"}, 256, 20),
    Case({"name": "encoder_unet", "encoder": "resnet50"}, 256, 16),
    Case({"name": "resnet", "depth": 18}, 224, 64),
    Case({"name": "resnet", "depth": 50}, 224, 64),
    Case({"name": "ddpm_unet"}, 64, 64),
    Case({"name": "resnet50_linknet"}, 64, 64),
)


class Work(NamedTuple):
    """Something to be timed, and how much arithmetic it is."""

    run: Callable[[], object]
    flop: float


def training_step(case: Case, given: argparse.Namespace, folder: Path) -> tuple[Work, str]:
    """One optimizer step on images that rest on the device, and the precision it has."""
    (task,) = MODELS.entry(case.model["name"]).settings.serves
    trial = make_trial(
        task={"name": task},
        data={"image_size": case.size, "train": case.batch, "val": 1, "test": 1,
              "kinds": 3 if task == "classification" else 1,
              "normalize": "symmetric" if task == "diffusion" else "imagenet"},
        model=case.model,
        train={"batch_size": case.batch, "precision": given.precision, "compile": given.compile},
        select={"metric": "val/loss", "mode": "min"},
        machine={"device": given.device, "threads": given.threads},
    )  # fmt: skip
    parts = build(trial)
    training = Training(
        trial, parts.model, parts.task, parts.batches("train", case.batch), parts.batches("val"),
        samples=parts.samples("val"), fingerprint=parts.data.fingerprint, device=parts.device,
        recorder=MemoryRecorder(folder), signals=Silent(),
    )  # fmt: skip
    (batch,) = training.train_batches.in_order()
    cost = model_cost(
        parts.model, (1, 3, case.size, case.size), takes_time=trial.settings.task.takes_time
    )
    assert cost.macs is not None
    training.model.train()
    steps = STEPS[given.device]

    def run() -> None:
        for _ in range(steps):
            training.step(batch)

    flop = FLOPS_PER_MAC * FORWARD_AND_BACKWARD * cost.macs * case.batch * steps
    return Work(run, flop), training.precision.name


def product(device: str, dtype: torch.dtype) -> Work:
    """A large matrix product."""
    n = 8192 if device == "cuda" else 1536
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    return Work(lambda: torch.mm(a, b), 2.0 * n**3)


def convolution(device: str, dtype: torch.dtype) -> Work:
    """A large 3×3 convolution, channels last."""
    n, channels, size = (64, 512, 64) if device == "cuda" else (4, 256, 32)
    images = torch.randn(n, channels, size, size, device=device, dtype=dtype)
    weights = torch.randn(channels, channels, 3, 3, device=device, dtype=dtype)
    images, weights = (t.contiguous(memory_format=torch.channels_last) for t in (images, weights))
    return Work(
        lambda: F.conv2d(images, weights, padding=1), 2.0 * 9 * channels**2 * n * size * size
    )


def measured(case: Case, given: argparse.Namespace, folder: Path) -> str:
    """One row of the table."""
    step, precision = training_step(case, given, folder)
    device, dtype = ("cpu" if given.device == "cpu" else "cuda"), TYPES[precision]
    work = {
        "step": step,
        "product": product(device, dtype),
        "convolution": convolution(device, dtype),
    }
    taken = alternate({name: each.run for name, each in work.items()}, given.rounds, warmup=2)
    seconds = taken["step"] / STEPS[given.device]
    rate = {name: each.flop / taken[name] / 1e12 for name, each in work.items()}
    name = " ".join(str(value) for value in case.model.values())
    share = rate["step"] / max(rate["product"], rate["convolution"])
    return (
        f"{name:24s}{case.size:5d}{case.batch:6d}  {precision:6s}{1e3 * seconds:10.1f}"
        f"{case.batch / seconds:10.1f}{rate['step']:9.3f}{rate['product']:9.3f}"
        f"{rate['convolution']:9.3f}{share:8.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", default="auto", help="auto: bf16 on CUDA, fp32 on a CPU")
    parser.add_argument("--compile", default="none", help="a mode of torch.compile")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="64×64, batches of 4")
    parser.add_argument("--only", help="models with this in their name")
    given = parser.parse_args()
    print(
        f"{'model':24s}{'size':>5s}{'batch':>6s}  {'format':6s}{'ms/step':>10s}{'images/s':>10s}"
        f"{'TFLOP/s':>9s}{'product':>9s}{'conv':>9s}{'of peak':>8s}"
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("BENCH_CACHE", folder)
        for case in CASES:
            if given.only is None or given.only in case.model["name"]:
                chosen = case._replace(size=64, batch=4) if given.small else case
                print(measured(chosen, given, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
