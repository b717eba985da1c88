"""What a trivial trial costs beyond its training: ours, Lightning + MLflow, and bare torch.

`PYTHONPATH=. python tests/benchmarks/sweep.py`. Whole `bench run`s of trivial trials (a tiny U-Net,
one epoch of two steps), from a fresh results folder with its MLflow database to the report, take
turns with fresh processes that train the same: Lightning with its checkpoint and its MLflow logger
into an SQLite store that is there already, and bare torch. Peers run a few processes, and their
whole is scaled. Beyond training: ours by the difference between runs of many trials and of one,
peers by their process's time, both without the time in the epochs' steps and validation.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.data.settings import DATASETS, ShapesSettings
from tests.benchmarks.timing import Line, peer, table

SPEC = """
experiment: trivial
task: segmentation
data: {name: shapes, train: 8, val: 4, test: 4, image_size: 32}
model: {name: unet, width: 0.0625}
train: {epochs: 1, batch_size: 4, lr: 0.001}
machine: {device: cpu, threads: 1}
"""
BATCH, RATE, WIDTH = 4, 0.001, 0.0625
PEERS = ("bare", "lightning")
LABELS = {
    "many": "bench run -j 1",
    "default": "bench run",
    "bare": "bare torch, fresh processes",
    "lightning": "Lightning + MLflow, fresh processes",
}


class Taken(NamedTuple):
    """Seconds: of everything, and of the training in it, all trials together."""

    wall: float
    training: float


def ours(folder: Path, trials: int, *arguments: str) -> Taken:
    """A `bench run` of so many trials, from nothing to the report."""
    spec = folder / "trivial.yaml"
    spec.write_text(SPEC)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        command = [sys.executable, "-m", "bench", "run", str(spec), f"seeds={trials}", *arguments]
        wall, _ = finished([*command, "--results", f"{place}/results", "--out", f"{place}/reports"])
        histories = list(Path(place, "results", "trivial").glob("*/history.csv"))
        if len(histories) != trials:
            sys.exit(f"{len(histories)} of {trials} trials have a history")
        return Taken(wall, sum(map(training_seconds, histories)))


def training_seconds(history: Path) -> float:
    """Of all epochs: steps and validation."""
    with history.open() as lines:
        rows = list(csv.DictReader(lines))
    return sum(float(row["epoch_seconds"]) + float(row["val_seconds"]) for row in rows)


def finished(command: list[str]) -> tuple[float, str]:
    """Run a process to its end: the seconds it took, and what it printed last."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return wall, done.stdout.split()[-1]


def fresh(folder: Path, kind: str, processes: int) -> Taken:
    """Processes one after the other that train once each."""
    command = [sys.executable, __file__, "--folder", str(folder), "--child", kind]
    found = [finished(command) for _ in range(processes)]
    return Taken(sum(wall for wall, _ in found), sum(float(last) for _, last in found))


def write_data(folder: Path) -> None:
    """The images and masks of our trials, for the peers."""
    settings = ShapesSettings(image_size=32, train=8, val=4, test=4)
    arrays: dict[str, Any] = {}
    for name, split in DATASETS.build(settings).prepare().splits.items():
        arrays |= {f"{name}_images": split.images, f"{name}_masks": split.masks}
    np.savez(folder / "data.npz", **arrays)


def child(folder: Path, kind: str) -> None:
    """Train once in this process; prints the seconds of steps and validation last."""
    import torch

    from bench.models.unet import UNet

    arrays = np.load(folder / "data.npz")

    def loader(split: str) -> Any:
        images = torch.from_numpy(arrays[f"{split}_images"]).permute(0, 3, 1, 2) / 255
        masks = torch.from_numpy(arrays[f"{split}_masks"]).long()
        pairs = torch.utils.data.TensorDataset(images, masks)
        return torch.utils.data.DataLoader(pairs, BATCH, shuffle=split == "train")

    train_once = {"bare": train_bare, "lightning": train_lightning}[kind]
    print(train_once(folder, UNet(width=WIDTH), loader("train"), loader("val")))


def train_bare(folder: Path, model: Any, train: Any, val: Any) -> float:
    """One epoch, a validation and a checkpoint, by hand."""
    import torch
    from torch.nn.functional import cross_entropy

    optimizer = torch.optim.Adam(model.parameters(), RATE)
    start = time.perf_counter()
    for images, masks in train:
        optimizer.zero_grad()
        cross_entropy(model(images), masks, ignore_index=255).backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        total = sum(float(cross_entropy(model(x), y, ignore_index=255)) for x, y in val)
    seconds = time.perf_counter() - start
    torch.save({"model": model.state_dict(), "val/loss": total}, folder / "bare.pt")
    return seconds


def train_lightning(folder: Path, model: Any, train: Any, val: Any) -> float:
    """The same with Lightning as it comes: checkpoint, and MLflow as its logger."""
    import lightning
    import torch
    from lightning.pytorch.loggers import MLFlowLogger
    from torch.nn.functional import cross_entropy

    clock: list[float] = []

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = model

        def training_step(self, batch: Any, _: int) -> Any:
            loss = cross_entropy(self.net(batch[0]), batch[1], ignore_index=255)
            self.log("train/loss", loss)
            return loss

        def validation_step(self, batch: Any, _: int) -> None:
            self.log("val/loss", cross_entropy(self.net(batch[0]), batch[1], ignore_index=255))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), RATE)

        def on_train_epoch_start(self) -> None:
            clock.append(time.perf_counter())

        def on_validation_epoch_end(self) -> None:
            clock.append(time.perf_counter())

    logger = MLFlowLogger("trivial", tracking_uri=f"sqlite:///{folder / 'lightning.db'}")
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=logger, default_root_dir=folder,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(Module(), train, val)
    return clock[-1] - clock[0]


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[Taken]]:
    """Every run in each round; every other round goes through them backwards."""
    runs: dict[str, Callable[[], Taken]] = {
        "many": lambda: ours(folder, options.trials, "-j", "1"),
        "one": lambda: ours(folder, 1, "-j", "1"),
        "default": lambda: ours(folder, options.trials),
        "bare": lambda: fresh(folder, "bare", options.peers),
    }
    if peer("lightning"):
        runs["lightning"] = lambda: fresh(folder, "lightning", options.peers)
        fresh(folder, "lightning", 1)  # makes the database
    ours(folder, 1)  # fills the cache and compiles what Python has not compiled yet
    found: dict[str, list[Taken]] = {name: [] for name in runs}
    for turn in range(options.rounds):
        for name in list(runs)[:: -1 if turn % 2 else 1]:
            found[name].append(runs[name]())
    return found


def show(found: Mapping[str, list[Taken]], trials: int, peers: int) -> None:
    """Wholes, a further trial, and that beyond its training: medians of the rounds."""

    def median(of: Callable[[int], float]) -> float:
        return statistics.median(of(turn) for turn in range(len(found["many"])))

    def whole(name: str) -> float:
        scale = trials / peers if name in PEERS else 1
        return median(lambda k: found[name][k].wall * scale)

    def further(name: str, training: int = 1) -> float:
        """Seconds for one more trial; with `training` 0 beyond its training."""

        def seconds(taken: Taken) -> float:
            return taken.wall - (1 - training) * taken.training

        if name in PEERS:
            return median(lambda k: seconds(found[name][k]) / peers)
        return median(lambda k: (seconds(found[name][k]) - seconds(found["one"][k])) / (trials - 1))

    shown = [name for name in LABELS if name in found]
    alone = [name for name in shown if name != "default"]  # two workers train at the same time
    print(f"{trials} trivial trials, from start to report (peers: {peers} processes, scaled)")
    table(Line(LABELS[n], f"{whole(n):.2f} s", whole(n) / whole("many")) for n in shown)
    print("\nA further trial")
    table(Line(LABELS[n], f"{further(n):.2f} s", further(n) / further("many")) for n in alone)
    print("\nA further trial beyond its training")
    base = further("many", training=0)
    table(Line(LABELS[n], f"{further(n, 0):.2f} s", further(n, 0) / base) for n in alone)
    one = median(lambda k: found["one"][k].wall)
    print(f"\nbench run of one trial, from start to report: {one:.2f} s")


def main() -> None:
    """Measure and print; or be one of the peers' processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--peers", type=int, default=4, help="processes of each peer a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.folder, options.child)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        show(measure(options, Path(folder)), options.trials, options.peers)


if __name__ == "__main__":
    main()
