"""Decoded samples on disk: built once, then memory-mapped by every process that trains on them.

A cache is a folder: `images.npy` (N, H, W, 3), `masks.npy` (N, H, W) where there are masks, both
uint8, and `meta.json`. It is built beside its place and renamed into it, so it is there whole or
not at all. Its name is a hash of everything its content depends on; it is never changed, only
replaced when damaged. The whole folder may be deleted at any time. Labels are not in it: they are
read with the names, every time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from bench.data.base import Array, Progress

FORMAT = 1
"""Of the files below; another number is another key, so older caches are left alone."""

Sample = tuple[Array, ...]
"""An image (H, W, 3) and, where there are masks, its mask (H, W), uint8."""


@dataclass(frozen=True)
class Arrays:
    """All samples of a data set.

    Attributes:
        images: (N, H, W, 3) uint8. Memory-mapped copy-on-write: what a process writes into it
            stays in that process.
        masks: (N, H, W) uint8, likewise; None: has none.
        content: hash over all images and masks, in order.
    """

    images: Array
    masks: Array | None
    content: str


@dataclass(frozen=True)
class Recipe:
    """How to make the samples, and what their cache is called.

    Attributes:
        key: everything the samples depend on, as JSON values.
        names: of the samples, in order.
        size: height and width of every sample, in pixels.
        samples: makes them, in the order of `names`.
        masks: whether samples have one.
    """

    key: Mapping[str, Any]
    names: tuple[str, ...]
    size: int
    samples: Callable[[], Iterable[Sample]]
    masks: bool = True

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the cache's arrays, by file name."""
        masks = (len(self.names), self.size, self.size)
        images: dict[str, tuple[int, ...]] = {"images.npy": (*masks, 3)}
        return images | {"masks.npy": masks} if self.masks else images

    @property
    def digest(self) -> str:
        """The name of the cache's folder."""
        key = {"format": FORMAT, "names": self.names, "size": self.size, **self.key}
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]


def cache_root() -> Path:
    """`$BENCH_CACHE`, else `$XDG_CACHE_HOME/bench`, else `~/.cache/bench`."""
    if own := os.environ.get("BENCH_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "bench"
    return Path("~/.cache/bench").expanduser()


def cached(recipe: Recipe, progress: Progress | None = None) -> Arrays:
    """The samples, from the cache where it has them; else made, and the cache filled.

    Where the cache cannot be written (read-only, full), the samples are made in memory, with a
    warning: the result is the same.
    """
    folder = cache_root() / recipe.digest
    if (found := _load(folder, recipe)) is not None:
        return found
    try:
        return _build(folder, recipe, progress)
    except OSError as error:
        warnings.warn(
            f"the cache at {cache_root()} cannot be written ({error}): the data is decoded into "
            "memory again by every process; set BENCH_CACHE to a folder with space",
            stacklevel=2,
        )
        return _build_in_memory(recipe, progress)


def _load(folder: Path, recipe: Recipe) -> Arrays | None:
    """Map a cache into memory; None if it is not there, truncated or otherwise damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        arrays = {}
        for name, shape in recipe.shapes.items():
            if (folder / name).stat().st_size != meta["bytes"][name]:
                return None
            arrays[name] = np.load(folder / name, mmap_mode="c", allow_pickle=False)
            if arrays[name].shape != shape or arrays[name].dtype != np.uint8:
                return None
        return Arrays(arrays["images.npy"], arrays.get("masks.npy"), str(meta["content"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _build(folder: Path, recipe: Recipe, progress: Progress | None) -> Arrays:
    """Fill the cache; of several processes that want the same one, the first builds it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if (found := _load(folder, recipe)) is not None:
            return found
        # We hold the lock: whatever lies here was left by a process that was killed.
        for left in folder.parent.glob(f"{folder.name}.part*"):
            shutil.rmtree(left, ignore_errors=True)
        part = folder.with_suffix(f".part{os.getpid()}")
        try:
            part.mkdir()
            _write(part, recipe, progress)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        if (built := _load(folder, recipe)) is None:
            raise OSError(f"{folder} does not read back as written")
        return built


def _write(part: Path, recipe: Recipe, progress: Progress | None) -> None:
    """Write a cache's files, the description last."""
    content = hashlib.sha256()
    # Plain writes, not a writable map: a full disk is then an error and not a dead process.
    with ExitStack() as stack:
        files = [stack.enter_context((part / name).open("wb")) for name in recipe.shapes]
        for file, shape in zip(files, recipe.shapes.values(), strict=True):
            _write_header(file, shape)
        for sample in _checked(recipe, progress):
            for file, array in zip(files, sample, strict=True):
                content.update(array.data)
                file.write(array.data)
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "content": content.hexdigest(),
        "count": len(recipe.names),
        "bytes": {name: (part / name).stat().st_size for name in recipe.shapes},
        "key": {key: value for key, value in recipe.key.items() if key != "files"},
        "names": recipe.names,
    }
    (part / "meta.json").write_text(json.dumps(meta, indent=1), "utf-8")


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _build_in_memory(recipe: Recipe, progress: Progress | None) -> Arrays:
    content = hashlib.sha256()
    images, *masks = (np.empty(shape, np.uint8) for shape in recipe.shapes.values())
    for i, sample in enumerate(_checked(recipe, progress)):
        for whole, array in zip((images, *masks), sample, strict=True):
            content.update(array.data)
            whole[i] = array
    return Arrays(images, masks[0] if masks else None, content.hexdigest())


def _checked(recipe: Recipe, progress: Progress | None) -> Iterator[Sample]:
    """The recipe's samples, counted, contiguous and of the promised shape."""
    total = len(recipe.names)
    expected = [shape[1:] for shape in recipe.shapes.values()]
    if progress:
        progress(0, total)
    for done, sample in enumerate(recipe.samples(), start=1):
        if (found := [array.shape for array in sample]) != expected:
            raise ValueError(f"sample {done} has the shapes {found}, not {expected}")
        yield tuple(np.ascontiguousarray(array) for array in sample)
        if progress:
            progress(done, total)
