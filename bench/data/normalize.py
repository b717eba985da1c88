"""What a pixel's 0-255 becomes before it enters a network, as plain numbers (no torch here)."""

from __future__ import annotations

from bench.data.setting_types import Normalize

# Red, green, blue over ImageNet's training images scaled to 0-1, the convention of torchvision.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def scale_and_offset(normalize: Normalize, channels: int = 3) -> tuple[list[float], list[float]]:
    """Per channel, so that `pixel * scale + offset` is what the network gets.

    `none` keeps 0-255, `unit` gives 0-1, `imagenet` subtracts ImageNet's mean and divides by its
    standard deviation.
    """
    match normalize:
        case "symmetric":
            return [2 / 255] * channels, [-1.0] * channels
        case "none":
            return [1.0] * channels, [0.0] * channels
        case "unit":
            return [1 / 255] * channels, [0.0] * channels
        case "imagenet":
            scale = [1 / (255 * deviation) for deviation in IMAGENET_DEVIATION]
            pairs = zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
            return scale, [-mean / deviation for mean, deviation in pairs]
