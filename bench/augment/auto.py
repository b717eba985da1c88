"""RandAugment and TrivialAugment by torchvision."""

from __future__ import annotations

from typing import Literal

from torchvision.transforms import InterpolationMode, v2

from bench.augment.foreign import TorchvisionV2

Interpolation = Literal["nearest", "bilinear"]


class RandAugment(TorchvisionV2):
    """`torchvision.transforms.v2.RandAugment` of a part of the images."""

    def __init__(
        self,
        p: float,
        ops: int,
        magnitude: int,
        bins: int,
        interpolation: Interpolation,
        fill: float,
    ) -> None:
        chosen = v2.RandAugment(
            num_ops=ops,
            magnitude=magnitude,
            num_magnitude_bins=bins,
            interpolation=InterpolationMode(interpolation),
            fill=fill,
        )
        super().__init__(chosen, "rand_augment", p)


class TrivialAugment(TorchvisionV2):
    """`torchvision.transforms.v2.TrivialAugmentWide` of a part of the images."""

    def __init__(self, p: float, bins: int, interpolation: Interpolation, fill: float) -> None:
        chosen = v2.TrivialAugmentWide(
            num_magnitude_bins=bins, interpolation=InterpolationMode(interpolation), fill=fill
        )
        super().__init__(chosen, "trivial_augment", p)
