"""From arrays in memory to batches on the device."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.augment.pipeline import Pipeline
from bench.data.base import Split
from bench.data.normalize import scale_and_offset
from bench.errors import DataError
from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.tasks.settings import Target
from bench.train.seeding import generator


class Epoch(NamedTuple):
    """What one epoch goes through: indices of samples in order, and what happens to each."""

    order: Tensor
    chosen: Tensor


class Normalised:
    """Turns (B, 3, H, W) uint8 or float 0–255 images into what the network gets."""

    def __init__(self, trial: Trial, device: torch.device) -> None:
        scale, offset = scale_and_offset(trial.settings.data.normalize)
        self._scale = torch.tensor(scale, device=device).view(1, 3, 1, 1)
        self._offset = torch.tensor(offset, device=device).view(1, 3, 1, 1)
        self._plain = scale == [1.0] * 3 and offset == [0.0] * 3
        channels_last = trial.settings.train.channels_last
        self._layout = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Tensor) -> Tensor:
        """Scale, shift and lay out."""
        images = images.float()
        if not self._plain:
            images = torch.addcmul(self._offset, images, self._scale)
        return images.contiguous(memory_format=self._layout)


class Batches:
    """One split on the device, cut into batches.

    Images rest as uint8, channels last, and become normalised floats batch by batch, so that a
    data set takes a quarter of the memory and nothing but indices crosses to the device in a step.
    """

    def __init__(self, split: Split, trial: Trial, batch_size: int, device: torch.device) -> None:
        self._images = _tensor(split.images, device).permute(0, 3, 1, 2)
        self._target = _target(split, trial.settings.task.target, device)
        self._moves = trial.settings.task.target == "mask"  # with the image, when augmented
        self._device = device
        self._seed = trial.seed
        self._batch_size = batch_size
        self._append = trial.settings.augment.mode == "append"
        self._pipeline = Pipeline(
            trial.settings.augment, paired="unpaired_masks" not in trial.settings.mistakes
        )
        self._normalised = Normalised(trial, device)

    def __len__(self) -> int:
        return len(self._images)

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
            index = order[part]
            target = None if self._target is None else self._target[index]
            draws = generator(self._seed, "augment", epoch, step)
            images, moved = self._pipeline.apply(
                self._images[index], target if self._moves else None, plan.chosen[part], draws
            )
            yield Batch(self._normalised(images), moved if self._moves else target, index)

    def in_order(self) -> Iterator[Batch]:
        """Every sample once, as it is."""
        index = torch.arange(len(self), device=self._device)
        for start in range(0, len(self), self._batch_size):
            yield self.at(index[start : start + self._batch_size])

    def at(self, index: Tensor) -> Batch:
        """The samples at these places, as they are."""
        target = None if self._target is None else self._target[index]
        return Batch(self._normalised(self._images[index]), target, index)


def _target(split: Split, kind: Target, device: torch.device) -> Tensor | None:
    arrays = {"mask": split.masks, "label": split.labels, "none": None}
    array = arrays[kind]
    if array is None and kind != "none":
        raise DataError(f"the data set has no {kind}s, which the task needs")
    return None if array is None else _tensor(array, device)


def _tensor(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """The array on the device; on a CPU without a copy, so that workers share one cache."""
    with warnings.catch_warnings():
        # a read-only memory map: nothing here writes into it
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array)).to(device)
