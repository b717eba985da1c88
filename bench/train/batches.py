"""From samples as stored to batches as the network gets them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple, overload

import torch
from torch import Tensor

from bench.augment.pipeline import Pipeline
from bench.augment.resample import to_device
from bench.augment.samples import SampleBatch
from bench.data.normalize import scale_and_offset
from bench.data.window import EIGHT_BITS, Window
from bench.plan.trial import Trial
from bench.spec.train_parts import CustomSampler
from bench.tasks.base import Batch
from bench.tasks.tiles import tile_corners
from bench.train.placement import Crops, SampleSource, StoredBatch
from bench.train.samplers import EpochSampler
from bench.train.seeding import generator

MUCH = 0.25
"""The share of the training time from which on augmentation on the CPU is worth a word."""


class EpochPlan(NamedTuple):
    """What one epoch goes through: indices of samples in order, and what happens to each."""

    order: Tensor
    chosen: Tensor


class Normalize:
    """Turns (B, C, H, W) uint8 or float 0–255 images of the data's size into what the network gets.

    Float images may be written into.
    """

    def __init__(self, trial: Trial, device: torch.device) -> None:
        channels_last = trial.settings.train.channels_last
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        data = trial.settings.data
        scale, offset = scale_and_offset(data.normalize, data.channel_count)
        self._is_identity = set(scale) == {1.0} and set(offset) == {0.0}
        # rows of pixels as they lie in memory: a loop over three channels is 6 times as slow
        shape = (-1,) if channels_last else (-1, 1, 1)
        self._rows_of_width: dict[int, tuple[Tensor, Tensor]] = {}
        self._channel_values = tuple(
            torch.tensor(values, device=device).view(shape) for values in (scale, offset)
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Scale, shift and lay out."""
        images = images.to(torch.float32, memory_format=self._layout)
        if not self._is_identity:
            rows = images
            scale, offset = self._channel_values
            if scale.dim() == 1:  # channels last: (B, H, W·C), sharing the images' memory
                rows = images.permute(0, 2, 3, 1)
                rows = rows.view(*rows.shape[:2], -1)
                scale, offset = self._of_rows(images.shape[3])
            torch.addcmul(offset, rows, scale, out=rows)
        return images

    def _of_rows(self, width: int) -> tuple[Tensor, Tensor]:
        """Scale and offset of a row of so many pixels, (W·C,); made once."""
        if width not in self._rows_of_width:
            scale, offset = (values.repeat(width) for values in self._channel_values)
            self._rows_of_width[width] = scale, offset
        return self._rows_of_width[width]


class ApplyWindow:
    """Turns stored images into uint8 or float 0–255, as a data set's window says."""

    def __init__(self, window: Window) -> None:
        self._is_identity = window.is_plain
        self._low, high = window.limits
        self._scale = 255 / (high - self._low)

    def __call__(self, images: Tensor) -> Tensor:
        """Of (B, C, H, W) uint8, or int16 with the bits of uint16; uint8 in full stays itself."""
        if images.dtype == torch.int16:
            images = images.to(torch.int32).bitwise_and_(0xFFFF)
        elif self._is_identity:
            return images
        found = images.to(torch.float32)
        return found.sub_(self._low).mul_(self._scale).clamp_(0, 255)


class Batches:
    """One split, cut into batches on the device.

    Images rest as uint8 (or uint16) and become normalised floats on the device, batch by batch.
    """

    def __init__(
        self,
        source: SampleSource,
        trial: Trial,
        batch_size: int,
        device: torch.device,
        window: Window = EIGHT_BITS,
        sampler: EpochSampler | None = None,
    ) -> None:
        """`sampler` draws the samples of training's epochs; None: each once in random order."""
        self._source = source
        self._apply_window = ApplyWindow(window)
        self._target_is_mask = (
            trial.settings.task.target_form == "mask"
        )  # with the image, when augmented
        self._seed = trial.seed
        self._batch_size = batch_size
        self._sampler = sampler
        train = trial.settings.train
        self._steps, self._epochs = train.steps, train.epochs
        self._custom_sampler = train.sampler
        self._append = trial.settings.augment.mode == "append"
        self._trial, self._device = trial, device
        self.sample_seconds = 0.0
        """What transforms of other libraries took since the epoch began."""
        self._normalize = Normalize(trial, device)
        data = trial.settings.data
        self.size, self.tile = data.size, None if data.crop is None else data.network_size

    def __len__(self) -> int:
        return len(self._source)

    @cached_property
    def _pipeline(self) -> Pipeline:
        """Made when it is first needed: validation needs none."""
        settings = self._trial.settings
        return Pipeline(
            settings.augment,
            paired="unpaired_masks" not in settings.mistakes,
            classes=len(settings.classes),
            size=settings.data.network_size,
            masks=self._target_is_mask,
        )

    def slow_augmentation(self, seconds: float, images: int) -> str | None:
        """Words for transforms of other libraries that took much of an epoch's training.

        Args:
            seconds: that training took in the last epoch.
            images: how many it had.
        """
        if self.sample_seconds < MUCH * seconds:
            return None
        names = " and ".join(t.name for t in self._pipeline.sample_transforms.values())
        own, whole = (1000 * part / images for part in (self.sample_seconds, seconds))
        return (
            f"augmentation by {names} takes {self.sample_seconds / seconds:.0%} of the training "
            f"time, {own:.1f} of {whole:.1f} ms per image, on {torch.get_num_threads()} CPU "
            "threads; transforms by name work on whole batches (docs/augmentation.md)"
        )

    @property
    def count(self) -> int:
        """How many batches `in_order` gives."""
        return math.ceil(len(self) / self._images_at_once)

    @property
    def _images_at_once(self) -> int:
        """Whole images are large where parts of them are trained on."""
        return self._batch_size if self.tile is None else 1

    @property
    def tile_batch_count(self) -> int:
        """How many batches `tiles_in_order` gives."""
        return math.ceil(len(self) * len(self._corners) / self._batch_size)

    @property
    def _corners(self) -> list[tuple[int, int]]:
        assert self.tile is not None, "only parts of images are trained on"
        return tile_corners(self.size, self.tile)

    def plan(self, epoch: int) -> EpochPlan:
        """Order and augmentation of a training epoch.

        With `mode: append` every original is there, along with a copy of each sample that any
        transform was drawn for.
        """
        if self._sampler is not None or self._steps is not None:
            return self._drawn_plan(epoch)
        samples = torch.arange(len(self))
        chosen = self._pipeline.choose(len(self), generator(self._seed, "augment.choice", epoch))
        if self._append:
            copied = chosen.any(1).nonzero().flatten()
            samples = torch.cat([samples, copied])
            chosen = torch.cat([torch.zeros_like(chosen), chosen[copied]])
        # the order has a stream of its own: augmentation draws do not change it
        order = torch.randperm(len(samples), generator=generator(self._seed, "order", epoch))
        return EpochPlan(samples[order], chosen[order])

    def _drawn_plan(self, epoch: int) -> EpochPlan:
        """The same where a sampler draws the samples in their order, or steps are counted."""
        samples = self._in_steps(epoch) if self._steps is not None else self._pass(epoch)
        stream = generator(self._seed, "augment.choice", epoch)
        chosen = self._pipeline.choose(len(samples), stream)
        if not self._append:
            return EpochPlan(samples, chosen)
        # each copy right after its original: the order is the sampler's
        times = 1 + chosen.any(1).long()
        first = torch.cumsum(times, 0) - times
        order, rows = (part.repeat_interleave(times, 0) for part in (samples, chosen))
        rows[first] = torch.zeros_like(rows[first])
        return EpochPlan(order, rows)

    def _in_steps(self, epoch: int) -> Tensor:
        """The samples of an epoch's part of all steps, from pass after pass over the images."""
        assert self._steps is not None
        bounds = [round(self._steps * done / self._epochs) for done in (epoch - 1, epoch)]
        begin, end = (bound * self._batch_size for bound in bounds)
        size = None if isinstance(self._custom_sampler, CustomSampler) else len(self)
        number = 1 if size is None else begin // size + 1
        at = 0 if size is None else (number - 1) * size
        parts: list[Tensor] = []
        while at < end:
            samples = self._pass(number)
            parts.append(samples[max(0, begin - at) : end - at])
            at, number = at + len(samples), number + 1
        return torch.cat(parts)

    def _pass(self, number: int) -> Tensor:
        """The samples of one pass over the images, counted from 1."""
        if self._sampler is not None:
            return self._sampler.draw(number)
        return torch.randperm(len(self), generator=generator(self._seed, "order", number))

    def steps(self, plan: EpochPlan) -> int:
        """Optimizer steps in the epoch."""
        return math.ceil(len(plan.order) / self._batch_size)

    def training(self, plan: EpochPlan, epoch: int) -> Iterator[Batch]:
        """Shuffled and augmented batches; the last one may be smaller."""
        batches = self._source.read(plan.order, self._batch_size, self._crops(plan, epoch))
        if plan.chosen.shape[1] == 0:  # there is no augmentation
            yield from map(self._as_is, batches)
            return
        self.sample_seconds = 0.0
        parts = zip(batches, torch.split(plan.chosen, self._batch_size), strict=True)
        for step, (stored, chosen) in enumerate(parts):
            yield self._augmented(stored, chosen, generator(self._seed, "augment", epoch, step))

    def _augmented(self, stored: StoredBatch, chosen: Tensor, draws: torch.Generator) -> Batch:
        levels = SampleBatch(
            self._apply_window(stored.images), stored.target if self._target_is_mask else None
        )
        if self._pipeline.sample_transforms:
            levels = self._changed_samples(levels, chosen, draws)
        images, masks = self._pipeline.apply(*levels, chosen, draws)
        target = masks if self._target_is_mask else self._on_device(stored.target)
        if self._pipeline.mixes:
            images, target = self._pipeline.mix(images, target, chosen, draws)
        return Batch(self._normalize(images), target, self._on_device(stored.indices))

    def _changed_samples(
        self, levels: SampleBatch, chosen: Tensor, draws: torch.Generator
    ) -> SampleBatch:
        """Transforms of other libraries, on the CPU; the result is on the device."""
        began = time.perf_counter()
        images, masks = levels
        there = SampleBatch(images.cpu(), None if masks is None else masks.cpu())
        changed = self._pipeline.change_samples(there, chosen, draws)
        self.sample_seconds += time.perf_counter() - began
        return SampleBatch(self._on_device(changed.images), self._on_device(changed.masks))

    @overload
    def _on_device(self, values: Tensor) -> Tensor: ...

    @overload
    def _on_device(self, values: Tensor | None) -> Tensor | None: ...

    def _on_device(self, values: Tensor | None) -> Tensor | None:
        if values is None or values.device.type == self._device.type:
            return values
        return to_device(values, self._device)

    def _crops(self, plan: EpochPlan, epoch: int) -> Crops | None:
        """Which part of each of an epoch's samples is trained on; None: all of it."""
        if self.tile is None:
            return None
        draws = torch.rand(
            (len(plan.order), 2), generator=generator(self._seed, "crop", epoch),
            dtype=torch.float64,
        )  # fmt: skip
        free = torch.tensor([w - t + 1 for w, t in zip(self.size, self.tile, strict=True)])
        return Crops(self.tile, (draws * free).long())

    def in_order(self) -> Iterator[Batch]:
        """Every sample once, as it is; one at a time where parts of them are trained on."""
        return map(self._as_is, self._source.read(torch.arange(len(self)), self._images_at_once))

    def tiles_in_order(self) -> Iterator[Batch]:
        """Every tile of every sample, one sample after the other, in the order of `tile_corners`.

        A batch may have tiles of several samples.
        """
        corners = torch.tensor(self._corners)
        order = torch.arange(len(self)).repeat_interleave(len(corners))
        crops = Crops(self.tile or self.size, corners.repeat(len(self), 1))
        return map(self._as_is, self._source.read(order, self._batch_size, crops))

    def at_indices(self, indices: Tensor) -> Batch:
        """The samples at these indices (N,), which are on the CPU, as they are.

        Where parts of images are trained on, the part in their middle.
        """
        crops = None
        if self.tile is not None:
            middle = [(w - t) // 2 for w, t in zip(self.size, self.tile, strict=True)]
            crops = Crops(self.tile, torch.tensor([middle] * len(indices)))
        (stored,) = self._source.read(indices, len(indices), crops)
        return self._as_is(stored)

    def _as_is(self, stored: StoredBatch) -> Batch:
        images = self._apply_window(self._on_device(stored.images))
        target, indices = self._on_device(stored.target), self._on_device(stored.indices)
        return Batch(self._normalize(images), target, indices)
