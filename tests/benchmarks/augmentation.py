"""Joint augmentation of image and mask: images per second, against what people use.

`PYTHONPATH=. python tests/benchmarks/augmentation.py`. Every sample of a batch is flipped, turned,
cropped and bent; uint8 images and masks in, float images and integer masks on the device out. The
peers work on the CPU and take turns with ours; medians are printed.

* albumentations does the same four, sample by sample, as in a data set's `__getitem__`, followed by
  `ToTensorV2`, stacking and conversion to float. The best counts: with OpenCV's threads and with
  none, with its own choice of noise (normal, as ours is) and with uniform noise, which it draws
  faster. Also samples spread over threads of ours, which is not how it is used.
* torchvision v2 and kornia only bend. torchvision draws once for a batch, so it gets one sample at
  a time; kornia gets the batch, and image and mask together.

All bend by displacements with a standard deviation of about one pixel, smoothed by 5 pixels.
`--device cuda` puts ours on the GPU, with the batch already there as it is when training.
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from bench.augment.pipeline import Pipeline
from bench.augment.settings import AugmentSettings
from bench.augment.transform_settings import ElasticSettings
from tests.benchmarks.timing import Line, alternate, peer, table

ALL = ("hflip", "rotate", "crop", "elastic")
ALPHA, SIGMA = ElasticSettings().alpha, ElasticSettings().sigma
# out to four sigma either way
KERNEL = 2 * int(4 * SIGMA) + 1

Run = Callable[[], object]


def ours(images: torch.Tensor, masks: torch.Tensor, names: tuple[str, ...] = ALL) -> Run:
    """These transforms, on every sample."""
    pipeline = Pipeline(AugmentSettings.model_validate([{name: {"p": 1}} for name in names]))
    draws = torch.Generator().manual_seed(0)
    return lambda: pipeline.apply(images, masks, pipeline.choose(len(images), draws), draws)


def torchvisions(images: torch.Tensor, masks: torch.Tensor) -> Run:
    """Elastic alone, sample by sample; its alpha counts half pixels."""
    bend = v2.ElasticTransform(alpha=2 * ALPHA, sigma=SIGMA)

    def run() -> object:
        bent = [
            bend(tv_tensors.Image(image), tv_tensors.Mask(mask))
            for image, mask in zip(images, masks, strict=True)
        ]
        return torch.stack([image for image, _ in bent]).float(), torch.stack([m for _, m in bent])

    return run


def kornias(images: torch.Tensor, masks: torch.Tensor) -> Run | None:
    """Elastic alone, the whole batch at once; its alpha is in units of half the side."""
    kornia = peer("kornia.augmentation")
    if kornia is None:
        return None
    # about align_corners, which is its own affair
    warnings.filterwarnings("ignore", message="Default grid_sample and affine_grid behavior")
    bend = kornia.AugmentationSequential(
        kornia.RandomElasticTransform(
            (KERNEL, KERNEL), (SIGMA, SIGMA), (2 * ALPHA / images.shape[-1],) * 2, p=1.0
        ),
        data_keys=["input", "mask"],
        extra_args={},
    )

    def run() -> object:
        image, mask = bend(images.float(), masks[:, None].float())
        return image, mask.round().to(masks.dtype)

    return run


def albumentations(images: torch.Tensor, masks: torch.Tensor) -> Iterator[tuple[str, Run]]:
    """All four, with each noise, in each way of using several cores."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or it asks the network
    library, cv2 = peer("albumentations"), peer("cv2")
    if library is None or cv2 is None:
        return
    arrays = images.permute(0, 2, 3, 1).numpy(), masks.numpy()
    pool = ThreadPoolExecutor(torch.get_num_threads())
    each: dict[str, tuple[int, Callable[..., Any]]] = {"one thread": (0, map)}
    if torch.get_num_threads() > 1:
        each["OpenCV's threads"] = torch.get_num_threads(), map
        each["a sample a thread"] = 0, pool.map

    def run(change: Callable[..., dict[str, torch.Tensor]], way: str) -> object:
        opencv, over = each[way]
        cv2.setNumThreads(opencv)
        done = list(over(lambda image, mask: change(image=image, mask=mask), *arrays))
        return torch.stack([d["image"] for d in done]).float(), torch.stack(
            [d["mask"] for d in done]
        )

    for noise in ("gaussian", "uniform"):
        change = composed(library, cv2, tuple(images.shape[-2:]), noise)
        for way in each:
            yield f"{noise} noise, {way}", partial(run, change, way)


def composed(
    library: ModuleType, cv2: ModuleType, size: tuple[int, ...], noise: str, *more: Any
) -> Any:
    """The same four of albumentations, for an image and a mask, and what comes after them."""
    return library.Compose(
        [
            library.HorizontalFlip(p=1),
            library.Rotate(limit=15, border_mode=cv2.BORDER_REFLECT, p=1),
            library.RandomResizedCrop(size, scale=(0.25, 1), ratio=(1, 1), p=1),
            library.ElasticTransform(
                alpha=ALPHA,
                sigma=SIGMA,
                noise_distribution=noise,
                border_mode=cv2.BORDER_REFLECT,
                p=1,
            ),
            *more,
            library.pytorch.ToTensorV2(),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    images, masks = pictures(given.batch, given.size)
    there = images.to(given.device), masks.to(given.device)
    runs: dict[str, Run] = {
        "bench, all four": ours(*there),
        "bench, elastic": ours(*there, ("elastic",)),
        "torchvision, elastic": torchvisions(images, masks),
    }
    if (kornia := kornias(images, masks)) is not None:
        runs["kornia, elastic"] = kornia
    for how, run in albumentations(images, masks):
        runs[f"albumentations, all four, {how}"] = run
    show(alternate(runs, given.rounds, warmup=2), given.batch)


def pictures(n: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 3, side, side) uint8, channels last as the cache has them, and (n, side, side) masks."""
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    masks = draws.integers(0, 2, (n, side, side), dtype=np.uint8)
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(masks)


def show(medians: dict[str, float], n: int) -> None:
    """Images per second, and how many times as fast ours are, all four."""
    mine = medians["bench, all four"]
    print(f"{torch.get_num_threads()} threads; × as fast is bench, all four")
    table(
        Line(name, f"{n / median:8.1f} images/s", median / mine) for name, median in medians.items()
    )


if __name__ == "__main__":
    main()
