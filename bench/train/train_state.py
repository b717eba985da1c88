"""A model with all that it is trained by."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from bench.spec.train_settings import TrainSettings
from bench.tasks.base import Batch, Task, task_state
from bench.train.average import WeightAverage
from bench.train.batchnorm import update_batchnorm
from bench.train.compiling import check_batches, compile_model
from bench.train.freeze import Freezing
from bench.train.gradient_noise import GradientNoise
from bench.train.graphs import GraphSettings
from bench.train.optim import (
    ParameterGroup,
    make_optimizer,
    parameter_group,
    start_momentum,
)
from bench.train.precision import Precision
from bench.train.sharding import ShardedModel
from bench.train.step import Stepper
from bench.train.sync_batchnorm import synchronise_batchnorm


class TrainState:
    """A model on its device, ready for its first step.

    Attributes:
        model: the model that takes gradients.
        freezing: what of it is not trained, and until when.
        optimizer: of what is.
        task_state: what of the task has parameters or buffers: a loss of one's own.
        precision: its number format.
        average: the moving average of its weights, where the settings want one.
        sharded: the model as several devices train it; None: on one.
        step: takes a step on a batch.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        settings: TrainSettings,
        device: torch.device,
        *,
        images: int,
        graphs: GraphSettings | None = None,
        seed: int = 0,
        shard: Callable[[nn.Module], ShardedModel] | None = None,
    ) -> None:
        """`images` is how many there are to train on; with `graphs`, steps are replayed.

        `seed` is the trial's, for noise in gradients. `shard` makes of the model what several
        devices train together.

        Raises:
            SpecError: what is frozen is not there, or there are too few images to compile for; or
                BatchNorm is to be that of several devices, and is of a kind of its own.
        """
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = model.to(device, memory_format=layout)  # type: ignore[call-overload]  # torch's overloads lack memory_format
        if shard is not None and settings.sync_batch_norm:
            synchronise_batchnorm(self.model)
        self.sharded = None if shard is None else shard(self.model)
        self.freezing = Freezing(self.model, settings)
        self.task_state = task_state(task).to(device)
        self.optimizer = make_optimizer(
            [*self.freezing.groups(), *_group_of(self.task_state, settings)], settings
        )
        self._task, self._batch_size = task, settings.batch_size
        self.precision = Precision(settings.precision, device)
        self.average = _average_if_asked(self.model, settings)
        self._unsynced_devices = 1 if settings.sync_batch_norm else settings.devices
        self._averages_after = settings.epochs * settings.swa.start if settings.swa else None
        noise = settings.gradient_noise
        self.step = Stepper(
            self.model,
            task,
            self.optimizer,
            self.precision,
            settings,
            compiled=_compile_if_asked(self.model, settings, images),
            average=None if settings.swa else self.average,
            device=device,
            graphs=graphs,
            noise=None if noise is None else GradientNoise(noise, seed, device),
            sharded=self.sharded,
        )

    @property
    def eval_model(self) -> nn.Module:
        """The model that is validated and kept: the average of the weights where there is one."""
        if self.average is None or (self._averages_after is not None and not self.average.steps):
            return self.model  # type: ignore[no-any-return]  # see __init__
        return self.average.module

    def begin(self, epoch: int) -> None:
        """From the epoch on that unfreezes, the optimizer has what was frozen as well."""
        for group in self.freezing.unfreeze(epoch):
            self.optimizer.add_param_group(group)
            start_momentum(self.optimizer)
        if self.sharded is not None:
            self.sharded.begin(epoch)

    def end(self, epoch: int, batches: Iterable[Batch]) -> None:
        """An epoch's steps are over: its weights enter a mean of epochs, if they are to.

        BatchNorm's statistics of the mean are then computed from `batches`, the epoch's own: those
        of its epochs are of other activations.
        """
        if self._averages_after is not None and epoch > self._averages_after:
            assert self.average is not None  # there with `swa`
            self.average.update()
            self.task_state.eval()  # what a loss keeps is not to see images twice
            update_batchnorm(self.average.module, self.model, self._task, batches, self.precision)

    def train(self, mode: bool = True) -> None:
        """Put the model into training mode, but for what is held still."""
        self.model.train(mode=mode)
        self.task_state.train(mode=mode)
        self.freezing.freeze_to_eval()
        if self.step.graph is not None:
            self.step.graph.begin()

    @property
    def batchnorm_images(self) -> int | None:
        """How many images BatchNorm takes its statistics from, where it is not a batch."""
        if not self.freezing.normalises_by_batch(self.model):
            return None
        at_once, devices = self.step.micro_batch, self._unsynced_devices
        return at_once if devices == 1 else max(1, (at_once or self._batch_size) // devices)

    def batchnorm_warning(self) -> str | None:
        """Words for that."""
        if (images := self.batchnorm_images) is None:
            return None
        return (
            f"BatchNorm takes its statistics from {images} images at a time, not from batches of "
            f"{self._batch_size} (train.micro_batch, train.devices)"
        )


def _average_if_asked(model: nn.Module, settings: TrainSettings) -> WeightAverage | None:
    if settings.swa is not None:
        return WeightAverage(model, None)
    return None if settings.ema is None else WeightAverage(model, settings.ema)


def _group_of(state: nn.Module, settings: TrainSettings) -> list[ParameterGroup]:
    """What a loss has that is trained: a parameter group of its own."""
    trained = [parameter for parameter in state.parameters() if parameter.requires_grad]
    return [parameter_group(trained, settings.lr)] if trained else []


def _compile_if_asked(model: nn.Module, settings: TrainSettings, images: int) -> nn.Module | None:
    """What full batches are trained with, if not the model as it is.

    A smaller last batch is not worth compiling a second time, nor is validation, whose figures are
    those of the model that is kept.
    """
    if settings.compile == "none":
        return None
    check_batches(settings, images)
    return compile_model(model, settings.compile)
