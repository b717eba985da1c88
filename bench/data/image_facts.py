"""What images of a folder never seen before are like: sizes, channels, depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.base import FileFacts
from bench.data.channels import count_channels
from bench.data.pages import Opening
from bench.data.pixels import read_pixels
from bench.data.threads import in_threads
from bench.errors import DataError

_LOOKED_AT = 40
_DEFAULT_SIZE = 256
_ALL_CHANNELS = 3
"""More than these are chosen by `data.channels`."""


@dataclass(frozen=True)
class ImageFacts:
    """What images are like.

    Attributes:
        settings: the keys of `data:` that follow.
        notes: sizes and kinds in words.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def facts_of_images(files: Sequence[Path]) -> ImageFacts:
    """A look at some of these images, evenly spaced; those that cannot be read are left alone."""
    chosen = np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).astype(int))
    looked = in_threads(_look, [files[index] for index in chosen.tolist()])
    found = [facts for facts in looked if facts is not None]
    if not found:
        return ImageFacts()
    settings: dict[str, Any] = {}
    sides = sorted(facts.width * facts.height for facts, _ in found)
    median = int(sides[len(sides) // 2] ** 0.5)
    if median < _DEFAULT_SIZE:
        settings["image_size"] = max(8, median // 32 * 32 or median // 8 * 8)
    channels = max(count for _, count in found)
    if channels > _ALL_CHANNELS:
        settings |= {"channels": list(range(channels)), "normalize": "unit"}
    kinds = {facts.kind for facts, _ in found}
    low, high = (f(f_.low if f is min else f_.high for f_, _ in found) for f in (min, max))
    if kinds & {"int32", "float32"}:
        settings["window"] = [0, 1] if low >= 0 and high <= 1 else [low, high]
    elif len(kinds) > 1:
        settings["window"] = "full"
    return ImageFacts(settings, (_in_words([facts for facts, _ in found], channels, low, high),))


def _look(file: Path) -> tuple[FileFacts, int] | None:
    """What a file is like, and how many channels it has."""
    try:
        count = count_channels(file)
        chosen = tuple(range(count)) if count > _ALL_CHANNELS else None
        return read_pixels(file, Opening(page=1, channels=chosen)).facts, count
    except DataError:
        return None


def _in_words(found: Sequence[FileFacts], channels: int, low: float, high: float) -> str:
    sizes = sorted({(f.width, f.height) for f in found}, key=lambda s: s[0] * s[1])
    (first, last) = (f"{width}×{height}" for width, height in (sizes[0], sizes[-1]))
    span = first if first == last else f"{first} to {last}"
    modes = ", ".join(mode for mode, _ in Counter(facts.mode for facts in found).most_common(3))
    bits = max(facts.bits for facts in found)
    several = "1 channel" if channels == 1 else f"{channels} channels"
    return f"{span} pixels, {modes}, {several} of {bits} bits, values {low:g} to {high:g}"
