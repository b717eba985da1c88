"""What the parts of the GPU check share: JSON lines, trials, steps, timing."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models import blocks
from bench.models.resampling import reflect_pad, upsample
from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.train.graphs import GraphSettings
from bench.train.train_state import TrainState
from bench.train.trial_parts import TrialParts, build
from tests.builders.training import make_trial


@dataclass
class Check:
    """Where the check runs. On a CPU everything is small: that is to see the check itself work."""

    device: str

    @property
    def cuda(self) -> bool:
        return self.device == "cuda"

    def size(self, gpu: Any, cpu: Any) -> Any:
        """One of two sizes."""
        return gpu if self.cuda else cpu

    def emit(self, part: str, **found: Any) -> None:
        """Print what a part found, as a line."""
        print(json.dumps({"part": part, **found}, default=str), flush=True)

    def wait(self) -> None:
        """Until the device has done all."""
        if self.cuda:
            torch.cuda.synchronize()

    def free(self) -> None:
        """Give memory back, and forget its peak."""
        gc.collect()
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def milliseconds(self, run: Callable[[], object], repeats: int = 5, calls: int = 10) -> float:
        """The median of a call's time, over rounds of several calls."""
        repeats, calls = self.size((repeats, calls), (1, 1))
        for _ in range(self.size(WARM, 1)):
            run()
        taken = []
        for _ in range(repeats):
            self.wait()
            begun = time.perf_counter()
            for _ in range(calls):
                run()
            self.wait()
            taken.append((time.perf_counter() - begun) / calls)
        return 1e3 * statistics.median(taken)

    def trial(self, task: str = "segmentation", **changes: Any) -> Trial:
        """A trial of this task on this device; `changes` as for `make_trial`."""
        tree = {**self._tasks()[task], **changes}
        tree["train"] = {**self._tasks()[task]["train"], **changes.get("train", {})}
        tree["data"] = {**self._tasks()[task]["data"], **changes.get("data", {})}
        tree["machine"] = {"device": self.device, **changes.get("machine", {})}
        return make_trial(**tree)

    def _tasks(self) -> dict[str, Any]:
        batch, size = self.size((20, 96), (4, 32))
        data = {"image_size": size, "train": 3 * batch, "val": batch, "test": 4}
        train = {"batch_size": batch, "epochs": 4}
        width = {} if self.cuda else {"width": 0.125}
        return {
            "segmentation": {
                "model": {"name": "unet", **width},
                "data": {**data, "normalize": "imagenet"},
                "train": train,
            },
            "diffusion": {
                "task": {"name": "diffusion", "ddpm_steps": 5, "ddim_steps": 2, "samples": 2},
                "model": {"name": "ddpm_unet", **width},
                "data": {**data, "image_size": self.size(32, 16), "normalize": "symmetric"},
                "train": train,
                "select": {"metric": "val/loss", "mode": "min"},
            },
            "classification": {
                "task": {"name": "classification"},
                "model": {"name": "resnet", "depth": 18, **width},
                "data": {**data, "kinds": 3, "normalize": "imagenet"},
                "train": train,
                "select": {"metric": "val/top1", "mode": "max"},
            },
        }


WARM = 6
"""Calls before timing: a graph is recorded at the fourth step."""


def random_batch(trial: Trial, device: torch.device, seed: int = 0) -> Batch:
    """A batch like the trial's, of noise."""
    settings = trial.settings
    draws = torch.Generator(device).manual_seed(seed)
    count, size = settings.train.batch_size, settings.data.image_size
    shape = (count, 3, size, size)
    images = torch.randn(shape, device=device, generator=draws)
    images = images.contiguous(memory_format=torch.channels_last)
    return Batch(images, _target(trial, draws), torch.arange(count, device=device))


def _target(trial: Trial, draws: torch.Generator) -> Tensor | None:
    settings = trial.settings
    count, size = settings.train.batch_size, settings.data.image_size
    if settings.task.target_form == "none":
        return None
    if settings.task.target_form == "label":
        return torch.randint(0, 3, (count,), device=draws.device, generator=draws)
    shape = (count, size, size)
    return torch.randint(0, 2, shape, device=draws.device, generator=draws, dtype=torch.uint8)


def train_state(trial: Trial, *, graphs: bool = False) -> tuple[TrialParts, TrainState]:
    """The trial's model, ready for a step."""
    parts = build(trial)
    settings = GraphSettings() if graphs else None
    images = trial.settings.train.batch_size
    made = TrainState(
        parts.model, parts.task, trial.settings.train, parts.device, images=images, graphs=settings
    )
    made.train()
    return parts, made


@contextmanager
def pytorchs_padding() -> Iterator[None]:
    """Models pad and enlarge by PyTorch's own functions within this."""
    blocks.reflect_pad = lambda x, margin: F.pad(x, [margin] * 4, mode="reflect")
    blocks.upsample = lambda x, size: F.interpolate(
        x, size=list(size), mode="bilinear", align_corners=True
    )
    try:
        yield
    finally:
        blocks.reflect_pad, blocks.upsample = reflect_pad, upsample
