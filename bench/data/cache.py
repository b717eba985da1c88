"""Decoded samples on disk: built once, then memory-mapped by every process that trains on them.

A cache is a folder: `images.npy` (N, H, W, C) uint8 or uint16, `masks.npy` (N, H, W) uint8 where
there are masks, and `meta.json`. It is built under another name and renamed, so it is there
whole or not at all. Its name is a hash of everything its content depends on; it is never changed,
only replaced when damaged. The whole folder may be deleted at any time. Labels are not in it: they
are read with the names, every time. Samples that were skipped have no place in the arrays; the
description names them. Within `verified_caches` a cache must also have the content that its
description gives the hash of.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bench.data.base import Array, FileFacts, Images, OwnSizes, Progress
from bench.data.locks import alone

FORMAT = 2
"""Of the files below; another number is another key, so older caches are left alone."""

Sample = tuple[Images, ...]
"""An image (H, W, C), uint8 or uint16, and, where there are masks, its mask (H, W) uint8."""


@dataclass(frozen=True)
class Decoded:
    """A sample that was read from files.

    Attributes:
        arrays: the sample.
        facts: of its image's file and, where there is one, its mask's.
    """

    arrays: Sample
    facts: tuple[FileFacts, ...]


@dataclass(frozen=True)
class Skipped:
    """Stands for a sample that cannot be made, and says why, in a line."""

    reason: str


@dataclass(frozen=True)
class Arrays:
    """All samples of a data set.

    Attributes:
        images: (N, H, W, C) uint8 or uint16. Memory-mapped copy-on-write: what a process writes
            into it stays in that process.
        masks: (N, H, W) uint8, likewise; None: has none.
        content: hash over all images and masks, in order.
        skipped: samples that are not in the arrays, by name, and why.
        facts: of the N image files; empty: the samples were not read from files.
        mask_facts: of the N mask files, likewise.
        originals: the samples at their own sizes; None: there are no files of masks.
    """

    images: Images
    masks: Array | None
    content: str
    skipped: Mapping[str, str] = field(default_factory=dict)
    facts: tuple[FileFacts, ...] = ()
    mask_facts: tuple[FileFacts, ...] = ()
    originals: OwnSizes | None = None


@dataclass(frozen=True)
class Recipe:
    """How to make the samples, and what their cache is called.

    Attributes:
        key: everything the samples depend on, as JSON values.
        names: of the samples, in order.
        size: height and width of every sample, in pixels.
        samples: makes them, in the order of `names`.
        masks: whether samples have one.
        skips: whether `samples` may give `Skipped` ones.
        channels: of the images; `key` says which, where they are not red, green and blue.
    """

    key: Mapping[str, Any]
    names: tuple[str, ...]
    size: tuple[int, int]
    samples: Callable[[], Iterable[Sample | Decoded | Skipped]]
    masks: bool = True
    skips: bool = False
    channels: int = 3

    def shapes(self, skipped: int = 0) -> dict[str, tuple[int, ...]]:
        """Of the cache's arrays, by file name, where so many samples are skipped."""
        masks = (len(self.names) - skipped, *self.size)
        images: dict[str, tuple[int, ...]] = {"images.npy": (*masks, self.channels)}
        return images | {"masks.npy": masks} if self.masks else images

    @property
    def digest(self) -> str:
        """The name of the cache's folder."""
        height, width = self.size
        size = height if height == width else self.size  # squares were first
        key = {"format": FORMAT, "names": self.names, "size": size, **self.key}
        return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]


def cache_root() -> Path:
    """`$BENCH_CACHE`, else `$XDG_CACHE_HOME/bench`, else `~/.cache/bench`."""
    if own := os.environ.get("BENCH_CACHE"):
        return Path(own).expanduser()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).expanduser() / "bench"
    return Path("~/.cache/bench").expanduser()


_verify: ContextVar[bool] = ContextVar("verify", default=False)


@contextmanager
def verified_caches() -> Iterator[None]:
    """Within it, a cache is used only after its whole content was hashed and found unchanged.

    One that was changed is made again, with a warning. It takes a second for 0.5 to 2 GB, so a run
    does it once, in its preparation, and its trials do not.
    """
    token = _verify.set(True)
    try:
        yield
    finally:
        _verify.reset(token)


def cached(recipe: Recipe, progress: Progress | None = None) -> Arrays:
    """The samples, from the cache where it has them; else made, and the cache filled.

    Where the cache cannot be written (read-only, full), the samples are made in memory, with a
    warning: the result is the same.
    """
    folder = cache_root() / recipe.digest
    if (found := existing(recipe)) is not None:
        return found
    try:
        return _build(folder, recipe, progress)
    except BrokenPipeError:  # who listens to the progress is gone
        raise
    except OSError as error:
        warnings.warn(
            f"the cache at {cache_root()} cannot be written ({error}): the data is decoded into "
            "memory again by every process; set BENCH_CACHE to a folder with space",
            stacklevel=2,
        )
        return _build_in_memory(recipe, progress)


def existing(recipe: Recipe) -> Arrays | None:
    """The samples where the cache has them, else None."""
    return _load(cache_root() / recipe.digest, recipe)


def _load(folder: Path, recipe: Recipe) -> Arrays | None:
    """Map a cache into memory; None if it is not there, truncated or otherwise damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        skipped: dict[str, str] = meta.get("skipped", {})
        if skipped and not recipe.skips:
            return None
        arrays = {}
        for name, shape in recipe.shapes(len(skipped)).items():
            if (folder / name).stat().st_size != meta["bytes"][name]:
                return None
            arrays[name] = np.load(folder / name, mmap_mode="c", allow_pickle=False)
            depths = (np.uint8, np.uint16) if name == "images.npy" else (np.uint8,)
            if arrays[name].shape != shape or arrays[name].dtype not in depths:
                return None
        known = (tuple(FileFacts(*row) for row in rows) for rows in meta["facts"])
        facts, of_masks, *_ = (*known, (), ())  # of what there is
        images, masks = arrays["images.npy"], arrays.get("masks.npy")
        found = Arrays(images, masks, str(meta["content"]), skipped, facts, of_masks)
        return found if not _verify.get() or _is_unchanged(found, folder) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_unchanged(arrays: Arrays, folder: Path) -> bool:
    """Whether the arrays have the content that their description says."""
    content = hashlib.sha256()
    for index in range(len(arrays.images)):
        content.update(arrays.images[index].data)
        if arrays.masks is not None:
            content.update(arrays.masks[index].data)
    if content.hexdigest() == arrays.content:
        return True
    warnings.warn(
        f"{folder}: the cached samples are not those that were written there: they are decoded "
        "from the files again",
        stacklevel=2,
    )
    return False


def _build(folder: Path, recipe: Recipe, progress: Progress | None) -> Arrays:
    """Fill the cache; of several processes that want the same one, the first builds it.

    Where the file system has no locks each builds one, and the first that is ready stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_suffix(".lock")) as locked:
        if (found := _load(folder, recipe)) is not None:
            return found
        # If we hold the lock, whatever lies here was left by a process that was killed.
        for left in folder.parent.glob(f"{folder.name}.part*") if locked else ():
            shutil.rmtree(left, ignore_errors=True)
        part = folder.with_suffix(f".part{uuid.uuid4().hex}")  # another machine has our pid, too
        try:
            part.mkdir()
            _write(part, recipe, progress)
            return _put_in_place(part, folder, recipe)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _put_in_place(part: Path, folder: Path, recipe: Recipe) -> Arrays:
    """Make `part` the cache, unless there is a good one by now."""
    if (found := _load(folder, recipe)) is not None:
        return found
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # another one was put there just now
        part.rename(folder)
    if (built := _load(folder, recipe)) is None:
        raise OSError(f"{folder} does not read back as written")
    return built


def _write(part: Path, recipe: Recipe, progress: Progress | None) -> None:
    """Write a cache's files, the description last."""
    content = hashlib.sha256()
    skipped: dict[str, str] = {}
    facts: list[tuple[FileFacts, ...]] = []
    depth: np.dtype[Any] = np.dtype(np.uint8)
    # Plain writes, not a writable map: a full disk is then an error and not a dead process.
    with ExitStack() as stack:
        files = [stack.enter_context((part / name).open("wb")) for name in recipe.shapes()]
        _write_headers(files, recipe, skipped, depth)
        for name, sample in _checked(recipe, progress):
            if isinstance(sample, Skipped):
                skipped[name] = sample.reason
                continue
            depth = sample.arrays[0].dtype
            facts.append(sample.facts)
            for file, array in zip(files, sample.arrays, strict=True):
                content.update(array.data)
                file.write(array.data)
        _write_headers(files, recipe, skipped, depth)
        for file in files:
            file.flush()
            os.fsync(file.fileno())
    meta = {
        "content": content.hexdigest(),
        "count": len(recipe.names) - len(skipped),
        "bytes": {name: (part / name).stat().st_size for name in recipe.shapes()},
        "key": {key: value for key, value in recipe.key.items() if key != "files"},
        "names": [name for name in recipe.names if name not in skipped],
        "skipped": skipped,
        "facts": _by_file(facts),
    }
    (part / "meta.json").write_text(json.dumps(meta), "utf-8")


def _by_file(facts: Sequence[tuple[FileFacts, ...]]) -> tuple[tuple[FileFacts, ...], ...]:
    """Facts by sample → those of the images, then those of the masks, where there are any."""
    return tuple(zip(*facts, strict=True))


def _write_headers(
    files: Sequence[BinaryIO], recipe: Recipe, skipped: Collection[str], depth: np.dtype[Any]
) -> None:
    """Numpy leaves room in a header for any number of samples, so it can be written again.

    `depth` is that of the images, the first of the files.
    """
    for index, (file, shape) in enumerate(
        zip(files, recipe.shapes(len(skipped)).values(), strict=True)
    ):
        file.seek(0)
        descr = np.lib.format.dtype_to_descr(depth if index == 0 else np.dtype(np.uint8))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)


def _build_in_memory(recipe: Recipe, progress: Progress | None) -> Arrays:
    content = hashlib.sha256()
    skipped: dict[str, str] = {}
    facts: list[tuple[FileFacts, ...]] = []
    kept: list[npt.NDArray[Any]] = []
    for i, (name, sample) in enumerate(_checked(recipe, progress)):
        if isinstance(sample, Skipped):
            skipped[name] = sample.reason
            continue
        if not kept:
            shapes = recipe.shapes().values()
            kept = [np.empty(s, a.dtype) for s, a in zip(shapes, sample.arrays, strict=True)]
        facts.append(sample.facts)
        for whole, array in zip(kept, sample.arrays, strict=True):
            content.update(array.data)
            whole[i - len(skipped)] = array
    kept = kept or [np.empty(shape, np.uint8) for shape in recipe.shapes().values()]
    images, *masks = (whole[: len(whole) - len(skipped)] for whole in kept)
    mask = masks[0] if masks else None
    of_images, of_masks, *_ = (*_by_file(facts), (), ())
    return Arrays(images, mask, content.hexdigest(), skipped, of_images, of_masks)


def _checked(recipe: Recipe, progress: Progress | None) -> Iterator[tuple[str, Decoded | Skipped]]:
    """The recipe's samples by name, counted, contiguous, of the promised shape and one depth."""
    total = len(recipe.names)
    expected = [shape[1:] for shape in recipe.shapes().values()]
    depth: np.dtype[Any] | None = None
    if progress:
        progress(0, total)
    for done, (name, sample) in enumerate(zip(recipe.names, recipe.samples(), strict=True), 1):
        if isinstance(sample, Skipped):
            yield name, sample
        else:
            made = sample if isinstance(sample, Decoded) else Decoded(sample, ())
            depth = made.arrays[0].dtype if depth is None else depth
            if (found := [array.shape for array in made.arrays]) != expected:
                raise ValueError(f"sample {done} has the shapes {found}, not {expected}")
            if (kind := made.arrays[0].dtype) != depth:
                raise ValueError(f"sample {done} is {kind}, those before it {depth}")
            yield name, Decoded(tuple(map(np.ascontiguousarray, made.arrays)), made.facts)
        if progress:
            progress(done, total)
