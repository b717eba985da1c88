"""Made-up records of tasks other than segmentation.

`python -m tests.builders.records_of_tasks results` writes a study of each to look at.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.data.settings import BREEDS
from bench.tasks.pictures import Caption, captioned, confusion_matrix
from tests.builders.records import MadeTrial, environment, facts, write_experiment, write_trial

CLASSIFICATION: dict[str, Any] = {
    "task": "classification",
    "metrics": {"loss": "min", "top1": "max", "top5": "max"},
    "select": {"metric": "val/top1", "mode": "max"},
}
DIFFUSION: dict[str, Any] = {
    "task": "diffusion",
    "metrics": dict.fromkeys(["loss", *(f"loss_t{i}" for i in range(1, 5))], "min"),
    "select": {"metric": "val/loss", "mode": "min"},
}
EXTRACTOR = "classifier pretrain_breeds/resnet-s0-1a2b3c4d: 64 features, 256 generated images"


def classification(
    arms: Mapping[str, float] = {"residual": 0.8, "plain": 0.6}, seeds: int = 3, epochs: int = 10
) -> list[MadeTrial]:
    """Arms by the top-1 accuracy that they come to."""
    trials = []
    for index, (arm, top) in enumerate(arms.items()):
        for seed in range(seeds):
            random = np.random.default_rng([index, seed])
            rise = 1 - np.exp(-np.arange(1, epochs + 1) / 4)
            top1 = (top + random.normal(0, 0.01)) * rise
            columns = {"train/loss": 3.6 - 3 * rise, "val/loss": 3.6 - 2 * rise, "val/top1": top1,
                       "val/top5": np.minimum(1, 1.3 * top1)}  # fmt: skip
            baseline = {"baseline_top1": 1 / 3, "baseline_top5": 1.0, "baseline_val_top1": 0.37}
            trials.append(trial(arm, seed, columns, CLASSIFICATION, baseline))
    return trials


def diffusion(
    arms: Mapping[str, float] = {"frozen": 0.12, "unfrozen": 0.07}, seeds: int = 3, epochs: int = 20
) -> list[MadeTrial]:
    """Arms by the loss that they come to; `frozen` trains a third of its parameters."""
    trials = []
    for index, (arm, end) in enumerate(arms.items()):
        for seed in range(seeds):
            random = np.random.default_rng([index, seed, 1])
            fall = np.exp(-np.arange(1, epochs + 1) / 4)
            loss = (end + random.normal(0, 0.002)) + (1 - end) * fall
            columns = {"train/loss": loss * 1.02, "val/loss": loss}
            columns |= {f"val/loss_t{i}": loss * s for i, s in enumerate((3, 0.7, 0.2, 0.1), 1)}
            own = {"baseline_loss": 1.0, "baseline_val_loss": 1.001, "frechet": 900 * end + seed,
                   "frechet_extractor": EXTRACTOR}  # fmt: skip
            own |= {"trainable_params": 4_465_131} if arm == "frozen" else {}
            trials.append(trial(arm, seed, columns, DIFFUSION, own))
    return trials


def trial(
    arm: str, seed: int, columns: Mapping[str, Any], plan: dict[str, Any], own: Mapping[str, Any]
) -> MadeTrial:
    """A finished trial with these curves."""
    count = len(columns["val/loss"])
    history = [
        {"epoch": i + 1, **{name: float(values[i]) for name, values in columns.items()},
         "val/dice": 0.5, "val/iou": 0.5, "epoch_seconds": 9.5, "peak_memory_mb": 2000.0}
        for i in range(count)
    ]  # fmt: skip
    summary = facts("unet", history, np.random.default_rng(seed))
    summary = {key: value for key, value in summary.items() if "dice" not in key}
    summary = {key: value for key, value in summary.items() if "iou" not in key}
    for metric, mode in plan["metrics"].items():
        values = [row[f"val/{metric}"] for row in history]
        best = (min if mode == "min" else max)(values)
        summary |= {f"best_val_{metric}": best, f"final_val_{metric}": values[-1]}
        summary[f"test_{metric}"] = best * 0.98
    for row in history:
        del row["val/dice"], row["val/iou"]
    made = MadeTrial(seed, {"arm": arm}, history=history, summary=summary | dict(own))
    made.environment = environment()
    return made


def write_classification_pictures(folder: Path) -> None:
    """What the task draws, of noise."""
    random = np.random.default_rng(0)
    counts = np.zeros((37, 37), np.int64)
    counts[np.ix_([0, 1, 5], [0, 1, 5])] = [[70, 12, 16], [4, 90, 6], [25, 5, 70]]
    images = random.integers(0, 255, (4, 64, 64, 3), np.uint8)
    captions = [Caption(f"true: {BREEDS[5]}", f"{BREEDS[i]} 71%", i == 5) for i in (5, 0, 5, 2)]
    save(folder, "confusion", confusion_matrix(counts, BREEDS))
    save(folder, "predictions", captioned(images, captions))


def write_diffusion_pictures(folder: Path, epochs: Sequence[int] = (1, 5, 10, 15, 20)) -> None:
    """Ever less noise over a slope."""
    slope = np.linspace(0, 255, 128)[None, :, None] * np.ones((128, 1, 3))
    for name in ("ddim", "ddpm"):
        for epoch in (*epochs, None):
            noise = np.random.default_rng(0).normal(0, 120 / (epoch or 20), slope.shape)
            mark = "" if epoch is None else f"epoch{epoch:02}_"
            save(folder, mark + name, (slope + noise).clip(0, 255).astype(np.uint8))


def save(folder: Path, name: str, picture: Any) -> None:
    """Write a picture where a recorder puts it."""
    (folder / "samples").mkdir(exist_ok=True)
    Image.fromarray(picture).save(folder / "samples" / f"{name}.png")


def main(results: Path) -> None:
    """Write a study of each task with pictures, one trial of it failed."""
    studies = (
        ("made_breeds", classification(), CLASSIFICATION, write_classification_pictures),
        ("made_diffusion", diffusion(), DIFFUSION, write_diffusion_pictures),
    )
    for name, trials, plan, draw in studies:
        write_experiment(results, name, trials, **plan)
        for done in trials:
            draw(results / name / done.id)
        write_trial(results, name, MadeTrial(9, {"arm": "other"}, status="failed"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
