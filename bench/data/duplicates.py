"""Images that occur in two splits: identical ones, and nearly identical ones.

An image is shrunk to a grey thumbnail by area averaging. Two are nearly identical where the signs
of the thumbnails' horizontal steps agree but for a few of 64 (dHash; N. Krawetz, "Kind of Like
That", 2013) and their grey values correlate. Copies of another size, compression, brightness
or colour are found; mirrored, turned or cut ones are not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from bench.data.base import Images, Split
from bench.data.threads import in_threads
from bench.data.window import EIGHT_BITS, Window

MOST_BITS = 8
LEAST_CORRELATION = 0.95
"""Chosen on the provided pets (docs/log.md). Six of 178,503 pairs are copies: they differ in 3 bits
at most and correlate by 0.983 at least. Of the others none correlates by more than 0.87, and none
that differs in up to 8 bits by more than 0.53."""

_HEIGHT, _WIDTH = 16, 18  # two by two, 8×9: of which dHash compares neighbours
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_AT_ONCE = 32
_MOST_PIXELS = 32 * 512 * 512  # at once; images of up to 512 pixels are taken 32 at a time

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Twin:
    """An image of one split that an earlier split has, too.

    Attributes:
        split, name: the image.
        other_split, other_name: the one most like it there.
        identical: whether they are equal to the pixel, at the size they are trained at.
    """

    split: str
    name: str
    other_split: str
    other_name: str
    identical: bool


@dataclass(frozen=True)
class Looks:
    """What images of one split look like.

    Attributes:
        checks: N checksums of the pixels.
        hashes: (N, 64) dHashes: 1 where the grey rises to the right, else -1. Images of one
            checksum and one dHash are identical.
        thumbnails: (N, 288) grey values of mean 0 and length 1; all 0 where an image is flat.
    """

    checks: list[int]
    hashes: Floats
    thumbnails: Floats

    def exact(self) -> list[tuple[int, bytes]]:
        """What only identical images share."""
        return [(c, h.tobytes()) for c, h in zip(self.checks, self.hashes, strict=True)]


def twins(splits: Mapping[str, Split], window: Window = EIGHT_BITS) -> list[Twin]:
    """Every image of a split that has a twin in a split before it, once for each of those."""
    looks = {name: look(split.images, window) for name, split in splits.items()}
    found = []
    for before, after in combinations(splits, 2):
        for i, j, identical in _pairs(looks[before], looks[after]):
            names = splits[after].names[j], before, splits[before].names[i]
            found.append(Twin(after, *names, identical))
    return found


def look(images: Images, window: Window = EIGHT_BITS) -> Looks:
    """What images (N, H, W, C) look like; `window` says which values are black and white."""
    rows, columns = _averaging(images.shape[1], _HEIGHT), _averaging(images.shape[2], _WIDTH).T

    def work(start: int) -> tuple[list[int], Floats]:
        part = np.ascontiguousarray(images[start : start + at_once])
        checks = [zlib.crc32(image.data) for image in part]
        count, height, width, channels = part.shape
        levels = part.astype(np.float32) if window.is_plain else window.levels(part)
        lines = rows @ levels.reshape(count, height, width * channels)
        weights = _GREY if channels == 3 else np.full(channels, 1 / channels, np.float32)
        grey = lines.reshape(count, _HEIGHT, width, channels) @ weights
        return checks, (grey @ columns).astype(np.float32)

    # in floats an image of 24 megapixels takes 288 MB
    at_once = max(1, min(_AT_ONCE, _MOST_PIXELS // max(1, images.shape[1] * images.shape[2])))
    threads = 1 if at_once == 1 else None
    found = list(in_threads(work, range(0, len(images), at_once), threads=threads))
    thumbnails = np.concatenate([part for _, part in found])
    checks = [check for part, _ in found for check in part]
    return Looks(checks, _dhash(thumbnails), _unit(thumbnails))


def _averaging(size: int, cells: int) -> Floats:
    """(cells, size): each row takes the mean over its part of `size` pixels, shares included."""
    edges = np.linspace(0, size, cells + 1)[:, None]
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    found: Floats = (np.clip(overlap, 0, None) * cells / size).astype(np.float32)
    return found


def _dhash(thumbnails: Floats) -> Floats:
    """In 8 rows of 9 cells, whether the grey rises from a cell to the next."""
    cells = thumbnails.reshape(-1, _HEIGHT // 2, 2, _WIDTH // 2, 2).mean((2, 4))
    rises = cells[:, :, 1:] > cells[:, :, :-1]
    return np.where(rises.reshape(len(cells), 64), np.float32(1), np.float32(-1))


def _unit(thumbnails: Floats) -> Floats:
    flat = thumbnails.reshape(len(thumbnails), -1)
    centred = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    even = length < flat.shape[1] ** 0.5  # less than one grey level of deviation
    return np.where(even, np.float32(0), centred / np.where(even, np.float32(1), length))


def _pairs(before: Looks, after: Looks) -> Iterator[tuple[int, int, bool]]:
    """For each of `after` that has a twin: the place of the most like it, its own, identical?"""
    known = {exact: i for i, exact in enumerate(before.exact())}
    exact = after.exact()
    for start in range(0, len(after.checks), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        agreeing = after.hashes[part] @ before.hashes.T  # 64, less 2 for each bit that differs
        likeness = after.thumbnails[part] @ before.thumbnails.T
        likeness[agreeing < 64 - 2 * MOST_BITS] = -1
        best = likeness.argmax(1)
        for j, (i, value) in enumerate(zip(best, likeness.max(1), strict=True), start):
            twin = known.get(exact[j])
            if twin is not None:
                yield twin, j, True
            elif value >= LEAST_CORRELATION:
                yield int(i), j, False
