"""What the training loop asks of a task."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

Picture = npt.NDArray[np.uint8]


class Batch(NamedTuple):
    """Samples as the network gets them.

    Attributes:
        images: (B, 3, H, W) float, normalised.
        masks: (B, H, W) uint8, class 0…K-1 or the ignore label.
    """

    images: Tensor
    masks: Tensor


class Meter(Protocol):
    """Collects one pass's metrics on the device; nothing is read back before `compute`."""

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; the caller has set the mode and the autocast."""
        ...

    def compute(self) -> dict[str, float]:
        """All metrics of the task over what was seen, `loss` first."""
        ...


class Task(Protocol):
    """What a model is trained for.

    Built from the task's settings and, of the following, what its constructor accepts:
    `classes` (names, background first), `loss` and `focal_gamma`.
    """

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The scalar to minimise, on the device."""
        ...

    def meter(self) -> Meter:
        """A fresh meter."""
        ...

    def predict(self, model: nn.Module, images: Tensor, size: tuple[int, int] | None) -> Tensor:
        """(B, h, w) uint8 labels for normalised images, at `size` (default: the images')."""
        ...

    def baseline(self, masks: Tensor) -> dict[str, float]:
        """The metrics of a trivial prediction for these (N, H, W) masks."""
        ...

    def picture(self, image: Picture, truth: Picture, prediction: Picture) -> Picture:
        """One sample as (H, W', 3): image, truth, prediction and errors side by side."""
        ...
