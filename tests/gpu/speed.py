"""Parts that measure: one at a time, since they share the card."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from bench.augment.pipeline import Pipeline
from bench.augment.settings import AugmentSettings
from bench.measure.cost import model_cost
from bench.plan.trial import Trial
from bench.train.epoch_writer import host_copy
from bench.train.train_state import TrainState
from bench.train.trial_parts import TrialParts
from tests.gpu.common import Check, pytorchs_padding, random_batch, train_state

SPATIAL = ("hflip", "rotate", "crop", "elastic")


def ceilings(check: Check) -> dict[str, float]:
    """TFLOP/s of a large product and of a large convolution, TB/s of a copy."""
    dtype = check.size(torch.bfloat16, torch.float32)
    n = check.size(8192, 128)
    a, b = (torch.randn(n, n, device=check.device, dtype=dtype) for _ in range(2))
    product = 2 * n**3 / check.milliseconds(lambda: torch.mm(a, b)) / 1e9
    count, channels, size = check.size((64, 512, 64), (1, 8, 8))
    x = torch.randn(count, channels, size, size, device=check.device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, device=check.device, dtype=dtype)
    weight = weight.contiguous(memory_format=torch.channels_last)
    taken = check.milliseconds(lambda: F.conv2d(x, weight, padding=1))
    convolution = 18 * channels**2 * count * size**2 / taken / 1e9
    source = torch.empty(check.size(2**31, 2**16), dtype=torch.uint8, device=check.device)
    target = torch.empty_like(source)
    copy = 2 * source.numel() / check.milliseconds(lambda: target.copy_(source)) / 1e9
    return {"mm_tflops": product, "conv_tflops": convolution, "copy_tb_s": copy}


def steps(check: Check) -> None:
    """A training step, 256², batch 20: PyTorch's padding, ours, a graph, a loop by hand."""
    best = ceilings(check)
    check.emit("steps", **{name: round(value, 3) for name, value in best.items()})
    check.free()
    for model in ("unet", "resnet34_unet"):
        trial = _large(check, model)
        for name, padding, graphs in (
            ("PyTorch's padding", pytorchs_padding, False),
            ("launched", nullcontext, False),
            ("replayed", nullcontext, True),
        ):
            with padding():
                parts, made = train_state(trial, graphs=graphs and check.cuda)
                batch = random_batch(trial, parts.device)
                taken = check.milliseconds(lambda made=made, batch=batch: made.step(batch))
            check.emit("steps", model=model, what=name, **_rated(check, parts, trial, taken, best))
            del parts, made
            check.free()
        taken = _by_hand(check, trial)
        check.emit("steps", model=model, what="by hand", **_rate(trial, taken))
        check.free()


def _large(check: Check, model: str) -> Trial:
    width = {} if check.cuda else {"width": 0.125}
    size, batch = check.size((256, 20), (32, 4))
    return check.trial(
        model={"name": model, **width}, data={"image_size": size}, train={"batch_size": batch}
    )


def _rate(trial: Trial, taken: float) -> dict[str, float]:
    return {
        "ms": round(taken, 3),
        "images_s": round(1e3 * trial.settings.train.batch_size / taken, 1),
    }


def _rated(
    check: Check, parts: TrialParts, trial: Trial, taken: float, best: dict[str, float]
) -> dict[str, float]:
    size = trial.settings.data.image_size
    macs = model_cost(parts.model, (1, 3, size, size)).macs or 0
    tflops = 6 * macs * trial.settings.train.batch_size / taken / 1e9
    found = _rate(trial, taken) | {
        "tflops": round(tflops, 2),
        "of_convolution": round(tflops / best["conv_tflops"], 3),
    }
    if check.cuda:
        found["peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6)
        found["reserved_mb"] = round(torch.cuda.max_memory_reserved() / 1e6)
    return found


def _by_hand(check: Check, trial: Trial) -> float:
    """Milliseconds of a step as it is commonly written."""
    parts, made = train_state(trial)
    batch, model = random_batch(trial, parts.device), made.model
    assert batch.target is not None
    truth = batch.target.long()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    autocast = torch.autocast(check.device, torch.bfloat16, enabled=check.cuda)

    def step() -> None:
        with autocast:
            loss = F.cross_entropy(model(batch.images), truth)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return check.milliseconds(step)


def augmented(check: Check) -> None:
    """What augmentation takes of the device and of the host, for a batch of 256²."""
    size, count = check.size((256, 20), (32, 4))
    shape = (count, size, size)
    pixels = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, device=check.device)
    images = pixels.permute(0, 3, 1, 2)
    masks = torch.randint(0, 2, shape, dtype=torch.uint8, device=check.device)
    for names in (SPATIAL, ("noise", "blur", "contrast", "gamma", "cutout")):
        settings = AugmentSettings.model_validate([{name: {"p": 1}} for name in names])
        pipeline, draws = Pipeline(settings), torch.Generator().manual_seed(0)

        def run(pipeline: Pipeline = pipeline, draws: torch.Generator = draws) -> Any:
            return pipeline.apply(images.clone(), masks, pipeline.choose(count, draws), draws)

        taken = check.milliseconds(run)
        check.wait()
        begun = time.perf_counter()
        for _ in range(10):
            run()
        host = 1e3 * (time.perf_counter() - begun) / 10
        check.wait()
        check.emit("augmented", names=names, ms=round(taken, 3), host_ms=round(host, 3))


def lightning(check: Check) -> None:
    """Epochs with augmentation against Lightning with albumentations and 8 workers."""
    for model in check.size(("unet", "resnet34_unet"), ('{"name": "unet", "width": 0.125}',)):
        command = [
            sys.executable, "tests/benchmarks/pipeline.py", "--device", check.device,
            "--model", model, "--rounds", str(check.size(2, 1)),
            "--train", str(check.size(400, 16)), "--workers", str(check.size(8, 1)),
            "--size", str(check.size(256, 32)),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=150)
        lines = done.stdout.splitlines()[-6:]
        check.emit("lightning", model=model, rc=done.returncode, out=lines, err=done.stderr[-300:])


def checkpoints(check: Check) -> None:
    """Seconds that a training waits for its state to be copied, and that writing the copy takes."""
    trial = _large(check, "unet")
    with tempfile.TemporaryDirectory() as folder:
        parts, made = train_state(trial)
        made.step(random_batch(trial, parts.device))
        state = {"model": made.model.state_dict(), "optimizer": made.optimizer.state_dict()}
        check.wait()
        begun = time.perf_counter()
        kept = host_copy(state)
        copied = time.perf_counter()
        torch.save(kept, Path(folder) / "state.pt")
        taken = time.perf_counter() - copied
        size = (Path(folder) / "state.pt").stat().st_size / 1e6
    check.emit(
        "checkpoints", waits_s=round(copied - begun, 3), seconds=round(taken, 3), mb=round(size, 1)
    )


def compiled(check: Check) -> None:
    """torch.compile of the same steps: seconds to compile, milliseconds a step."""
    for model in ("unet", "resnet34_unet"):
        for mode in ("default", "reduce-overhead"):
            trial = _large(check, model)
            train = trial.settings.train.model_copy(update={"compile": mode})
            parts = train_state(trial)[0]
            batch = random_batch(trial, parts.device)
            images = train.batch_size
            made = TrainState(parts.model, parts.task, train, parts.device, images=images)
            made.train()
            begun = time.perf_counter()
            for _ in range(2):
                made.step(batch)
            check.wait()
            first = time.perf_counter() - begun
            taken = check.milliseconds(lambda made=made, batch=batch: made.step(batch))
            rate = _rate(trial, taken)
            check.emit("compiled", model=model, mode=mode, first_two_s=round(first, 1), **rate)
            check.free()
            torch._dynamo.reset()


def suite(check: Check) -> None:
    """The tests that need a GPU."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header",
        "tests/train/test_cuda.py", "tests/train/test_placement.py", "-k", "cuda or pinned",
        "-m", "not slow",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=os.environ)
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    bad = [line[:250] for line in lines if line.startswith(("FAILED", "ERROR", "E "))]
    check.emit("suite", rc=done.returncode, summary=lines[-1:], failed=bad)
