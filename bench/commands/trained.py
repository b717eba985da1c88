"""`bench evaluate` and `bench predict`: using what a trial has learnt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.decode import read_image
from bench.errors import BenchError, StoreError
from bench.plan.expand import load_trial
from bench.record.store import Store, TrialFiles
from bench.tasks.pictures import PALETTE, overlay
from bench.train.session import Parts, build, predict


def evaluate(store: Store, trial: str, split: str) -> dict[str, float]:
    """The metrics of the trial's best checkpoint on `train`, `val` or `test`."""
    if split not in ("train", "val", "test"):
        raise BenchError(f"--split {split}: use train, val or test")
    return _trained(store.find(trial)).score(split)


def predict_files(store: Store, trial: str, images: Sequence[Path], out: Path) -> list[Path]:
    """Write `<name>_mask.png` and `<name>_overlay.png` for each image, at the image's own size.

    A mask's pixel values are the class numbers; its palette shows them in colour.
    """
    parts = _trained(store.find(trial))
    size = parts.trial.settings.data.image_size
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for path in images:
        image = read_image(path)
        small = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
        labels = predict(parts, small[None], (image.height, image.width))[0]
        written += [_write_mask(labels, out / f"{path.stem}_mask.png")]
        tinted = out / f"{path.stem}_overlay.png"
        Image.fromarray(overlay(np.asarray(image), labels)).save(tinted)
        written.append(tinted)
    return written


def _trained(files: TrialFiles) -> Parts:
    if not files.best.exists():
        raise StoreError(
            f"{files.folder}: no best.pt, the trial is {files.status().status}: "
            "`bench run` its spec first"
        )
    parts = build(load_trial(files.config()))
    parts.load(files.best)
    return parts


def _write_mask(labels: np.ndarray, path: Path) -> Path:
    mask = Image.fromarray(labels)
    mask.putpalette(PALETTE.flatten().tolist())
    mask.save(path)
    return path
