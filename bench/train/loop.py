"""One trial's training: epochs of steps, a validation after each, the best epoch kept."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bench.errors import DataError, SpecError, StoreError
from bench.measure.clock import Stopwatch
from bench.measure.memory import PeakMemory
from bench.plan.trial import Trial
from bench.tasks.base import Batch, Picture, Samples, Task
from bench.train import checkpoint
from bench.train.batches import Batches
from bench.train.compiling import CompileClock, compiled
from bench.train.freeze import Freezing
from bench.train.optim import make_optimizer, set_learning_rates
from bench.train.precision import Precision
from bench.train.recorder import Recorder, Row
from bench.train.seeding import seed_globals

TICK_SECONDS = 0.5


class Interrupted(Exception):  # noqa: N818 - not an error
    """Training was asked to stop; it can go on from its last checkpoint."""


class Diverged(Exception):  # noqa: N818 - the field's word
    """The training loss is no longer a number."""


class Signals(Protocol):
    """How training talks to whoever started it."""

    def stopping(self) -> bool:
        """Whether to stop at the next step. Called every step: must be cheap."""
        ...

    def tick(self, epoch: int, step: int, steps: int) -> None:
        """Called about twice a second within an epoch."""
        ...

    def epoch(self, row: Row) -> None:
        """One epoch is recorded."""
        ...


@dataclass
class Progress:
    """What changes from epoch to epoch besides the weights."""

    history: list[dict[str, float | int | None]] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    reference: float | None = None
    """What early stopping wants improved: the best value by steps of `min_delta` at least."""
    waited: int = 0
    compile_seconds: float = 0.0
    """Part of the epochs' training time."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


class Training:
    """A model being trained on one device. `run` is the whole of it."""

    def __init__(
        self,
        trial: Trial,
        model: nn.Module,
        task: Task,
        train: Batches,
        val: Batches,
        *,
        samples: Samples,
        fingerprint: str,
        device: torch.device,
        recorder: Recorder,
        signals: Signals,
    ) -> None:
        self.trial, self.task = trial, task
        self.settings = trial.settings.train
        self.train_batches, self.val_batches, self.samples = train, val, samples
        self.fingerprint = fingerprint
        self.device, self.recorder, self.signals = device, recorder, signals
        layout = torch.channels_last if self.settings.channels_last else torch.contiguous_format
        self.model = model.to(device, memory_format=layout)  # type: ignore[call-overload]
        self.freezing = Freezing(self.model, self.settings)
        self.optimizer = make_optimizer(self.freezing.groups(), self.settings)
        self.precision = Precision(self.settings.precision, device)
        self.compiled = self._compiled()
        self.average = (
            None if self.settings.ema is None else _average(self.model, self.settings.ema)
        )
        self.progress = Progress()
        self.memory = PeakMemory(device)

    def _compiled(self) -> nn.Module | None:
        """What full batches are trained with, if not the model as it is.

        A smaller last batch is not worth compiling a second time, nor is validation, whose figures
        are those of the model that is kept.
        """
        mode, least = self.settings.compile, self.settings.batch_size
        if mode == "none":
            return None
        if len(self.train_batches) < least:
            raise SpecError(
                f"only full batches are compiled, and there are fewer than {least} images",
                key="train.compile",
            )
        return compiled(self.model, mode)

    def run(self) -> None:
        """Train to the last epoch, or until early stopping; go on where a checkpoint is."""
        if self.recorder.last.exists():
            self._resume()
        while self.progress.epoch < self.settings.epochs and not self._waited_enough():
            row = self._epoch(self.progress.epoch + 1)
            self.progress.history.append(row)
            self._keep(row)
            self._show()
            self.recorder.epoch(row)
            self.signals.epoch(row)

    def _epoch(self, epoch: int) -> dict[str, float | int | None]:
        # code of the user's own may draw from the global generators: dropout does
        seed_globals(self.trial.seed, "epoch", epoch)
        self._thaw(epoch)
        plan = self.train_batches.plan(epoch)
        with Stopwatch(self.device) as training, CompileClock() as compiling:
            loss = self._train(plan, epoch)
        self.progress.compile_seconds += compiling.seconds
        with Stopwatch(self.device) as validating:
            metrics = self._validate()
        if not math.isfinite(loss):
            raise Diverged(f"the training loss of epoch {epoch} is {loss}")
        seconds = training.seconds()
        return {
            "epoch": epoch,
            "train/loss": loss,
            **{f"val/{name}": value for name, value in metrics.items()},
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "epoch_seconds": seconds,
            "val_seconds": validating.seconds(),
            "images_per_second": len(plan.order) / seconds,
            "peak_memory_mb": self.memory.megabytes(),
        }

    def _thaw(self, epoch: int) -> None:
        """From the epoch on that unfreezes, the optimizer has what was frozen as well."""
        for group in self.freezing.thaw(epoch):
            self.optimizer.add_param_group(group)

    def _train(self, plan: Any, epoch: int) -> float:
        """One epoch of steps; the mean loss over images. Nothing is read back before the end."""
        # the published mistake: validation's evaluation mode is never undone
        self.model.train(mode="eval_mode_leak" not in self.trial.settings.mistakes or epoch == 1)
        self.freezing.hold_still()
        steps = self.train_batches.steps(plan)
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        told = time.monotonic()
        for step, batch in enumerate(self.train_batches.training(plan, epoch)):
            done = epoch - 1 + (step + 0.5) / steps
            set_learning_rates(self.optimizer, self.settings, done)
            total += self.step(batch) * len(batch.images)
            if self.signals.stopping():
                raise Interrupted
            if time.monotonic() - told > TICK_SECONDS:
                told = time.monotonic()
                self.signals.tick(epoch, step + 1, steps)
        return float(total) / len(plan.order)

    def step(self, batch: Batch) -> Tensor:
        """One optimizer step; the loss, left on the device."""
        self.optimizer.zero_grad()  # first, so that the forward pass has the gradients' memory
        model = self.model
        if self.compiled is not None and len(batch.images) == self.settings.batch_size:
            model = self.compiled
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with self.precision.autocast():
            loss = self.task.loss(model, batch)
        self.precision.step(loss, self.optimizer, self.model, self.settings.clip_grad_norm)
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.detach()

    @property
    def validated(self) -> nn.Module:
        """The model that is validated and kept: the average of the weights where there is one."""
        return self.model if self.average is None else self.average.module

    def _validate(self) -> dict[str, float]:
        leak = "grad_in_validation" in self.trial.settings.mistakes
        return evaluate(self.validated, self.task, self.val_batches, self.precision, grad=leak)

    def _keep(self, row: Row) -> None:
        """Note whether this is the best epoch, and write the checkpoints."""
        progress = self.progress
        value = row[self.trial.settings.select.metric]
        if value is not None and self._better(value, progress.best):
            progress.best, progress.best_epoch = float(value), progress.epoch
            weights = {"model": self.validated.state_dict(), "epoch": progress.epoch}
            checkpoint.save(self.recorder.best, weights)
        stopping = self.settings.early_stopping
        margin = stopping.min_delta if stopping else 0.0
        if value is not None and self._better(value, progress.reference, margin):
            progress.reference, progress.waited = float(value), 0
        else:
            progress.waited += 1
        checkpoint.save(self.recorder.last, self._state())

    def _show(self) -> None:
        """Pictures of this epoch, where the task wants them."""
        epoch, epochs = self.progress.epoch, self.settings.epochs
        if self.task.shows(epoch, epochs):
            found = shown(self.validated, self.task, self.samples, self.precision)
            for name, picture in found.items():
                self.recorder.picture(f"epoch{epoch:0{len(str(epochs))}}_{name}", picture)

    def _better(self, value: float, best: float | None, margin: float = 0.0) -> bool:
        if not math.isfinite(value):
            return False
        sign = 1 if self.trial.settings.select.mode == "max" else -1
        return best is None or sign * (value - best) > margin

    def _waited_enough(self) -> bool:
        stopping = self.settings.early_stopping
        return stopping is not None and self.progress.waited >= stopping.patience

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "progress": asdict(self.progress),
            "fingerprint": self.fingerprint,
            "threads": torch.get_num_threads(),
        }

    def _resume(self) -> None:
        state = self._saved()
        torch.set_num_threads(state["threads"])  # another number would change the last bits
        progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        self._thaw(progress.epoch)  # the optimizer's state has the groups of that epoch
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.progress = progress
        self.recorder.resume(progress.history)

    def _saved(self) -> dict[str, Any]:
        """The checkpoint to go on from, if it can be gone on from."""
        try:
            state = checkpoint.load(self.recorder.last, self.device)
        except StoreError as error:
            raise StoreError(f"{error}: delete it, and the trial starts anew") from error
        if state["fingerprint"] != self.fingerprint:
            raise DataError(
                "the data is not what the first epochs of this trial were trained on: put it back, "
                "or start anew with --force"
            )
        return state


def _average(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights, and of BatchNorm's statistics."""
    update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch's lacks types
    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def shown(
    model: nn.Module, task: Task, samples: Samples, precision: Precision
) -> dict[str, Picture]:
    """The task's pictures of the model, in evaluation mode."""
    model.eval()
    with torch.inference_mode(), precision.autocast():
        return task.pictures(model, samples)


def evaluate(
    model: nn.Module, task: Task, batches: Batches, precision: Precision, *, grad: bool = False
) -> dict[str, float]:
    """The task's metrics over every sample, in evaluation mode; the model's mode stays evaluation.

    `grad` leaves autograd on (a published mistake, to be measured).
    """
    model.eval()
    meter = task.meter()
    with nullcontext() if grad else torch.inference_mode():
        for batch in batches.in_order():
            with precision.autocast():
                meter.update(model, batch)
        return meter.compute()
