"""How much memory a trial will take: a step or two of it, before hours are spent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import psutil
import torch

from bench.data.base import Splits
from bench.data.rows import is_mapped
from bench.measure.activations import bytes_per_image
from bench.measure.footprint import Footprint, MemoryKind
from bench.measure.free_memory import free_host_memory
from bench.measure.memory import PeakMemory, is_out_of_memory
from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.tasks.segmentation import SegmentationMeter
from bench.train.batches import Batches
from bench.train.evaluation import strips_of_images
from bench.train.train_state import TrainState
from bench.train.trial_parts import TrialParts, build, cuda_or_cpu

PROBE_IMAGES = 2  # images of the steps on a CPU; BatchNorm needs two
PROBE_STRIPS = 2  # of an image that is seen by tiles: the second has all that is kept for a third
PROBE_STEPS = 3  # the heap has grown to its size by then
ACTIVATION_OVERHEAD = 1.15
"""Resident memory per byte of live activations: what operators need while they run, and gaps in the
heap. Measured on a CPU: 1.06 to 1.27 for six models."""
MB = 1e6


def measure_footprint(trial: Trial, data_is_ready: Callable[[], None] = lambda: None) -> Footprint:
    """Predict the peak of a trial's memory; call it in a fresh process, which it fills.

    On CUDA two steps and a validation batch are measured as they are. On a CPU a few small steps
    are, and the rest follows from what forward passes take for each image more. Preparing the data
    may take long: `data_is_ready` is called after it.
    """
    device = cuda_or_cpu(trial.settings.machine.device)
    # before anything is there: the peak has the images and the weights in it
    on_cuda = _free(device) if device.type == "cuda" else None
    kind: MemoryKind = "allocated" if device.type == "cuda" else "resident"
    parts = build(_heaviest_epoch(trial))
    data = parts.data
    data_is_ready()
    probe = MemoryProbe(parts, data)
    free = _free(device) if on_cuda is None else on_cuda
    splits = trial.settings.train.micro_batch == "auto"
    try:
        peak = probe.measured() if kind == "allocated" else probe.extrapolated()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        # on CUDA `auto` has come down to a single image; on a CPU there were but a few
        return Footprint(
            None, kind, free, parts_fit=False if splits or kind == "resident" else None
        )
    if kind == "allocated":
        return Footprint(peak, kind, free, probe.step.micro_batch if splits else None, True)
    return Footprint(peak, kind, free, parts_fit=probe.smallest_peak() <= free)


def _free(device: torch.device) -> float:
    """In MB; on a CPU with what this process has already, which counts as the trial's."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0]) / MB
    return (free_host_memory() + psutil.Process().memory_info().rss) / MB


def _heaviest_epoch(trial: Trial) -> Trial:
    """The trial in its epochs of most memory, uncompiled."""
    changes: dict[str, Any] = {"compile": "none"}
    if trial.settings.train.unfreeze_epoch is not None:
        changes |= {"freeze": "none", "unfreeze_epoch": None}
    train = trial.settings.train.model_copy(update=changes)
    return replace(trial, settings=trial.settings.model_copy(update={"train": train}))


class MemoryProbe:
    """Steps of a trial, for what they take."""

    def __init__(self, parts: TrialParts, data: Splits) -> None:
        self._parts = parts
        self._settings, self._task, self._data = parts.trial.settings.train, parts.task, data
        self._train_batches = parts.batches("train", self._settings.batch_size)
        self._val_batches = parts.batches("val")
        self._train_state = TrainState(
            parts.model, parts.task, self._settings, parts.device, images=len(self._train_batches)
        )
        self.step = self._train_state.step
        self._memory = PeakMemory(parts.device)

    def measured(self) -> float:
        """The peak in MB of steps on whole batches and of a batch of validation."""
        train = self._settings
        self._train(train.batch_size, steps=2)  # the first step allocates the optimizer's state
        whole = train.val_batch_size or train.batch_size
        self._validate(whole)
        self._score_strips(whole)
        return self._memory.megabytes() or math.nan

    def extrapolated(self) -> float:
        """The same from small steps, and from what a forward pass takes for each image more."""
        self._train(PROBE_IMAGES, steps=PROBE_STEPS)
        self._score_strips(PROBE_IMAGES)
        self._small_peak_mb = self._memory.megabytes() or math.nan
        self._train_bytes_per_image = bytes_per_image(self._forward, PROBE_IMAGES)
        self._val_bytes_per_image = bytes_per_image(self._validate, PROBE_IMAGES)
        size, batch = self._settings.micro_batch, self._settings.batch_size
        batch = min(batch, len(self._train_batches))
        # micro-batches are of equal size to one image: 10 images by at most 4 are 4, 3 and 3
        at_once = math.ceil(batch / math.ceil(batch / size)) if isinstance(size, int) else batch
        return self._peak_with(at_once)

    def smallest_peak(self) -> float:
        """After `extrapolated`: the same with an image at a time in training."""
        return self._peak_with(1)

    def _peak_with(self, batch: int) -> float:
        """The peak in MB with so many images at a time in training."""
        whole = self._settings.val_batch_size or self._settings.batch_size
        checked = min(whole, len(self._val_batches)) if self._val_batches.tile is None else whole
        # validation's larger tensors do not fit into the gaps that training leaves in the heap
        more = self._train_bytes_per_image * (batch - PROBE_IMAGES)
        more += self._val_bytes_per_image * max(0, checked - batch)
        return self._small_peak_mb + (ACTIVATION_OVERHEAD * more + _mapped_bytes(self._data)) / MB

    def _train(self, images: int, *, steps: int) -> None:
        self._train_state.train()
        batch = _batch(self._train_batches, images)
        for _ in range(steps):
            self.step(batch)

    def _forward(self, images: int) -> None:
        self._train_state.train()
        batch = _batch(self._train_batches, images)
        with self._train_state.precision.autocast():
            self._task.loss(self._train_state.model, batch)

    def _score_strips(self, at_once: int) -> None:
        """Score what of an image has to be in memory, so many tiles at once, where it has any."""
        batches, meter = self._parts.batches("val", at_once), self._task.meter()
        if batches.tile is None or not isinstance(meter, SegmentationMeter):
            return
        model = self._train_state.eval_model.eval()
        with torch.inference_mode(), self._train_state.precision.autocast():
            strips = next(strips_of_images(model, batches.tiles_in_order(), batches))
            meter.update_in_strips(islice(strips, PROBE_STRIPS) if meter.scores_strips else strips)

    def _validate(self, images: int) -> None:
        model = self._train_state.eval_model.eval()
        with torch.inference_mode(), self._train_state.precision.autocast():
            self._task.meter().update(model, _batch(self._val_batches, images))


def _batch(batches: Batches, images: int) -> Batch:
    """So many images, repeated where there are fewer."""
    return batches.at_indices(torch.arange(images) % len(batches))


def _mapped_bytes(data: Splits) -> int:
    """Bytes of the data that an epoch brings into memory from the cache."""
    splits = (data.splits["train"], data.splits["val"])
    arrays = (array for split in splits for array in (split.images, split.masks))
    return sum(array.nbytes for array in arrays if array is not None and is_mapped(array))
