"""Sample predictions for the page: small copies of the pictures that trials keep."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError

from bench.record.store import TrialFiles
from bench.report.arms import Arm
from bench.report.load import Records
from bench.report.table import best_trials, ranking

WIDTH = 800  # pixels
PER_ARM = 3
MOST_ARMS = 24


@dataclass(frozen=True)
class Samples:
    """Pictures of one trial: (name, JPEG), without the JPEG where the file cannot be read."""

    arm: Arm
    trial: str
    pictures: list[tuple[str, bytes | None]]


def sample_pictures(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm]
) -> tuple[list[Samples], int]:
    """The first pictures of each arm's best trial, and how many arms had to be left out.

    At most `MOST_ARMS` arms, the best by the selected metric, in the arms' order.
    """
    column = f"best_val_{records.select.metric}"
    order = ranking(summary, column, records.select.mode)
    trials = best_trials(records, arms)
    kept = {number for number in order if number in trials}
    if len(kept) > MOST_ARMS:
        kept = set([number for number in order if number in kept][:MOST_ARMS])
    found = []
    for arm in (arm for arm in arms if arm.number in kept):
        trial = trials[arm.number]
        pictures = _pictures(TrialFiles(records.folders[trial]).samples)
        if pictures:
            found.append(Samples(arm, trial, pictures))
    return found, len(trials) - len(kept)


def _pictures(folder: Path) -> list[tuple[str, bytes | None]]:
    """The folder's first pictures, by name."""
    found: list[tuple[str, bytes | None]] = []
    for path in sorted(folder.glob("*.png"))[:PER_ARM]:
        try:
            found.append((path.stem, shrunk(path)))
        except (OSError, UnidentifiedImageError):
            found.append((path.stem, None))
    return found


def shrunk(path: Path, width: int = WIDTH) -> bytes:
    """The picture as a JPEG no wider than `width` pixels."""
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    if small.width > width:
        height = max(1, round(small.height * width / small.width))
        small = small.resize((width, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=84, subsampling=0)
    return content.getvalue()
