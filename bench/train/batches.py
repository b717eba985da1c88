"""From arrays in memory to batches on the device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.augment.pipeline import Pipeline
from bench.data.base import Array, Split
from bench.data.normalize import scale_and_offset
from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.train.seeding import generator


class Epoch(NamedTuple):
    """What one epoch goes through: indices of samples in order, and what happens to each."""

    order: Tensor
    chosen: Tensor


class Batches:
    """One split on the device, cut into batches.

    Images rest as uint8, channels last, and become normalised floats batch by batch, so that a
    data set takes a quarter of the memory and nothing but indices crosses to the device in a step.
    """

    def __init__(self, split: Split, trial: Trial, batch_size: int, device: torch.device) -> None:
        self._images = _tensor(split.images, device).permute(0, 3, 1, 2)
        self._masks = _tensor(split.masks, device)
        self._device = device
        self._seed = trial.seed
        self._batch_size = batch_size
        self._channels_last = trial.settings.train.channels_last
        self._append = trial.settings.augment.mode == "append"
        self._pipeline = Pipeline(
            trial.settings.augment, paired="unpaired_masks" not in trial.settings.mistakes
        )
        scale, offset = scale_and_offset(trial.settings.data.normalize)
        self._scale = torch.tensor(scale, device=device).view(1, 3, 1, 1)
        self._offset = torch.tensor(offset, device=device).view(1, 3, 1, 1)
        self._plain = scale == [1.0] * 3 and offset == [0.0] * 3

    def __len__(self) -> int:
        return len(self._images)

    @property
    def masks(self) -> Tensor:
        """All masks, (N, H, W) uint8, on the device."""
        return self._masks

    def plan(self, epoch: int) -> Epoch:
        """Order and augmentation of a training epoch.

        With `mode: append` every original is there, and beside it a copy of each sample that any
        transform was drawn for.
        """
        samples = torch.arange(len(self))
        chosen = self._pipeline.choose(len(self), generator(self._seed, "augment.choice", epoch))
        if self._append:
            copied = chosen.any(1).nonzero().flatten()
            samples = torch.cat([samples, copied])
            chosen = torch.cat([torch.zeros_like(chosen), chosen[copied]])
        order = torch.randperm(len(samples), generator=generator(self._seed, "order", epoch))
        return Epoch(samples[order], chosen[order])

    def steps(self, plan: Epoch) -> int:
        """Optimizer steps in the epoch."""
        return math.ceil(len(plan.order) / self._batch_size)

    def training(self, plan: Epoch, epoch: int) -> Iterator[Batch]:
        """Shuffled and augmented batches; the last one may be smaller."""
        order = plan.order.to(self._device)
        for step, start in enumerate(range(0, len(order), self._batch_size)):
            part = slice(start, start + self._batch_size)
            images, masks = self._images[order[part]], self._masks[order[part]]
            draws = generator(self._seed, "augment", epoch, step)
            images, moved = self._pipeline.apply(images, masks, plan.chosen[part], draws)
            assert moved is not None
            yield Batch(self.normalised(images), moved)

    def in_order(self) -> Iterator[Batch]:
        """Every sample once, as it is."""
        for start in range(0, len(self), self._batch_size):
            part = slice(start, start + self._batch_size)
            yield Batch(self.normalised(self._images[part]), self._masks[part])

    def normalised(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 or float 0–255 → what the network gets."""
        images = images.float()
        if not self._plain:
            images = torch.addcmul(self._offset, images, self._scale)
        layout = torch.channels_last if self._channels_last else torch.contiguous_format
        return images.contiguous(memory_format=layout)


def _tensor(array: Array, device: torch.device) -> Tensor:
    """The array on the device; on a CPU without a copy, so that workers share one cache."""
    with warnings.catch_warnings():
        # a read-only memory map: nothing here writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array)).to(device)
