"""`bench.testing` of augmentations: good ones pass, each fault is found by the case for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.testing import augmentation_conforms
from bench.testing.cases import DutyError
from tests.augment.custom import Shift

PIPELINES, CUSTOM, HERE = "tests.augment.pipelines", "tests.augment.custom", __name__

test_albumentations = augmentation_conforms(f"{PIPELINES}:of_albumentations")
test_torchvision = augmentation_conforms(f"{PIPELINES}:of_torchvision")
test_function = augmentation_conforms(f"{PIPELINES}:own", classes=2)
test_of_labels = augmentation_conforms(f"{PIPELINES}:of_labels", masks=False)
test_one_of_a_library = augmentation_conforms("albumentations:GridDistortion", p=1.0)
test_five_channels = augmentation_conforms("albumentations:VerticalFlip", channels=5)
test_shift = augmentation_conforms(f"{CUSTOM}:Shift", most=9)
test_ripple = augmentation_conforms(f"{CUSTOM}:Ripple", height=3)
test_tint = augmentation_conforms(f"{CUSTOM}:Tint", share=0.3)


def unpaired(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Any:
    return np.roll(image, int(rng.integers(10, 40)), 1), mask


def nothing(image: np.ndarray, mask: np.ndarray) -> Any:
    return image, mask


def in_place(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Any:
    image[:] = image[::-1].copy()
    mask[:] = mask[::-1].copy()
    return image, mask


class Growing:
    """Counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> Any:
        self.calls += 1
        return np.roll(image, self.calls, 0), np.roll(mask, self.calls, 0)


class Deaf(Shift):
    """Takes no notice of `p`, and draws where others draw."""

    def __init__(self, p: float, most: float) -> None:
        super().__init__(1.0, most)

    def matrices(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        return super().matrices(n, size, torch.default_generator)


class Waiting:
    """Reads a value back in every batch."""

    def __init__(self, p: float) -> None:
        self.p = p

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator)

    def adjust(self, images: Tensor, drawn: Tensor) -> Tensor:
        return images * drawn if images.mean().item() > 0 else images


@pytest.mark.parametrize(
    ("name", "duty"),
    [
        ("unpaired", "the mask goes where the image goes"),
        ("nothing", "it changes something"),
        ("Growing", "gives another image for the same seed"),
        ("Deaf", "it draws from its own generator only|same seed"),
        ("Waiting", "no value is read back from the device"),
    ],
)
def test_faults_are_found(name: str, duty: str) -> None:
    arguments = {"most": 9} if name == "Deaf" else {}
    with pytest.raises(Exception, match=duty) as caught:
        augmentation_conforms(f"{HERE}:{name}", **arguments).all_cases()  # type: ignore[attr-defined]
    assert isinstance(caught.value, DutyError) or name == "Growing"


def test_writing_into_the_copy_that_it_is_given_is_no_fault() -> None:
    augmentation_conforms(f"{HERE}:in_place").all_cases()  # type: ignore[attr-defined]


def test_p_must_be_kept() -> None:
    test = augmentation_conforms(f"{HERE}:Deaf", most=9)
    (check,) = [
        case for case in test.pytestmark[0].args[1] if case.__name__ == "does_nothing_with_p_0"
    ]  # type: ignore[attr-defined]
    with pytest.raises(DutyError, match="with p: 0 no bit changes"):
        check()
