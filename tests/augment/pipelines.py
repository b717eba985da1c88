"""Pipelines as users have them in a module of their own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torchvision import transforms as v1
from torchvision.transforms import v2


def of_albumentations(turn: float = 0.5) -> Any:
    """As in the guides of segmentation: with Normalize and ToTensorV2 at its end."""
    import albumentations as A
    import cv2
    from albumentations.pytorch import ToTensorV2

    return A.Compose(
        [
            A.HorizontalFlip(p=0.5),
            A.VerticalFlip(p=0.5),
            A.Affine(rotate=(-45, 45), border_mode=cv2.BORDER_CONSTANT, fill_mask=255, p=turn),
            A.RandomBrightnessContrast(p=0.5),
            A.Normalize(),
            ToTensorV2(),
        ]
    )


def of_torchvision(image_size: tuple[int, int]) -> Any:
    return v2.Compose(
        [
            v2.RandomResizedCrop(image_size, scale=(0.5, 1)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.3),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )


def of_labels() -> Any:
    """As in the guides of classification."""
    return v1.Compose([v1.RandomHorizontalFlip(), v1.ColorJitter(brightness=0.5)])


def old() -> Any:
    return v1.RandomHorizontalFlip()


def own(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Any:
    """A function with a generator: rolls the rows."""
    by = int(rng.integers(len(image)))
    return {"image": np.roll(image, by, 0), "mask": np.roll(mask, by, 0)}


def own_globals(pixels: np.ndarray, labels: np.ndarray) -> Any:
    """A function with other names, which draws from the global generators."""
    if random.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    shift = np.random.randint(len(pixels)) + int(torch.randint(3, ()))
    return np.roll(pixels, shift, 1), np.roll(labels, shift, 1)


def of_image(image: np.ndarray) -> np.ndarray:
    return 255 - image


class Unseeded:
    """Draws from a generator of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> Any:
        by = int(self.rng.integers(1, len(image)))
        return np.roll(image, by, 0), np.roll(mask, by, 0)


def smaller(image: np.ndarray, mask: np.ndarray) -> Any:
    return image[::2, ::2], mask[::2, ::2]


def normalised(image: np.ndarray, mask: np.ndarray) -> Any:
    return (image.astype(np.float32) / 255 - 0.45) / 0.22, mask


def smoothed(image: np.ndarray, mask: np.ndarray) -> Any:
    """A mask as bilinear interpolation makes it: labels between labels."""
    return image, (mask.astype(np.float32) + np.roll(mask, 1, 0)) / 2


def strange(image: np.ndarray, mask: np.ndarray) -> Any:
    return image, np.full_like(mask, 9)


def without_mask(image: np.ndarray, mask: np.ndarray) -> Any:
    return image


def failing(image: np.ndarray, mask: np.ndarray) -> Any:
    raise ZeroDivisionError("half of nothing")


def text(image: np.ndarray, mask: np.ndarray) -> Any:
    return "an image", mask


THE_ANSWER = 42


def number() -> int:
    return THE_ANSWER
