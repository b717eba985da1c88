"""Sample predictions for the page: small copies of the pictures that trials keep."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from PIL import Image

from bench.analysis.arm_summary import best_trials, ranking
from bench.analysis.arms import Arm
from bench.analysis.records import Records
from bench.atomic_files import write_bytes
from bench.record.store import TrialFiles
from bench.report.format.display_names import title
from bench.report.format.folding import LARGE, best_and_worst
from bench.safe_files import open_plain

WIDTH = 800  # pixels
PER_ARM = 3
PER_COURSE = 4
MOST_ARMS = 24

_OF_AN_EPOCH = re.compile(r"epoch(\d+)_(.+)")


@dataclass(frozen=True)
class Shown:
    """One picture: what it is called, and its JPEG unless its file cannot be read.

    `file` is where the JPEG lies, relative to the page, if the page does not hold it itself.
    """

    title: str
    jpeg: bytes | None
    file: str = ""


@dataclass(frozen=True)
class SamplePictures:
    """Pictures of one trial.

    Attributes:
        arm, trial: whose they are.
        courses: pictures that were made during training too: some epochs', then the best one's.
        pictures: those of the best epoch alone.
    """

    arm: Arm
    trial: str
    courses: list[list[Shown]]
    pictures: list[Shown]


def sample_pictures(
    records: Records, summary: pd.DataFrame, arms: Sequence[Arm]
) -> tuple[list[SamplePictures], int]:
    """The first pictures of each arm's best trial, and how many arms had to be left out.

    At most `MOST_ARMS` arms, the best by the selected metric, in the arms' order; in a large
    experiment half of them are the worst.
    """
    order = ranking(summary, records.best_column, records.select.mode)
    trials = best_trials(records, arms)
    ranked = [number for number in order if number in trials]
    best, worst = best_and_worst(ranked, MOST_ARMS)
    kept = {*best, *worst} if len(arms) > LARGE else set(ranked[:MOST_ARMS])
    found = []
    for arm in (arm for arm in arms if arm.number in kept):
        trial = trials[arm.number]
        courses, pictures = _pictures(TrialFiles(records.folders[trial]).samples)
        if courses or pictures:
            found.append(SamplePictures(arm, trial, courses, pictures))
    return found, len(trials) - len(kept)


def write_samples(
    samples: Sequence[SamplePictures], folder: Path, *, linked: bool
) -> list[SamplePictures]:
    """With `linked`, the same with every picture as a file under the report's `folder`.

    Files of an earlier report that are gone are removed.
    """
    written: set[Path] = set()

    def kept(trial: str, shown: Shown) -> Shown:
        if shown.jpeg is None:
            return shown
        path = folder / "samples" / f"{trial}_{len(written) + 1}.jpg"
        write_bytes(path, shown.jpeg)
        written.add(path)
        return replace(shown, file=f"samples/{path.name}")

    found = [
        replace(
            each,
            courses=[[kept(each.trial, shown) for shown in course] for course in each.courses],
            pictures=[kept(each.trial, shown) for shown in each.pictures],
        )
        for each in (samples if linked else ())
    ]
    for path in set((folder / "samples").glob("*.jpg")) - written:
        path.unlink()
    return found if linked else list(samples)


def _pictures(folder: Path) -> tuple[list[list[Shown]], list[Shown]]:
    """The folder's pictures: courses over the epochs, and the first of the others, by name."""
    if folder.is_symlink():  # out of the results, perhaps
        return [], []
    paths = {path.stem: path for path in sorted(folder.glob("*.png"))}
    epochs: dict[str, dict[int, Path]] = {}
    for stem, path in paths.items():
        if found := _OF_AN_EPOCH.fullmatch(stem):
            epochs.setdefault(found[2], {})[int(found[1])] = path
    courses = []
    for name, made in sorted(epochs.items()):
        course = [_shown(f"epoch {epoch}", made[epoch]) for epoch in _spread(sorted(made))]
        best = [_shown("best epoch", paths[name])] if name in paths else []
        courses.append([replace(s, title=f"{title(name)}, {s.title}") for s in course + best])
    single = [stem for stem in paths if stem not in epochs and not _OF_AN_EPOCH.fullmatch(stem)]
    return courses, [_shown(stem, paths[stem]) for stem in single[:PER_ARM]]


def _spread(epochs: list[int]) -> list[int]:
    """The first, the last and evenly chosen ones between: as many as leave room for the best."""
    most = PER_COURSE - 1
    if len(epochs) <= most:
        return epochs
    return [epochs[round(i * (len(epochs) - 1) / (most - 1))] for i in range(most)]


def _shown(name: str, path: Path) -> Shown:
    try:
        return Shown(name, shrunk(path))
    except Exception:  # Pillow raises nearly anything on a broken file, or one of too many pixels
        return Shown(name, None)


def shrunk(path: Path, width: int = WIDTH) -> bytes:
    """The picture as a JPEG no wider than `width` pixels."""
    with open_plain(path) as file, Image.open(file) as picture:
        small = picture.convert("RGB")
    if small.width > width:
        height = max(1, round(small.height * width / small.width))
        small = small.resize((width, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=84, subsampling=0)
    return content.getvalue()
