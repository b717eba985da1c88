"""Whole training epochs with augmentation: ours against Lightning with albumentations.

`PYTHONPATH=. python tests/benchmarks/pipeline.py --device cuda` trains `unet` at 256×256 in batches
of 20; every image is flipped, turned, cropped and bent. Lightning's `DataLoader` has 8 workers that
stay, pinned memory, and images that are decoded already; neither logger, checkpoints, progress bar
nor validation. The model, its memory format, the number format and the optimizer are alike.

Ours takes its turn at the end of each of Lightning's epochs, while its workers have nothing to do,
and so do the loop by hand without augmentation and ours without it; medians are printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.train.trial_parts import TrialParts, build
from tests.benchmarks.augmentation import ALL, composed
from tests.benchmarks.loop import Bare, Ours, stacked
from tests.benchmarks.timing import Line, peer, seconds, table
from tests.builders.training import make_trial

BATCH = 20
LIGHTNING = "lightning, albumentations"


class Samples(Dataset[tuple[torch.Tensor, ...]]):
    """Decoded images and masks, augmented and normalised one by one."""

    def __init__(self, trial: Trial, library: Any, images: np.ndarray, masks: np.ndarray) -> None:
        import cv2  # albumentations needs it anyway

        size = trial.settings.data.image_size
        self.images, self.masks = images, masks
        self.change = composed(library, cv2, (size, size), "uniform", library.Normalize())
        cv2.setNumThreads(0)  # the workers are forks

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        done = self.change(image=self.images[index], mask=self.masks[index])
        return done["image"], done["mask"], torch.tensor(index)


def module(
    lightning: ModuleType, trial: Trial, parts: TrialParts, at_the_end: Callable[[float], None]
) -> Any:
    """The trial as Lightning has it; `at_the_end` of an epoch is called with its seconds."""

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = parts.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

        def on_train_epoch_start(self) -> None:
            self.started = time.perf_counter()

        def training_step(self, batch: Batch) -> torch.Tensor:
            images = batch.images.contiguous(memory_format=torch.channels_last)
            return parts.task.loss(self.model, batch._replace(images=images))

        def on_train_epoch_end(self) -> None:
            if parts.device.type == "cuda":
                torch.cuda.synchronize()
            with torch.enable_grad():
                at_the_end(time.perf_counter() - self.started)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=trial.settings.train.lr, fused=True)

    return Module()


def measured(
    trial: Trial, others: Mapping[str, Callable[[], object]], rounds: int, workers: int
) -> dict[str, list[float]]:
    """Seconds of each epoch: Lightning's, and the others' between them; the first is left out."""
    lightning, library = peer("lightning"), peer("albumentations")
    if lightning is None or library is None:
        raise SystemExit(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    parts = build(trial)
    train, cuda = parts.data.splits["train"], parts.device.type == "cuda"
    assert train.masks is not None
    found: dict[str, list[float]] = {name: [] for name in (LIGHTNING, *others)}

    def others_turn(taken: float) -> None:
        found[LIGHTNING].append(taken)
        for name, run in others.items():
            found[name].append(seconds(run))

    loader: DataLoader[Any] = DataLoader(
        Samples(trial, library, np.asarray(train.images), np.asarray(train.masks)),
        BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0,
        pin_memory=cuda, collate_fn=stacked,
    )  # fmt: skip
    bf16 = parts.precision().name == "bf16"
    lightning.Trainer(
        max_epochs=rounds + 1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="gpu" if cuda else "cpu",
        precision="bf16-mixed" if bf16 else "32-true",
    ).fit(module(lightning, trial, parts, others_turn), loader)  # fmt: skip
    return {name: taken[1:] for name, taken in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="unet", help="a name, or settings as JSON")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--train", type=int, default=800, help="training images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks the network

    def made(augment: list[dict[str, Any]]) -> Trial:
        is_json = given.model.startswith("{")
        return make_trial(
            model=json.loads(given.model) if is_json else {"name": given.model},
            data={"image_size": given.size, "train": given.train, "val": 1, "test": 1,
                  "normalize": "imagenet"},
            augment=augment,
            train={"batch_size": BATCH, "epochs": 10_000, "channels_last": True},
            machine={"device": given.device, "threads": given.threads},
        )  # fmt: skip

    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("BENCH_CACHE", folder)
        plain, augmented = made([]), made([{name: {"p": 1}} for name in ALL])
        others = {
            "bench, augmented": Ours(augmented, Path(folder)).train,
            "bench, not augmented": Ours(plain, Path(folder)).train,
            "by hand, not augmented": Bare(plain).train,
        }
        found = measured(plain, others, given.rounds, given.workers)
    medians = {name: statistics.median(each) for name, each in found.items()}
    print(f"images a second in training, {given.workers} workers; ratio: time, to bench, augmented")
    mine = medians["bench, augmented"]
    table(
        Line(name, f"{given.train / median:.1f}", median / mine) for name, median in medians.items()
    )


if __name__ == "__main__":
    main()
