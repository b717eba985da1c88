"""Data: decoding once, opening again, and an epoch of batches.

`PYTHONPATH=. python tests/benchmarks/cache.py`, on real pets. Decoding: images and masks of all
pets to 256×256. OpenCV takes as many threads, Pillow one; on disk, OpenCV's are neither hashed nor
waited for until the disk has them, as ours are. Epochs: batches without augmentation, normalised,
against a bare loop over `images[index]`. All take turns; medians are printed. `--clock cpu`
counts the processor's time of all threads together, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.data.base import Split
from bench.data.cache import Arrays
from bench.data.decode import decode_pair, load_pairs
from bench.data.masks import Labels
from bench.data.sample_files import Pair, Reading
from bench.data.threads import in_threads
from bench.spec.schema import Machine
from bench.train.batches import Batches
from bench.train.placement import Placement, PlacementChoice, PlacementKind
from tests.benchmarks.timing import Line, every_round, peer, seconds, table
from tests.builders.training import make_trial
from tests.conftest import PETS

TRIMAP = Labels({1: 1, 2: 0, 3: 255}, "1, 2 or 3")


def pets() -> list[Pair]:
    """All pets that have both files."""
    root = PETS / "oxford-iiit-pet"
    masks = {path.stem: path for path in (root / "annotations" / "trimaps").glob("[!.]*.png")}
    images = sorted((root / "images").glob("*.jpg"))
    pairs = [Pair(path.stem, path, masks[path.stem]) for path in images if path.stem in masks]
    return pairs or sys.exit(f"no Oxford-IIIT Pet at {PETS}: set BENCH_PETS")


def decoders(pairs: Sequence[Pair], size: int, threads: int) -> dict[str, Callable[[], object]]:
    """What takes turns in decoding."""
    root, fills = os.environ["BENCH_CACHE"], itertools.count()

    def into_the_cache() -> None:
        os.environ["BENCH_CACHE"] = f"{root}/{next(fills)}"  # a fresh one each time
        load_pairs(pairs, TRIMAP, Reading(PETS, (size, size)))

    def into_memory() -> None:
        one = partial(decode_pair, reading=Reading(PETS, (size, size)), labels=TRIMAP)
        for _ in in_threads(one, pairs, threads=threads):
            pass

    def pillow() -> None:
        for pair in pairs:
            image = Image.open(pair.image).convert("RGB")
            np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
            np.asarray(Image.open(pair.mask).resize((size, size), Image.Resampling.NEAREST))

    runs: dict[str, Callable[[], object]] = {
        "bench, until it is on disk": into_the_cache,
        "bench, until it is in memory": into_memory,
        "Pillow, one thread": pillow,
    }
    if (opencv := peer("cv2")) is not None:
        opencv.setNumThreads(1)  # within a call: the threads are ours

        def one(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
            image = opencv.imread(str(pair.image))
            image = opencv.resize(image, (size, size), interpolation=opencv.INTER_AREA)
            mask = opencv.imread(str(pair.mask), opencv.IMREAD_UNCHANGED)
            return image, opencv.resize(mask, (size, size), interpolation=opencv.INTER_NEAREST)

        def with_opencv() -> list[tuple[np.ndarray, np.ndarray]]:
            with ThreadPoolExecutor(threads) as pool:
                return list(pool.map(one, pairs))

        def saved() -> None:
            for name, arrays in zip(
                ("images", "masks"), zip(*with_opencv(), strict=True), strict=True
            ):
                np.save(f"{root}/{name}.npy", np.stack(arrays))

        runs["OpenCV, until it is in memory"] = with_opencv
        runs["OpenCV, until it is on disk"] = saved
    runs["bench, opened again"] = lambda: load_pairs(pairs, TRIMAP, Reading(PETS, (size, size)))
    return runs


def epochs(arrays: Arrays, size: int, batch_size: int) -> dict[str, Callable[[], object]]:
    """What takes turns in reading an epoch; every batch ends as normalised floats."""
    split = Split(arrays.images, arrays.masks, tuple(map(str, range(len(arrays.images)))))
    machine, device = Machine(), torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trial = make_trial(data={"image_size": size, "normalize": "imagenet"})
    order = torch.randperm(len(split))
    images = torch.from_numpy(np.asarray(split.images)).to(device).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.asarray(split.masks)).to(device)
    mean = torch.tensor([123.675, 116.28, 103.53], device=device).view(3, 1, 1)
    deviation = torch.tensor([58.395, 57.12, 57.375], device=device).view(3, 1, 1)

    def bare() -> Iterator[tuple[Tensor, Tensor]]:
        for index in torch.split(order.to(device), batch_size):
            # index_select keeps channels last, whose arithmetic over three channels is slower
            yield (images[index].float() - mean) / deviation, masks[index]

    def ours(kind: PlacementKind) -> Callable[[], object]:
        placed = Placement(PlacementChoice(kind, ""), {"train": split}, "mask", machine, device)
        batches = Batches(placed["train"], trial, batch_size, device)
        return lambda: consume(batches.training(batches.plan(1), 1))

    def consume(batches: Iterator[object]) -> None:
        for _ in batches:
            pass

    kinds: list[PlacementKind] = ["device", "stream"]
    if device.type == "cuda":
        kinds.insert(1, "pinned")
    return {
        "bare loop over images[index]": lambda: consume(bare()),
        **{f"bench, {kind}": ours(kind) for kind in kinds},
    }


def medians(
    runs: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[Callable[[], object]], float],
) -> dict[str, float]:
    timed = {name: partial(clock, run) for name, run in runs.items()}
    return {name: float(np.median(found)) for name, found in every_round(timed, rounds).items()}


def cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def show(title: str, found: Mapping[str, float], base: str) -> None:
    reference = found.get(base)
    print(f"\n{title}; ratio to: {base}")
    table(
        Line(name, f"{1000 * median:9.1f} ms", reference and median / reference)
        for name, median in found.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    given = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    torch.set_num_threads(given.threads)
    clock = {"wall": seconds, "cpu": cpu_seconds}[given.clock]
    pairs = pets()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_CACHE"] = f"{folder}/cache"
        found = medians(decoders(pairs, given.size, given.threads), given.rounds, clock)
        opencv = "OpenCV, until it is in memory"
        base = opencv if opencv in found else "Pillow, one thread"
        title = (
            f"{len(pairs)} images and masks to {given.size}×{given.size}, {given.threads} threads"
        )
        show(f"{title}, {given.clock} time", found, base)
        runs = epochs(
            load_pairs(pairs, TRIMAP, Reading(PETS, (given.size, given.size))),
            given.size,
            given.batch,
        )
        found = medians(runs, given.rounds, clock)
        show(f"an epoch of {len(pairs)} in batches of {given.batch}", found, next(iter(found)))


if __name__ == "__main__":
    main()
