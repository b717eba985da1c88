"""One optimizer step: of whole batches or of parts of them, taken or passed over."""

from __future__ import annotations

import gc
import math

import torch
from torch import Tensor, nn

from bench.measure.memory import is_out_of_memory
from bench.spec.train_settings import TrainSettings
from bench.tasks.base import Batch, Task, task_state
from bench.train.average import WeightAverage
from bench.train.gradient_noise import GradientNoise
from bench.train.graphs import GraphSettings, StepGraph
from bench.train.precision import Precision
from bench.train.progress import Diverged
from bench.train.sharding import ShardedModel
from bench.train.snapshots import BufferSnapshot, save_random_state


class Stepper:
    """Takes the steps of one trial.

    With `train.micro_batch` the gradient of a batch is the sum of those of its parts, which are of
    equal size to one image. Under `auto` a step that runs out of memory is begun anew with parts of
    half the size: gradients, buffers and random generators are as before the failed one. What the
    optimizer itself needs does not depend on the parts, so there nothing is tried again.

    Attributes:
        micro_batch: how many images of a batch go through the model at once, at most; None: all.
        nonfinite_steps: counts the skipped steps, where `train.bad_steps` allows any.
        noise: is added to the gradients; None: none is.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimizer: torch.optim.Optimizer,
        precision: Precision,
        settings: TrainSettings,
        *,
        compiled: nn.Module | None,
        average: WeightAverage | None,
        device: torch.device,
        graphs: GraphSettings | None = None,
        noise: GradientNoise | None = None,
        sharded: ShardedModel | None = None,
    ) -> None:
        self._sharded = sharded
        self._model, self._task, self._optimizer = model, task, optimizer
        self._precision, self._settings, self._device = precision, settings, device
        self._compiled, self._average = compiled, average
        self.noise = noise
        wanted = settings.micro_batch
        self.micro_batch = wanted if isinstance(wanted, int) else None
        self._retries = wanted == "auto"
        self.nonfinite_steps = (
            NonfiniteSteps(settings.bad_steps, device) if settings.bad_steps else None
        )
        whole = self._trained = with_task_state(model, task)
        self.graph = None if graphs is None else StepGraph(whole, self._launched_gradient, graphs)
        undoes = self._retries or self.nonfinite_steps is not None
        self._buffers = BufferSnapshot(whole) if undoes else None

    def __call__(self, batch: Batch) -> Tensor:
        """One step; the loss, left on the device: 0 where the step was passed over."""
        if self._buffers is not None:
            self._buffers.save()
        loss = self._gradient_within_memory(batch) if self._retries else self._gradient(batch)
        if self._sharded is not None:
            self._sharded.average(list(task_state(self._task).parameters()))
        loss = self._optimizer_step(loss, len(batch.images))
        if self._average is not None:
            self._average.update()
        return loss

    def _optimizer_step(self, loss: Tensor, images: int) -> Tensor:
        """The optimizer's part of the step."""
        clip = self._settings.clip_grad_norm
        if self.nonfinite_steps is None:
            self._precision.step(self._optimizer, self._trained, clip, self.noise)
            return loss
        nonfinite = self._precision.step_if_finite(
            loss, self._optimizer, self._trained, clip, self.noise
        )
        assert self._buffers is not None  # kept wherever a step may be passed over
        self._buffers.restore(nonfinite)
        return self.nonfinite_steps.count(nonfinite, loss, images)

    def _gradient(self, batch: Batch) -> Tensor:
        """Leave the gradient of the batch's loss in the parameters; the loss."""
        if self.graph is not None and len(batch.images) == self._settings.batch_size:
            return self.graph(batch)
        return self._launched_gradient(batch)

    def _launched_gradient(self, batch: Batch) -> Tensor:
        """The same, launched operation by operation."""
        self._optimizer.zero_grad()  # first, so that the forward pass has the gradients' memory
        images = len(batch.images)
        if self.micro_batch is not None and self.micro_batch < images:
            return self._gradient_by_parts(batch, self.micro_batch)
        model = self._model if self._sharded is None else self._sharded
        if self._compiled is not None and images == self._settings.batch_size:
            model = self._compiled
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch's has no types
        with self._precision.autocast():
            loss = self._task.loss(model, batch)
        self._precision.backward(loss)
        return loss.detach()

    def _gradient_by_parts(self, batch: Batch, size: int) -> Tensor:
        model = self._model if self._sharded is None else self._sharded
        total = torch.zeros((), device=self._device)
        for loss_part in self._task.loss_parts(batch, size):
            with self._precision.autocast():
                loss = loss_part(model)
            self._precision.backward(loss)
            total += loss.detach()
        return total

    def _gradient_within_memory(self, batch: Batch) -> Tensor:
        """As `_gradient`, with smaller and smaller parts as long as memory runs out."""
        restore = save_random_state(self._device)
        while True:
            try:
                return self._gradient(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self._images_at_once(batch) == 1:
                    raise
            # out here, since the error holds on to what the failed step had computed
            self._halve(batch)
            restore()
            assert self._buffers is not None  # kept wherever a step may be begun anew
            self._buffers.restore()

    def _images_at_once(self, batch: Batch) -> int:
        return min(len(batch.images), self.micro_batch or len(batch.images))

    def _halve(self, batch: Batch) -> None:
        """Free the failed step's memory, and take half as many images at once from now on."""
        before = self._images_at_once(batch)
        self.micro_batch = math.ceil(before / 2)
        print(
            f"out of memory with {before} images at once: gradients are accumulated over parts of "
            f"at most {self.micro_batch} images from here on",
            flush=True,
        )
        self._optimizer.zero_grad()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def with_task_state(model: nn.Module, task: Task) -> nn.Module:
    """The model, and with it what a loss of one's own keeps, where it keeps anything."""
    state = task_state(task)
    kept = [*state.parameters(), *state.buffers()]
    return nn.ModuleList([model, state]) if kept else model


class NonfiniteSteps:
    """Counts, on the device, the steps that were passed over.

    Such a step has a loss or a gradient that is not finite; weights, the optimizer's state and
    buffers are after it what they were before. A moving average goes on with the old weights.
    """

    def __init__(self, allowed: int, device: torch.device) -> None:
        self.allowed = allowed
        self._steps = torch.zeros((), dtype=torch.int64, device=device)
        self._images = torch.zeros((), dtype=torch.int64, device=device)

    def count(self, nonfinite: Tensor, loss: Tensor, images: int) -> Tensor:
        """Count a step of so many images if it was `nonfinite`, a () bool; its loss, or 0."""
        self._steps += nonfinite
        self._images += nonfinite * images
        return torch.where(nonfinite, 0.0, loss)

    def begin_epoch(self, steps: int) -> None:
        """An epoch begins; in those before, so many steps were passed over."""
        self._steps.fill_(steps)
        self._images.zero_()

    def check(self, epoch: int, step: int) -> int:
        """How many there were so far, at a step of an epoch; Diverged where that is too many."""
        steps = self.steps
        if steps > self.allowed:
            raise Diverged(
                f"{steps} training steps had a loss or gradient that is not finite, up to step "
                f"{step} of epoch {epoch}; train.bad_steps allows {self.allowed}"
            )
        return steps

    @property
    def steps(self) -> int:
        """Steps passed over in the whole trial; reads back from the device."""
        return int(self._steps)

    @property
    def images(self) -> int:
        """Images in the steps of this epoch that were passed over; reads back from the device."""
        return int(self._images)
