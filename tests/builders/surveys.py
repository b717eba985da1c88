"""Surveys of small data sets, for tests of what is said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.data.base import Split, Splits
from bench.data.settings import CustomData
from bench.data.survey import Survey, survey_of
from bench.labels import IGNORE_LABEL

IGNORED = IGNORE_LABEL
CLASSES = ("background", "cat", "dog")


def noise(count: int, size: int = 16, seed: int = 0) -> np.ndarray:
    """Colour images (N, size, size, 3) of which no two are alike."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def masks(*shares: Mapping[int, int], size: int = 16) -> np.ndarray:
    """A mask per argument: so many pixels of each class, the rest of class 0."""
    found = np.zeros((len(shares), size * size), np.uint8)
    for mask, counts in zip(found, shares, strict=True):
        start = 0
        for value, count in counts.items():
            mask[start : start + count] = value
            start += count
    return found.reshape(-1, size, size)


def split(prefix: str, images: np.ndarray, **parts: Any) -> Split:
    """A split whose images are called after it."""
    parts.setdefault("masks", None)
    return Split(images, names=tuple(f"{prefix}{i}" for i in range(len(images))), **parts)


def survey(
    splits: Mapping[str, Split],
    classes: Sequence[str] = CLASSES,
    labels: Sequence[str] = (),
    background: str = "first",
    notes: tuple[str, ...] = (),
) -> Survey:
    """What `survey_of` finds."""
    settings = CustomData.model_validate(
        {"target": "made.up:Data", "image_size": 16, "background": background}
    )
    return survey_of(Splits(splits, tuple(classes), "f00d", notes, tuple(labels)), settings)


def healthy(**changes: Split) -> Survey:
    """Of a data set of which there is nothing to say; `val=…` changes a split."""
    seen = {1: 40, 2: 20}
    splits = {
        name: split(name, noise(30, seed=i), masks=masks(*[seen] * 30))
        for i, name in enumerate(("train", "val", "test"))
    }
    return survey(splits | changes)


def with_files(found: Survey, **files: Any) -> Survey:
    """The survey with other facts of files, by split."""
    splits = {k: replace(s, files=files.get(k, s.files)) for k, s in found.splits.items()}
    return replace(found, splits=splits)
