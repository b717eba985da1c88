"""What the training loop costs over the loop an expert writes by hand, and over Lightning's.

`PYTHONPATH=. python tests/benchmarks/loop.py` trains a model of one small convolution on tiny
images, where a step is little else than the loop itself, and prints each loop's time a step beyond
the bare one's. With `--model unet --size 96` whole epochs, validation included, are compared.

The bare loop has the images as normalised floats in memory, in the model's memory format, a fused
optimizer and autocast; nothing is read back within an epoch, nothing is recorded and nothing is
kept. Lightning has the same batches made before the clock starts, or a `DataLoader`, and neither
logger, checkpoints, progress bar nor validation. They take turns epoch by epoch in one process;
medians are printed.
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
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.train.loop import Training
from bench.train.trial_parts import TrialParts, build
from tests.benchmarks.timing import Line, every_round, peer, seconds, table
from tests.builders.training import MemoryRecorder, Silent, make_trial

TINY = '{"target": "tests.benchmarks.loop:Tiny"}'
EPSILON = 1e-6


class Tiny(nn.Module):
    """The smallest model that can be trained."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.conv(images)
        return found


class Ours:
    """Epochs of `bench.train.loop`, as a trial has them."""

    def __init__(self, trial: Trial, folder: Path) -> None:
        parts = build(trial)
        batch_size = trial.settings.train.batch_size
        self.parts, self.epochs = parts, 0
        self.training = Training(
            trial, parts.model, parts.task, parts.batches("train", batch_size),
            parts.batches("val"), samples=parts.samples("val"),
            fingerprint=parts.data.fingerprint, device=parts.device,
            recorder=MemoryRecorder(folder), signals=Silent(),
        )  # fmt: skip

    def train(self) -> None:
        self.epochs += 1
        self.training.take_steps(self.training.train_batches.plan(self.epochs), self.epochs)

    def epoch(self) -> None:
        self.epochs += 1
        self.training._epoch(self.epochs)

    def keep(self) -> None:
        """Write the checkpoints: what `epoch` leaves out, since the bare loop does."""
        self.training.progress.best = None
        row = {self.training.trial.settings.select.metric: 0.5}
        self.training.note_best(row)
        self.training.epoch_record(row)()


class Bare:
    """The same by hand: cross-entropy, Adam, Dice and IoU per image."""

    def __init__(self, trial: Trial) -> None:
        train, parts = trial.settings.train, build(trial)
        self.size, self.device = train.batch_size, parts.device
        layout = torch.channels_last if train.channels_last else torch.contiguous_format
        self.model = parts.model.to(memory_format=layout)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=train.lr, fused=True)
        self.bf16 = parts.precision().name == "bf16"
        self.train_images, self.train_masks = everything(parts, "train")
        self.val_images, self.val_masks = everything(parts, "val")

    def autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def train(self) -> None:
        self.model.train()
        images, masks = self.train_images, self.train_masks
        order = torch.randperm(len(images)).to(self.device)
        total = torch.zeros((), device=self.device)
        for index in order.split(self.size):
            with self.autocast():
                scores = self.model(rows(images, index))
                truth = masks.index_select(0, index).long()
                loss = F.cross_entropy(scores.float(), truth, ignore_index=255)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            total += loss.detach() * len(index)
        float(total)

    @torch.inference_mode()
    def validate(self) -> None:
        self.model.eval()
        found = []
        for images, truth in zip(
            self.val_images.split(self.size), self.val_masks.split(self.size), strict=True
        ):
            with self.autocast():
                scores = self.model(images).float()
            loss = F.cross_entropy(scores, truth.long(), ignore_index=255)
            predicted, foreground = scores[:, 1] > scores[:, 0], truth == 1
            predicted &= truth != 255
            both = (predicted & foreground).sum((1, 2))
            total = predicted.sum((1, 2)) + foreground.sum((1, 2))
            dice = (2 * both + EPSILON) / (total + EPSILON)
            iou = (both + EPSILON) / (total - both + EPSILON)
            found.append(torch.stack([loss * len(images), dice.sum(), iou.sum()]))
        torch.stack(found).sum(0).tolist()

    def epoch(self) -> None:
        self.train()
        self.validate()


def rows(images: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """`images[index]`, copied as they lie in memory, which is fastest."""
    if images.is_contiguous():
        return images.index_select(0, index)
    return images.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)


def everything(parts: TrialParts, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A whole split's normalised images and masks."""
    (batch,) = parts.batches(split, len(parts.data.splits[split])).in_order()
    assert batch.target is not None
    return batch.images, batch.target


class InMemory:
    """Batches that are there already. A mere list would be taken for several loaders."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def lightnings(trial: Trial) -> dict[str, Callable[[], float]]:
    """Seconds of a training epoch in a bare `Trainer`, without and with a `DataLoader`."""
    lightning = peer("lightning")
    if lightning is None:
        return {}
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    parts = build(trial)
    images, masks = everything(parts, "train")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = parts.model

        def on_train_epoch_start(self) -> None:
            self.started = time.perf_counter()

        def on_train_epoch_end(self) -> None:
            self.took = time.perf_counter() - self.started

        def training_step(self, batch: Batch) -> torch.Tensor:
            return parts.task.loss(self.model, batch)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            lr = trial.settings.train.lr
            return torch.optim.Adam(self.parameters(), lr=lr, fused=True)

    module, batch_size = Module(), trial.settings.train.batch_size
    samples = TensorDataset(images, masks, torch.arange(len(images)))

    def in_memory() -> InMemory:
        order = torch.randperm(len(images), device=parts.device)
        return InMemory([Batch(images[i], masks[i], i) for i in order.split(batch_size)])

    def loader() -> DataLoader[Any]:
        return DataLoader(samples, batch_size, shuffle=True, collate_fn=stacked)

    def epoch(batches: Callable[[], object]) -> float:
        trainer = lightning.Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="gpu" if parts.device.type == "cuda" else "cpu",
        )  # fmt: skip
        trainer.fit(module, batches())
        return float(module.took)

    return {
        "lightning": lambda: epoch(in_memory),
        "lightning, DataLoader": lambda: epoch(loader),
    }


def stacked(samples: list[tuple[torch.Tensor, ...]]) -> Batch:
    return Batch(*(torch.stack(each) for each in zip(*samples, strict=True)))


def overhead(trial: Trial, rounds: int, folder: Path) -> None:
    """Print the time a step of each loop, and what it has beyond the bare one's."""
    train = trial.settings.train
    steps = -(-trial.settings.data.train // train.batch_size)
    ours, bare = Ours(trial, folder), Bare(trial)
    runs = {"bare": lambda: seconds(bare.train), "bench": lambda: seconds(ours.train)}
    runs |= lightnings(trial)
    taken = {
        name: 1e3 * statistics.median(found) / steps
        for name, found in every_round(runs, rounds).items()
    }
    print(f"ms a step, and beyond the bare loop ({steps} steps a round, {rounds} rounds)")
    table(
        Line(name, f"{found:.3f}  +{found - taken['bare']:.3f}", found / taken["bare"])
        for name, found in taken.items()
    )


def epochs(trial: Trial, rounds: int, builds: int, folder: Path) -> None:
    """Print the time of whole epochs.

    The same loop, built twice, differs by some per cent from itself for as long as it lives: where
    in memory things come to lie. So all is built several times.
    """
    found: dict[str, list[float]] = {"bare": [], "bench": [], "checkpoints": []}
    ratios = []
    for _ in range(builds):
        ours, bare = Ours(trial, folder), Bare(trial)
        runs = {"bare": lambda: seconds(bare.epoch), "bench": lambda: seconds(ours.epoch)}  # noqa: B023
        each = every_round(runs, rounds)
        ratios.append(statistics.median(each["bench"]) / statistics.median(each["bare"]))
        # not among the others, since the system goes on writing after it
        each |= every_round({"checkpoints": lambda: seconds(ours.keep)}, 2)  # noqa: B023
        for name, taken in each.items():
            found[name] += taken
    medians = {name: statistics.median(each) for name, each in found.items()}
    data = trial.settings.data
    print(f"seconds an epoch of {data.train} images and {data.val} in validation")
    table(Line(name, f"{each:.3f}", each / medians["bare"]) for name, each in medians.items())
    ratios_text = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    print(
        f"bench to bare, each time they were built: {ratios_text}; "
        f"median {statistics.median(ratios):.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=TINY, help="a name, or settings as JSON")
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--train", type=int, default=1200, help="training images")
    parser.add_argument("--val", type=int, default=40, help="validation images")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--builds", type=int, default=5, help="of loops whose epochs are compared")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    model = json.loads(given.model) if given.model.startswith("{") else {"name": given.model}
    trial = make_trial(
        model=model,
        data={"image_size": given.size, "train": given.train, "val": given.val},
        train={"batch_size": given.batch, "epochs": 10_000},
        machine={"device": given.device, "threads": given.threads},
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("BENCH_CACHE", folder)
        if given.model == TINY:
            overhead(trial, given.rounds, Path(folder))
        else:
            epochs(trial, given.rounds, given.builds, Path(folder))


if __name__ == "__main__":
    main()
