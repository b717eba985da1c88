"""Joint augmentation of image and mask against torchvision.

`PYTHONPATH=. python tests/benchmarks/augmentation.py`. Every sample of a batch is flipped, turned,
cropped and bent; torchvision v2 only bends. uint8 images and masks in, float images and uint8 masks
out. The two take turns; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from bench.augment.pipeline import Pipeline
from bench.augment.settings import AugmentSettings

TRANSFORMS = ("hflip", "rotate", "crop", "elastic")


def ours(images: torch.Tensor, masks: torch.Tensor) -> Callable[[], object]:
    """All four transforms, on every sample."""
    pipeline = Pipeline(AugmentSettings.model_validate([{name: {"p": 1}} for name in TRANSFORMS]))
    draws = torch.Generator().manual_seed(0)
    return lambda: pipeline.apply(images, masks, pipeline.choose(len(images), draws), draws)


def torchvisions(images: torch.Tensor, masks: torch.Tensor) -> Callable[[], object]:
    """Elastic alone, sample by sample: it draws once for a whole batch."""
    bend = v2.ElasticTransform(alpha=60.0, sigma=5.0)

    def run() -> None:
        for image, mask in zip(images, masks, strict=True):
            bend(tv_tensors.Image(image), tv_tensors.Mask(mask))

    return run


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    shape = (given.batch, given.size, given.size)
    images = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    masks = torch.randint(0, 2, shape, dtype=torch.uint8)
    peers = {"bench": ours(images, masks), "torchvision elastic": torchvisions(images, masks)}
    times: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(given.rounds + 1):
        for name, run in peers.items():
            times[name].append(seconds(run))
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    for name, median in medians.items():
        print(f"{name:22s} {given.batch / median:8.1f} images/s")
    print(f"{'ratio':22s} {medians['torchvision elastic'] / medians['bench']:8.1f}")


if __name__ == "__main__":
    main()
