"""One trial's training: epochs of steps, a validation after each, the best epoch kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from bench.errors import DataError, StoreError, first_line
from bench.history_row import HistoryRow
from bench.measure.clock import Stopwatch
from bench.measure.memory import PeakMemory
from bench.metric_columns import MetricKind, curve_metric, val_curve
from bench.plan.trial import Trial, digest
from bench.tasks.base import Samples, Task
from bench.train import checkpoint
from bench.train.batches import Batches, EpochPlan
from bench.train.compiling import CompileClock
from bench.train.devices import OtherDevices, Place, order_of
from bench.train.epoch_writer import EpochWriter, host_copy, writes_in_background
from bench.train.evaluation import Evaluated, evaluate_images
from bench.train.graphs import graphs_for
from bench.train.health_checks import HealthMonitor
from bench.train.image_scores import ScoreLog
from bench.train.pictures import make_pictures
from bench.train.progress import Diverged as Diverged
from bench.train.progress import Progress
from bench.train.progress_watch import TICK_SECONDS, ProgressWatch
from bench.train.progress_watch import Interrupted as Interrupted
from bench.train.recorder import Recorder
from bench.train.schedules import make_schedule
from bench.train.seeding import seed_globals
from bench.train.signals import Signals as Signals
from bench.train.train_state import TrainState


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
        trials_per_device: int = 1,
        place: Place | None = None,
        others: OtherDevices | None = None,
    ) -> None:
        """`place` is this process's among those of several devices; the first has the `others`."""
        self.trial, self.task = trial, task
        self.settings = trial.settings.train
        self.train_batches, self.val_batches, self.samples = train, val, samples
        self.fingerprint = fingerprint
        self.device, self.recorder, self.signals, self._others = device, recorder, signals, others
        graphs = graphs_for(trial, device, trials_per_device) if place is None else None
        shard = None if place is None else place.sharding(trial.seed)
        self.train_state = TrainState(
            model, task, self.settings, device, images=len(train), graphs=graphs, seed=trial.seed,
            shard=shard,
        )  # fmt: skip
        self.model, self.freezing = self.train_state.model, self.train_state.freezing
        self.optimizer, self.average = self.train_state.optimizer, self.train_state.average
        self.precision, self.step = self.train_state.precision, self.train_state.step
        self.schedule = make_schedule(self.optimizer, self.settings, trial.settings.select)
        self.progress = Progress(micro_batch=self.step.micro_batch)
        self.health = HealthMonitor(self.model, self.optimizer, self.settings, self.average)
        self.scores = ScoreLog(curve_metric(trial.settings.select.metric))
        self.states = checkpoint.RotatingCheckpoint(
            recorder.last, recorder.previous, recorder.check
        )
        self.end_figures: dict[str, float | None] = {}
        """Columns of runs.csv that the history does not give: metrics for the end only."""
        self.memory = PeakMemory(device)
        self.watch = ProgressWatch(signals, stops=False)
        self.writes_in_background = writes_in_background(device)
        self.has_weights = True  # but where only the records of a finished trial are made again
        self._validated_at: float | None = None
        """When this process ended its last epoch's validation."""

    def run(self) -> None:
        """Train to the last epoch, or until early stopping."""
        _warn(self.train_state.batchnorm_warning())
        with EpochWriter(background=self.writes_in_background) as writer:
            while self.progress.epoch < self.settings.epochs and not self._stops_early():
                row = self._epoch(self.progress.epoch + 1)
                self.follow(row)
                self._record_pictures()  # first: what is behind the checkpoint is not made again
                self.note_best(row)
                writer.submit(self.epoch_record(row))

    def follow(self, row: dict[str, float | int | None]) -> None:
        """Let the schedule know how an epoch went, in every process of the trial."""
        if self._others is not None:
            self._others.end(row)
        self.progress.history.append(row)
        self.schedule.after_epoch(self.progress.history)

    def begin_epoch(self, epoch: int) -> EpochPlan:
        """Which samples an epoch has; everything random in it is drawn anew."""
        # code of the user's own may draw from the global generators: dropout does
        seed_globals(self.trial.seed, "epoch", epoch)
        self.train_state.begin(epoch)
        return self.train_batches.plan(epoch)

    def _epoch(self, epoch: int) -> dict[str, float | int | None]:
        began = time.perf_counter()
        since = None if self._validated_at is None else began - self._validated_at
        plan = self.begin_epoch(epoch)
        if self._others is not None:
            self._others.begin(epoch, order_of(*plan))
        with Stopwatch(self.device) as training, CompileClock() as compiling:
            loss = self.take_steps(plan, epoch)
            again, steps = self.train_batches.training(plan, epoch), self.train_batches.steps(plan)
            what = "BatchNorm of the averaged weights"
            self.train_state.end(epoch, self.watch.iterate(again, what, steps))
        self.health.observe_epoch(steps)
        self.progress.compile_seconds += compiling.seconds
        if self.progress.micro_batch != self.step.micro_batch:  # memory ran out
            self.progress.micro_batch = self.step.micro_batch
            _warn(self.train_state.batchnorm_warning())
        with Stopwatch(self.device) as validating:
            metrics = self._validate()
        self._validated_at = time.perf_counter()
        if not math.isfinite(loss):
            raise Diverged(f"the training loss of epoch {epoch} is {loss}")
        seconds = training.seconds()
        if since is None:  # the first epoch here
            _warn(self.train_batches.slow_augmentation(seconds, len(plan.order)))
        return {
            "epoch": epoch,
            "train/loss": loss,
            **{val_curve(name): value for name, value in metrics.items()},
            "lr": float(self.optimizer.param_groups[0]["lr"]),
            "epoch_seconds": seconds,
            "val_seconds": validating.seconds(),
            "between_seconds": since,
            "images_per_second": len(plan.order) / seconds,
            "peak_memory_mb": self.memory.megabytes(),
        }

    def take_steps(self, plan: EpochPlan, epoch: int) -> float:
        """One epoch of steps; the mean loss over images, of steps that were taken.

        Nothing is read back before the end, but with `train.bad_steps` their number at ticks.
        """
        # the published mistake: validation's evaluation mode is never undone
        self.train_state.train(
            mode="eval_mode_leak" not in self.trial.settings.mistakes or epoch == 1
        )
        steps, nonfinite = self.train_batches.steps(plan), self.step.nonfinite_steps
        if nonfinite is not None:
            nonfinite.begin_epoch(self.progress.skipped_steps)
        # on the device: reading a loss back would wait for the step each time
        total = torch.zeros((), device=self.device, dtype=torch.float64)
        last_tick = time.monotonic()
        for step, batch in enumerate(self.train_batches.training(plan, epoch)):
            # the middle of the step: warm-up starts above 0, and cosine ends symmetrically
            done = epoch - 1 + (step + 0.5) / steps
            self.schedule.before_step(done)
            if self.step.noise is not None:
                self.step.noise.step = (epoch - 1) * steps + step
            total += self.step(batch) * len(batch.images)
            self.schedule.after_step()
            if self.signals.stopping():
                raise Interrupted
            if time.monotonic() - last_tick > TICK_SECONDS:
                last_tick = time.monotonic()
                self._check_nonfinite_steps(epoch, step + 1)
                self.signals.tick(epoch, step + 1, steps)
        self._check_nonfinite_steps(epoch, steps)
        counted = len(plan.order) - (nonfinite.images if nonfinite is not None else 0)
        return float(total) / counted if counted else math.nan

    def _check_nonfinite_steps(self, epoch: int, step: int) -> None:
        if self.step.nonfinite_steps is not None:
            self.progress.skipped_steps = self.step.nonfinite_steps.check(epoch, step)

    def _validate(self) -> dict[str, float | None]:
        leak = "grad_in_validation" in self.trial.settings.mistakes
        model = self.train_state.eval_model
        metrics, scores = evaluate_images(
            model, self.task, self.val_batches, self.precision, grad=leak, watch=self.watch
        )
        self.scores.add(scores)
        selected = self.trial.settings.select.metric
        # whether it is defined depends on the split, not on the epoch: no use going on
        if metrics[curve_metric(selected)] is None:
            raise DataError(
                f"{selected}, which chooses the best epoch, is not defined: the validation split "
                "has nothing that it scores; check the split, or choose another select.metric"
            )
        return metrics

    def epoch_record(self, row: HistoryRow) -> Callable[[], None]:
        """What puts this epoch on record: its checkpoints, and then the row that says it is done.

        The state first: going on from it, the best epoch's weights can be written again.
        """
        keep = host_copy if self.writes_in_background else dict
        state = keep(self.state())
        best = self._best_weights()
        best = None if best is None else keep(best)

        def write() -> None:
            self.states.save(state)
            self._save_best(best)
            self.recorder.record_epoch(row)
            self.signals.epoch(row)

        return write

    def note_best(self, row: HistoryRow) -> None:
        """Note whether this is the best epoch, and how long early stopping has waited."""
        progress = self.progress
        value = row[self.trial.settings.select.metric]
        if value is not None and self._better(value, progress.best):
            progress.best, progress.best_epoch = float(value), progress.epoch
            self.scores.select()
        stopping = self.settings.early_stopping
        margin = stopping.min_delta if stopping else 0.0
        if value is not None and self._better(value, progress.reference, margin):
            progress.reference, progress.waited = float(value), 0
        else:
            progress.waited += 1

    def _best_weights(self) -> dict[str, Any] | None:
        """What is kept of this epoch where it is the best so far."""
        if self.progress.best_epoch != self.progress.epoch:
            return None
        return {
            "model": self.train_state.eval_model.state_dict(),
            "epoch": self.progress.epoch,
            "identity": digest(self.trial.identity),
            **self._task_state(),
        }

    def _save_best(self, weights: dict[str, Any] | None) -> None:
        if weights is not None:
            checkpoint.save(self.recorder.best, weights, check=self.recorder.check)

    def score_last_epoch(
        self, test: Callable[[nn.Module], Evaluated] | None, watch: ProgressWatch
    ) -> None:
        """Score each image with the last epoch's weights, where the best epoch is another.

        `test` scores a model on the test split; None: it is not looked at.

        Of the validation split only where an earlier version trained that epoch.
        """
        if not self.has_weights or self.progress.best_epoch in (0, self.progress.epoch):
            return
        model, precision = self.train_state.eval_model, self.precision
        final = bool(self.trial.settings.task.end_metrics())

        if self.scores.last is None or final:
            validated = evaluate_images(
                model, self.task, self.val_batches, precision, watch=watch,
                what="val split, last epoch", final=final,
            )  # fmt: skip
            self.scores.last = validated.images
            self.end_figures = self._end_figures(MetricKind.FINAL, validated)
        if test is not None:
            self.scores.test_last = test(model).images

    def add_end_figures(self, validated: Evaluated) -> None:
        """Keep what is computed at the end only, of the selected epoch's weights."""
        self.scores.selected = validated.images
        if self.progress.best_epoch == self.progress.epoch:
            self.end_figures = self._end_figures(MetricKind.FINAL, validated)
        self.end_figures |= self._end_figures(MetricKind.BEST, validated)

    def _end_figures(self, kind: MetricKind, found: Evaluated) -> dict[str, float | None]:
        """Columns of the metrics that no epoch's validation has."""
        known = self.progress.history[-1]
        return {
            kind.column(name): value
            for name, value in found.metrics.items()
            if val_curve(name) not in known
        }

    def _record_pictures(self) -> None:
        """Pictures of this epoch, where the task wants them."""
        epoch, epochs = self.progress.epoch, self.settings.epochs
        if self.task.makes_pictures_at(epoch, epochs):
            model = self.train_state.eval_model
            with self.watch.forward_passes(model, "pictures, forward pass"):
                found = make_pictures(model, self.task, self.samples, self.precision)
            for name, picture in found.items():
                self.recorder.picture(f"epoch{epoch:0{len(str(epochs))}}_{name}", picture)

    def _better(self, value: float, best: float | None, margin: float = 0.0) -> bool:
        if not math.isfinite(value):
            return False
        sign = 1 if self.trial.settings.select.mode == "max" else -1
        return best is None or sign * (value - best) > margin

    def _stops_early(self) -> bool:
        stopping = self.settings.early_stopping
        return stopping is not None and self.progress.waited >= stopping.patience

    def state(self) -> dict[str, Any]:
        """What `resume` goes on from: plain data and tensors."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "progress": asdict(self.progress),
            "health": self.health.state(),
            "image_scores": self.scores.state(),
            "fingerprint": self.fingerprint,
            "identity": digest(self.trial.identity),
            "threads": torch.get_num_threads(),
            **self._task_state(),
            **({"schedule": schedule} if (schedule := self.schedule.state_dict()) else {}),
        }

    def _task_state(self) -> dict[str, Any]:
        """What a loss of one's own keeps, where it keeps anything."""
        state = self.train_state.task_state.state_dict()
        return {"task_state": state} if state else {}

    def finished_state(self) -> dict[str, Any]:
        """What a finished trial's records can be made of again, with the best epoch's weights."""
        state = self.state()
        steps = None if self.average is None else self.average.steps
        weights = ("model", "optimizer", "scaler", "average", "task_state", "schedule")
        kept = {k: v for k, v in state.items() if k not in weights} | {"average_steps": steps}
        return kept | ({"end_figures": self.end_figures} if self.end_figures else {})

    def resume(self, state: Mapping[str, Any]) -> None:
        """Put everything as it was after a saved epoch: `bench.train.resuming` chooses which.

        Raises:
            DataError: the data has changed since.
            StoreError: the state does not fit.
        """
        if state["fingerprint"] != self.fingerprint:
            raise DataError(
                "the data is not what the first epochs of this trial were trained on: put it back, "
                "or start anew with --force"
            )
        try:
            self.restore(state)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise StoreError(
                f"{self.recorder.last}: not a state of this trial ({first_line(error)}): delete "
                "it, previous.pt and finished.pt there, and `run --retry-failed` starts the trial "
                "anew"
            ) from error
        if "model" in state:
            self._save_best(self._best_weights())
        if self.progress.best_epoch == 0:
            self.recorder.best.unlink(missing_ok=True)  # of an epoch that is void
        self.recorder.resume(self.progress.history)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Be as when `state()` was taken."""
        torch.set_num_threads(state["threads"])  # another number would change the last bits
        progress = Progress(**state["progress"])
        self.scores.resume(state.get("image_scores"), progress.epoch)
        if "model" not in state:
            # a finished trial: no step follows, and what is scored are the best epoch's weights
            self.has_weights = False
            self.end_figures = dict(state.get("end_figures", {}))
            self.train_state.begin(progress.epoch)
            if self.average is not None:
                self.average.steps = state["average_steps"]
            self.progress, self.step.micro_batch = progress, progress.micro_batch
            self.health.resume(state.get("health"))
            return
        self.model.load_state_dict(state["model"])
        if self._task_state():
            self.train_state.task_state.load_state_dict(state["task_state"])
        self.train_state.begin(progress.epoch)  # the optimizer's state has the groups of that epoch
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state.get("schedule", {}), progress.history)
        self.precision.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.progress, self.step.micro_batch = progress, progress.micro_batch
        self.health.resume(state.get("health"))


def _warn(text: str | None) -> None:
    if text is not None:
        print(f"warning: {text}", flush=True)
