"""`bench evaluate` and `bench predict`: using what a trial has learnt."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.data.decode import read_image, resized
from bench.errors import BenchError, StoreError
from bench.plan.expand import load_trial
from bench.plan.recorded import is_imported
from bench.record.files import replacing, write_text
from bench.record.store import Store, TrialFiles
from bench.tasks.base import Picture
from bench.tasks.classification import Classification
from bench.tasks.palette import PALETTE
from bench.tasks.pictures import overlay
from bench.train.session import Parts, build, entering, predict


def evaluate(store: Store, trial: str, split: str, device: str) -> dict[str, float | None]:
    """The metrics of the trial's best checkpoint on `train`, `val` or `test`; None: no score."""
    if split not in ("train", "val", "test"):
        raise BenchError(f"--split {split}: use train, val or test")
    return _trained(store.find(trial), device).score(split)


def predict_files(
    store: Store, trial: str, images: Sequence[Path], out: Path, device: str
) -> list[Path]:
    """Write what the trial's best checkpoint makes of each image; the files written.

    Classification writes `predictions.csv` (file, label, probability). Segmentation writes
    `<name>_mask.png` and `<name>_overlay.png` at the image's own size; a mask's pixel values are
    the class numbers, its palette shows them in colour.

    Raises:
        BenchError: the task has nothing to say of an image; a file cannot be read.
    """
    _refuse_twins(images)
    parts = _trained(store.find(trial), device)
    if isinstance(parts.task, Classification):
        return [_classify(parts, parts.task, images, out)]
    return [file for path in images for file in _segment(parts, path, out)]


def _classify(parts: Parts, task: Classification, images: Sequence[Path], out: Path) -> Path:
    """Write the most probable label of each image."""
    rows = [("file", "label", "probability")]
    parts.model.eval()
    for path in images:
        image = _small(parts, read_image(path))
        with torch.inference_mode(), parts.precision().autocast():
            probability, label = task.probabilities(parts.model, entering(parts, image)).max(1)
        rows.append((str(path), task.classes[int(label)], f"{float(probability):.6f}"))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(out / "predictions.csv", text.getvalue())
    return out / "predictions.csv"


def _segment(parts: Parts, path: Path, out: Path) -> tuple[Path, Path]:
    """Write an image's mask and overlay."""
    image = read_image(path)
    labels = predict(parts, _small(parts, image), (image.height, image.width))[0]
    mask, tinted = (out / f"{path.stem}_{kind}.png" for kind in ("mask", "overlay"))
    _write_mask(labels, mask)
    _write(Image.fromarray(overlay(np.asarray(image), labels)), tinted)
    return mask, tinted


def _small(parts: Parts, image: Image.Image) -> Picture:
    """(1, size, size, 3) at the size that the trial was trained at."""
    size = parts.trial.settings.data.image_size
    return resized(image, size)[None]


def _trained(files: TrialFiles, device: str) -> Parts:
    """The trial's parts with its best weights, wherever it was trained."""
    if is_imported(config := files.config()):
        raise StoreError(
            f"{files.folder}: was imported from {config['source']} and has a history only, no "
            "model: `bench run` a spec that trains it"
        )
    if not files.best.exists():
        raise StoreError(
            f"{files.folder}: no best.pt, the trial is {files.status().status}: "
            "`bench run` its spec first"
        )
    trial = load_trial(config)
    machine = trial.settings.machine.model_copy(update={"device": device, "placement": "auto"})
    settings = trial.settings.model_copy(update={"machine": machine})
    parts = build(replace(trial, settings=settings))
    parts.load(files.best)
    return parts


def _write_mask(labels: Picture, path: Path) -> None:
    mask = Image.fromarray(labels)
    mask.putpalette(PALETTE.flatten().tolist())
    _write(mask, path)


def _write(image: Image.Image, path: Path) -> None:
    with replacing(path) as beside:
        image.save(beside, "PNG")


def _refuse_twins(images: Sequence[Path]) -> None:
    """Results are named after the images: two of one name would overwrite each other."""
    seen: dict[str, Path] = {}
    for path in images:
        if (first := seen.setdefault(path.stem, path)) is not path:
            raise BenchError(f"{first} and {path} would have the same results: predict one by one")
