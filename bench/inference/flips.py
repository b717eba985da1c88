"""Flips as test-time augmentation: the mean of what a model makes of an image and its mirrors."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from bench.inference.mean_scores import MeanScores, mean_scores
from bench.tasks.outputs import main_output

Flips = Literal["none", "horizontal", "both"]
AXES: dict[Flips, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "horizontal": ((), (-1,)),
    "both": ((), (-1,), (-2,), (-2, -1)),
}
"""The axes that are turned round, for each pass."""


class FlipAveraged(nn.Module):
    """A model that gives the mean of its probabilities over mirrored images, as scores.

    Scores of pixels are mirrored back first; those of whole images need not be.
    """

    def __init__(self, model: nn.Module, flips: Flips, mean: MeanScores = mean_scores) -> None:
        super().__init__()
        self.model, self._passes, self._mean = model, AXES[flips], mean

    def forward(self, images: Tensor) -> Tensor:
        """(B, K, …) scores of images (B, C, H, W)."""
        return self._mean([self._once(images, axes) for axes in self._passes])

    def _once(self, images: Tensor, axes: tuple[int, ...]) -> Tensor:
        if not axes:
            return main_output(self.model(images))
        found = main_output(self.model(images.flip(axes)))
        return found.flip(axes) if found.dim() == 4 else found
