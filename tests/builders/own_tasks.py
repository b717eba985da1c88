"""Tasks of a user's own, as tests name them by `target:`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.tasks.base import Batch
from bench.tasks.segmentation import Segmentation
from bench.tasks.simple import SimpleTask


class SuperResolution(SimpleTask):
    """Gives images back from ones of fewer pixels."""

    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def output(self, model: nn.Module, batch: Batch) -> Tensor:
        small = F.avg_pool2d(batch.images, self.factor)
        found: Tensor = model(F.interpolate(small, size=batch.images.shape[2:], mode="bilinear"))
        return found

    def losses(self, output: Tensor, batch: Batch) -> Tensor:
        return (output - batch.images).abs().mean((1, 2, 3))

    def scores(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"psnr": -10 * (output - batch.images).square().mean((1, 2, 3)).log10()}

    def predict(self, model: nn.Module, images: Tensor, _size: Any) -> Tensor:
        return self.output(model, Batch(images, None, torch.arange(len(images))))


class Counting(SimpleTask):
    """How much of a mask is foreground, as a number."""

    def losses(self, output: Tensor, batch: Batch) -> Tensor:
        return (output[:, 0] - self._share(batch)).abs()

    def scores(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        share = self._share(batch)
        error = (output[:, 0] - share).abs() / share
        return {"relative_error": torch.where(share > 0, error, torch.nan)}

    def _share(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        return (batch.target == 1).flatten(1).float().mean(1)


class EdgeSegmentation(Segmentation):
    """Segmentation whose loss has a part of its own."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        scores = model(batch.images)
        return super().loss(model, batch) + 0.01 * scores.diff(dim=2).abs().mean()


class Nameless(SuperResolution):
    def scores(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        return {"mse": (output - batch.images).square().mean((1, 2, 3))}


class Batchwise(SuperResolution):
    """Its figures are means over batches, not images."""

    def losses(self, output: Tensor, batch: Batch) -> Tensor:
        whole = (output - batch.images).square().mean()
        return whole.expand(len(batch.images)) * len(batch.images)


class Bare:
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        found: Tensor = model(batch.images).mean()
        return found
