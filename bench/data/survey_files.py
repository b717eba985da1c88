"""What the image files of a split say of themselves, counted over the split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.data.base import FileFacts

MOST_SIZES = 5
UPRIGHT = 1
"""The EXIF orientation of pixels that are stored as they are looked at."""


@dataclass(frozen=True)
class FilesSurvey:
    """The image files of one split.

    Attributes:
        count: the files that are described.
        smallest, largest: width and height of the files with the fewest and the most pixels.
        median: the median width, and the median height.
        sizes: the most frequent sizes as (width, height, files).
        distinct_sizes: how many there are.
        modes: files by Pillow's mode, the most frequent first.
        bits: files by the bits of a value, as text: keys of JSON are.
        orientations: files by their EXIF orientation, those that are not stored upright.
        pages: files by their number of pages, those with several.
        low, high: the least and the greatest stored value of all.
    """

    count: int
    smallest: tuple[int, int]
    median: tuple[int, int]
    largest: tuple[int, int]
    sizes: tuple[tuple[int, int, int], ...]
    distinct_sizes: int
    modes: dict[str, int]
    bits: dict[str, int]
    orientations: dict[str, int]
    pages: dict[str, int]
    low: float
    high: float


def files_survey(facts: Sequence[FileFacts]) -> FilesSurvey | None:
    """Counts over files; None where none is described."""
    if not facts:
        return None
    sizes = Counter((file.width, file.height) for file in facts)
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return FilesSurvey(
        count=len(facts),
        smallest=by_area[0],
        median=(_median(f.width for f in facts), _median(f.height for f in facts)),
        largest=by_area[-1],
        sizes=tuple((*size, count) for size, count in sizes.most_common(MOST_SIZES)),
        distinct_sizes=len(sizes),
        modes=_counted(file.mode for file in facts),
        bits=_counted(file.bits for file in facts),
        orientations=_counted(f.orientation for f in facts if f.orientation != UPRIGHT),
        pages=_counted(file.pages for file in facts if file.pages > 1),
        low=min(file.low for file in facts),
        high=max(file.high for file in facts),
    )


def _counted(values: Iterable[object]) -> dict[str, int]:
    """How often each occurs, the most frequent first."""
    return dict(Counter(map(str, values)).most_common())


def _median(values: Iterable[int]) -> int:
    return int(np.median(list(values)))
