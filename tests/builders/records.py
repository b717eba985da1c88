"""Made-up records in exactly the files' format, written by plain file writes.

`python -m tests.builders.records results` writes a study to look at.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.plan.recorded import Identity, imported_identity
from bench.plan.trial import digest, fixed_settings_of, hash_common, make_id
from bench.tasks.palette import GAP, PALETTE

METRICS = {"loss": "min", "dice": "max", "iou": "max"}
COLUMNS = (
    "epoch", "train/loss", "val/loss", "val/dice", "val/iou", "lr", "epoch_seconds",
    "val_seconds", "images_per_second", "peak_memory_mb",
)  # fmt: skip
TIME = "2026-01-02T03:04:05.678Z"
PARAMS = {"unet": (13_395_394, 31_012_159_488), "resnet34_unet": (26_055_554, 8_125_415_424)}

Row = dict[str, float | None]


@dataclass
class MadeTrial:
    """One trial as it is written; what is not given looks like a finished trial without results."""

    seed: int | None = 0
    axes: dict[str, str] = field(default_factory=dict)
    status: str = "done"
    failure: str | None = None
    message: str | None = None
    source: str = "bench"
    history: Sequence[Mapping[str, float | None]] = ()
    summary: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    common: str | None = "c0ffee00"
    arm: str | None = None
    updated: str = TIME

    @property
    def settings(self) -> dict[str, Any]:
        """Made-up settings: each axis has its label, the first one also what sets the arm apart."""
        settings: dict[str, Any] = {"common": self.common}
        for axis, label in self.axes.items():
            section = settings
            for key in axis.split("."):
                section = section.setdefault(key, {})
            section["label"] = [label, self.arm] if axis == next(iter(self.axes)) else label
        return settings if self.axes else settings | {"arm": self.arm}

    @property
    def identity(self) -> Identity:
        """The id, as real ids are, and the hashes of arm and common settings."""
        if self.source != "bench":
            return imported_identity(self.source, self.axes, self.seed)
        name = make_id(self.axes, f"s{self.seed}", self.settings | {"seed": self.seed})
        common = hash_common(fixed_settings_of(self.settings, self.axes), self.axes)
        return Identity(name, digest(self.settings), common)

    @property
    def id(self) -> str:
        """Labels, seed and a hash."""
        return self.identity.id

    @property
    def labels(self) -> list[str]:
        """The labels of its levels."""
        return list(self.axes.values())

    @property
    def arm_hash(self) -> str:
        """Of its settings."""
        return str(self.identity.arm)


def write_trial(results: Path, experiment: str, trial: MadeTrial) -> Path:
    """Write a trial's folder and return it."""
    folder = results / experiment / trial.id
    folder.mkdir(parents=True)
    config = {
        "id": trial.id,
        "experiment": experiment,
        "seed": trial.seed,
        "axes": trial.axes,
        "common": trial.identity.common,
        "arm": trial.arm_hash,
        "settings": trial.settings if trial.source == "bench" else {},
    }
    if trial.source != "bench":
        config |= {"source": trial.source, "file": "log.csv", "place": 0}
    status = {
        "status": trial.status,
        "failure": trial.failure,
        "message": trial.message,
        "source": trial.source,
        "pid": 1,
        "host": "made",
        "started": TIME,
        "updated": trial.updated,
    }
    (folder / "config.yaml").write_text(json.dumps(config))  # JSON is YAML 1.2 too
    (folder / "status.json").write_text(json.dumps(status))
    done = trial.status == "done"  # has a history and a summary in any case
    if history := trial.history or ([_only_epoch(trial)] if done else ()):
        (folder / "history.csv").write_text(history_text(history))
    if summary := trial.summary or ({"torch": "2.15.0"} if done else {}):
        (folder / "summary.json").write_text(json.dumps(summary))
    if trial.environment:
        (folder / "environment.json").write_text(json.dumps(trial.environment))
    return folder


def _only_epoch(trial: MadeTrial) -> Row:
    """Of a trial of which a summary alone was given; of a log, its figures follow from it."""
    logged = trial.summary if trial.source != "bench" else {}
    best = {k: v for k, v in logged.items() if k.startswith("best_val_")}
    return {"epoch": 1, "train/loss": None} | {f"val/{k[9:]}": v for k, v in best.items()}


def history_text(rows: Sequence[Mapping[str, float | None]]) -> str:
    """history.csv; a missing value is empty."""
    present = dict.fromkeys(column for row in rows for column in row)
    columns = [c for c in COLUMNS if c in present] + [c for c in present if c not in COLUMNS]
    lines = [",".join(columns)]
    for row in rows:
        cells = [row.get(column) for column in columns]
        lines.append(",".join("" if cell is None else repr(cell) for cell in cells))
    return "\n".join(lines) + "\n"


def write_plan(
    results: Path, experiment: str, trials: Sequence[MadeTrial], **changes: Any
) -> dict[str, Any]:
    """Write plan.json for these trials and return it."""
    names = list(dict.fromkeys(axis for trial in trials for axis in trial.axes))
    axes = {n: list(dict.fromkeys(t.axes[n] for t in trials if n in t.axes)) for n in names}
    plan = {
        "experiment": experiment,
        "task": "segmentation",
        "spec": f"experiment: {experiment}\ntask: segmentation\nseeds: 3\n",
        "source": f"experiments/{experiment}.yaml",
        "common": trials[0].identity.common if trials else "c0ffee00",
        "axes": axes,
        "select": {"metric": "val/dice", "mode": "max"},
        "metrics": METRICS,
        "trials": [
            {
                "id": t.id,
                "seed": t.seed,
                "axes": t.axes,
                "common": t.identity.common,
                "arm": t.arm_hash,
            }
            for t in trials
        ],
        "written": TIME,
    } | changes
    (results / experiment).mkdir(parents=True, exist_ok=True)
    (results / experiment / "plan.json").write_text(json.dumps(plan))
    return plan


def write_experiment(
    results: Path, experiment: str, trials: Sequence[MadeTrial], **changes: Any
) -> dict[str, Any]:
    """Write the plan and every trial that is not merely planned."""
    for trial in trials:
        if trial.status != "planned":
            write_trial(results, experiment, trial)
    return write_plan(results, experiment, trials, **changes)


def derived(history: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """What a summary says that follows from the history."""
    dice = [row["val/dice"] for row in history]
    best = int(np.argmax(dice))
    loss = [row["val/loss"] for row in history]
    seconds = [row.get("epoch_seconds") or 0.0 for row in history]
    reached = int(np.argmax(np.array(dice) >= 0.95 * dice[best]))
    found: dict[str, Any] = {"epochs": len(history), "best_epoch": best + 1}
    for metric, sign in METRICS.items():
        values = [row.get(f"val/{metric}") for row in history]
        if None not in values:
            found[f"best_val_{metric}"] = (min if sign == "min" else max)(values)
            found[f"final_val_{metric}"] = values[-1]
    return found | {
        "final_train_loss": history[-1]["train/loss"],
        "overfit_gap": loss[-1] - min(loss),
        "epochs_to_95pct": reached + 1,
        "seconds_to_95pct": sum(seconds[: reached + 1]),
        "epoch_seconds": float(np.median(seconds[1:] or seconds)),
        "train_seconds": sum(seconds),
    }


def study(
    models: Sequence[str] = ("unet", "resnet34_unet"),
    augments: Sequence[str] = ("none", "elastic", "elastic_or_crop"),
    seeds: int = 3,
    epochs: int = 60,
    failed: Sequence[int] = (),
) -> list[MadeTrial]:
    """Plausible trials of the published study; those whose positions are in `failed` diverged."""
    trials = []
    for i, (model, augment, seed) in enumerate(itertools.product(models, augments, range(seeds))):
        trial = MadeTrial(seed, {"model": model, "augment": augment})
        rng = np.random.default_rng([i, seed])
        if i in failed:
            trial.status, trial.failure = "failed", "diverged"
            trial.message = "train/loss was not finite for 3 steps in epoch 4: lower train.lr"
            trial.history = curves(model, augment, 3, rng)
        else:
            trial.history = curves(model, augment, epochs, rng)
            trial.summary = facts(model, trial.history, rng)
        trial.environment = environment()
        trials.append(trial)
    return trials


def curves(model: str, augment: str, epochs: int, rng: np.random.Generator) -> list[Row]:
    """Learning curves like the published ones: rise, overfitting, spikes."""
    slow = 12.0 if "resnet" in model else 5.0
    top = 0.88 + 0.012 * ("elastic" in augment) + 0.004 * ("crop" in augment) + rng.normal(0, 4e-3)
    overfit = 0.004 if "crop" in augment else 0.007
    seconds = (9.0 if "resnet" in model else 21.0) + rng.normal(0, 0.1)
    rows: list[Row] = []
    for epoch in range(1, epochs + 1):
        rise = 1 - np.exp(-epoch / slow)
        dice = 0.45 + (top - 0.45) * rise - abs(rng.normal(0, 0.02)) * np.exp(-epoch / 25)
        dice -= 0.1 * (rng.random() < 0.03)
        train = 0.65 * np.exp(-epoch / (2.2 * slow)) + 0.03 + abs(rng.normal(0, 0.006))
        loss = 0.22 + 0.5 * np.exp(-epoch / slow) + overfit * max(0, epoch - 2 * slow)
        rows.append(
            {
                "epoch": epoch,
                "train/loss": float(train),
                "val/loss": float(loss + abs(rng.normal(0, 0.015))),
                "val/dice": float(dice),
                "val/iou": float(dice / (2 - dice)),
                "lr": 1e-3,
                "epoch_seconds": float(seconds + abs(rng.normal(0, 0.2)) + 3 * (epoch == 1)),
                "val_seconds": float(seconds / 8),
                "images_per_second": float(3312 / seconds),
                "peak_memory_mb": 7400.5 if model == "unet" else 5120.25,
            }
        )
    return rows


def facts(model: str, history: Sequence[Row], rng: np.random.Generator) -> dict[str, Any]:
    """summary.json of a finished trial."""
    params, macs = PARAMS.get(model, (1_000_000, 2_000_000_000))
    dice = max(row["val/dice"] or 0 for row in history) - 0.012 + rng.normal(0, 2e-3)
    return {
        "params": params,
        "trainable_params": params,
        "macs": macs,
        **derived(history),
        "peak_memory_mb": history[-1]["peak_memory_mb"],
        "memory_kind": "cuda allocator",
        "test_loss": 0.26,
        "test_dice": float(dice),
        "test_iou": float(dice / (2 - dice)),
        "baseline_dice": 0.5605,
        "baseline_iou": 0.4012,
        "baseline_val_dice": 0.5598,
        "baseline_val_iou": 0.4003,
        "device": "cuda",
        "threads": 8,
        "precision": "bf16",
        "channels_last": True,
        "deterministic": False,
        "data_fingerprint": "9f2c11aa",
        "torch": "2.15.0",
        "git_commit": "0123abcd",
    }


def environment() -> dict[str, Any]:
    """environment.json."""
    return {
        "bench": "0.1.0",
        "python": "3.11.9",
        "cpu": "made-up CPU",
        "cores": 16,
        "ram_mb": 128000,
        "device": "cuda",
        "threads": 8,
        "gpu": "NVIDIA H100 80GB HBM3",
        "gpu_memory_mb": 85000,
        "git_commit": "0123abcd",
        "git_dirty": False,
        "packages": {"torch": "2.15.0", "torchvision": "0.30.0", "matplotlib": "3.11.2"},
    }


def write_samples(folder: Path, count: int = 4, size: int = 96) -> None:
    """Strips of image, truth, prediction and errors, as segmentation draws them."""
    (folder / "samples").mkdir(exist_ok=True)
    for i in range(count):
        rng = np.random.default_rng(i)
        y, x = np.mgrid[:size, :size] / size - 0.5
        truth = (x / 0.3) ** 2 + ((y - 0.1) / 0.2) ** 2 < 1
        guess = ((x - 0.05) / 0.28) ** 2 + ((y - 0.08) / 0.22) ** 2 < 1
        image = rng.integers(60, 140, (size, size, 3)) + truth[..., None] * 70
        gap = np.full((size, GAP, 3), 255)
        panels = [image, gap, PALETTE[truth.astype(int)], gap, PALETTE[guess.astype(int)], gap]
        panels.append(image // 2 + (truth != guess)[..., None] * [100, 60, 0])
        strip = np.concatenate(panels, axis=1)
        Image.fromarray(strip.clip(0, 255).astype(np.uint8)).save(
            folder / "samples" / f"image_{i}.png"
        )


def main(results: Path) -> None:
    """Write a study with a failed trial, pictures and a left-out trial."""
    trials = study(failed=(4,))
    write_experiment(results, "made_study", trials)
    write_trial(results, "made_study", MadeTrial(9, dict(trials[0].axes), common="0ldc0de0"))
    for trial in trials:
        write_samples(results / "made_study" / trial.id)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
