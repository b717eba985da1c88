"""Draws docs/augmentation.jpg: what each transform by name does to a synthetic image.

Run by hand after a change of a transform: `python docs/_site/augmentation_picture.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch import Tensor

from bench.augment.pipeline import Pipeline
from bench.augment.samples import SampleBatch
from bench.augment.settings import AugmentSettings
from bench.data.settings import DATASETS, ShapesSettings

TARGET = Path(__file__).parents[1] / "augmentation.jpg"
SIDE, COLUMNS = 160, 7
SPECS: dict[str, Any] = {
    "hflip": {}, "vflip": {}, "rotate": {"degrees": 30}, "translate": {"by": 0.2},
    "scale": {"factor": [0.6, 0.7]}, "shear": {"degrees": 20}, "crop": {"scale": [0.5, 0.6]},
    "elastic": {"alpha": 120, "sigma": 5}, "brightness": {"factor": [1.4, 1.4]},
    "contrast": {"factor": [0.5, 0.5]}, "saturation": {"factor": [0.2, 0.2]},
    "hue": {"degrees": 120}, "gamma": {"exponent": [1.8, 1.8]}, "noise": {"std": [25, 25]},
    "blur": {"sigma": [2, 2]}, "downscale": {"factor": [0.2, 0.2]},
    "jpeg": {"quality": [8, 8]}, "cutout": {"scale": [0.4, 0.4]},
    "rand_augment": {"magnitude": 15}, "trivial_augment": {}, "mixup": {"alpha": 5.0},
    "cutmix": {},
}  # fmt: skip
WORDS = ("light", "medium", "heavy")


def main() -> None:
    """Draw all of them and write the picture."""
    mpl.use("agg")
    data = DATASETS.build(ShapesSettings(image_size=SIDE, train=8, val=1, test=1)).prepare()
    split = data.splits["train"]
    images = torch.from_numpy(np.array(split.images[2:4])).permute(0, 3, 1, 2)
    masks = torch.from_numpy(np.array(split.masks[2:4]))
    tiles = {"as it is": (images[0], masks[0])}
    for name, settings in SPECS.items():
        seed = 8 if name == "trivial_augment" else 3
        tiles[name] = _augmented([{name: {"p": 1, **settings}}], images, masks, seed)
    for word in WORDS:
        tiles[word] = _augmented(word, images, masks, 5)
    rows = -(-len(tiles) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(COLUMNS * 1.5, rows * 1.7), dpi=100)
    for ax in axes.flat:
        ax.axis("off")
    for ax, (name, (image, mask)) in zip(axes.flat, tiles.items(), strict=False):
        ax.imshow(image.permute(1, 2, 0).round().to(torch.uint8).numpy())
        ax.contour(mask.numpy() > 0, [0.5], colors="white", linewidths=1)
        ax.set_title(name, fontsize=9, family="monospace", pad=3)
    figure.tight_layout(pad=0.4)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]  # of agg
    Image.fromarray(pixels).save(TARGET, quality=88, optimize=True)


def _augmented(spec: Any, images: Tensor, masks: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The first of the images, and its mask."""
    by_sample = any(name in str(spec) for name in ("rand_augment", "trivial_augment"))
    pipeline = Pipeline(AugmentSettings.model_validate(spec), masks=not by_sample)
    draws = torch.Generator().manual_seed(seed)
    chosen = pipeline.choose(len(images), draws)
    batch = SampleBatch(images.contiguous(), None if by_sample else masks)
    batch = pipeline.change_samples(batch, chosen, draws)
    found, moved = pipeline.apply(*batch, chosen, draws)
    moved = torch.zeros_like(masks) if moved is None else moved
    if "mixup" in str(spec):
        found = pipeline.mix(found, None, chosen, draws).images
        return found[0], torch.zeros_like(masks[0])  # not where masks are learnt
    mixed = pipeline.mix(found, moved, chosen, draws)
    assert mixed.target is not None
    return mixed.images[0], mixed.target[0]


if __name__ == "__main__":
    main()
