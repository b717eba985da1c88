"""How long a trial will take: a few of its steps, before hours are spent."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch

from bench.measure.duration import Duration, half_range
from bench.metric_columns import val_curve
from bench.plan.trial import Trial
from bench.tasks.base import Batch
from bench.train import checkpoint
from bench.train.batches import Batches, EpochPlan
from bench.train.evaluation import evaluate_images
from bench.train.progress_watch import Interrupted, ProgressWatch
from bench.train.recorder import Recorder
from bench.train.seeding import seed_globals
from bench.train.session import begin_training, pictures

Clock = Callable[[], float]
"""Seconds: `time.perf_counter`, or `time.process_time` where only the own work shall count."""
ROUNDS = 3
ROUND_SECONDS = 1.5
"""Of training steps in each round, and of validation; one step and one batch at least."""
WARM_UP_SECONDS = 1.0
FEWEST_WARM_UP_STEPS, MOST_WARM_UP_STEPS = 3, 12
"""CUDA graphs are recorded in the fourth step; the heap has grown to its size by the third."""
PICTURES_SECONDS = 60.0
"""After which sampling is broken off, and its rest estimated."""


class NoSignals:
    """Nobody listens; `bench.train.signals.Signals`."""

    def stopping(self) -> bool:
        """Never."""
        return False

    def tick(self, epoch: int, step: int, steps: int) -> None:
        """Said to nobody."""

    def working(self, what: str, step: int, steps: int) -> None:
        """Said to nobody."""

    def epoch(self, row: Any) -> None:
        """Said to nobody."""


class DurationProbe:
    """Parts of a trial, for how long they take. Fills the process that it is made in.

    Args:
        trial: the trial.
        recorder: writes where the trial's results would be: a disk of another kind is another time.
        trials_per_device: how many trials the device has at a time, this one included.
        clock: what seconds are.
    """

    def __init__(
        self,
        trial: Trial,
        recorder: Recorder,
        *,
        trials_per_device: int = 1,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._clock, self._begun = clock, clock()
        parts, training, _ = begin_training(
            trial, recorder, NoSignals(), trials_per_device=trials_per_device
        )
        self._parts, self._training, self._trial = parts, training, trial
        self._epochs = itertools.count(1)
        self._batches = training.train_batches
        self._validation_batches = 1
        self._warm_up_steps = 0
        self._warm_up_seconds = 0.0

    def warm_up(self) -> None:
        """Take the first steps, which are slower than all others."""
        training = self._training
        training.train_state.begin(1)
        self._warm_up_steps = self._take_first_steps()
        self._validate(1)
        self._warm_up_seconds = self._since(self._begun)
        # the first state waits for the disk, as few of the later ones do
        self._training.states.save(self._training.state())

    def measured(self) -> Duration:
        """What a trial's parts take, after the warm-up."""
        unfreezes = self._trial.settings.train.unfreeze_epoch
        frozen = None
        if unfreezes is not None:
            step = self._seconds_of_a_step()
            frozen = statistics.fmean(self._train(step) for _ in range(ROUNDS))
            self._training.train_state.begin(unfreezes)
            self._take_first_steps()
        step, batch = self._seconds_of_a_step(), self._seconds_of_validation(2)
        count = self._training.val_batches.count
        self._validation_batches = _within(ROUND_SECONDS, batch, count)
        rounds = [self._round(step) for _ in range(ROUNDS)]
        training, validation, between = (
            statistics.fmean(each) for each in zip(*rounds, strict=True)
        )
        pictures, every = self._pictures()
        first = self._warm_up_steps * step + batch
        return Duration(
            start=max(0.0, self._warm_up_seconds - first),
            training=training,
            frozen_training=frozen,
            validation=validation,
            between=between + pictures * every,
            end=self._end(validation, pictures),
            spread=half_range([sum(each) for each in rounds]),
            count=ROUNDS,
        )

    def keep_busy(self) -> None:
        """Train on and on, so that whoever is measured beside this has its neighbour."""
        while True:
            self._train(0.1)

    def _round(self, step: float) -> tuple[float, float, float]:
        """A small epoch; seconds of training, validation and the rest, of a whole one."""
        training = self._train(step)
        begun = self._clock()
        row = self._validate(self._validation_batches)
        validation = self._since(begun)
        validation *= self._training.val_batches.count / self._validation_batches
        return training, validation, self._record(row, training + validation)

    def _train(self, step: float) -> float:
        """Seconds of a whole epoch, from as many steps as fit; `step` is what one takes."""
        epoch = next(self._epochs)
        begun = self._clock()
        seed_globals(self._trial.seed, "epoch", epoch)
        plan = self._batches.plan(epoch)
        self._training.train_state.train()
        steps = _within(ROUND_SECONDS, step, self._batches.steps(plan))
        images = self._take_steps(plan, epoch, steps)
        seconds = self._since(begun)
        return seconds * len(plan.order) / images

    def _take_steps(self, plan: EpochPlan, epoch: int, steps: int) -> int:
        """The first steps of an epoch; how many images they had."""
        images = 0
        batches = self._batches.training(plan, epoch)
        for number, batch in enumerate(itertools.islice(batches, steps)):
            self._training.schedule.before_step((number + 0.5) / steps)
            self._training.step(batch)
            images += len(batch.images)
        return images

    def _take_first_steps(self) -> int:
        """Steps until they are as fast as they get; how many."""
        self._training.train_state.train()
        begun, steps, plan = self._clock(), 0, self._batches.plan(1)
        while steps < FEWEST_WARM_UP_STEPS or (
            steps < MOST_WARM_UP_STEPS and self._since(begun) < WARM_UP_SECONDS
        ):
            self._take_steps(plan, 1, 1)
            steps += 1
        return steps

    def _seconds_of_a_step(self) -> float:
        """About, by two of them."""
        plan = self._batches.plan(1)
        begun = self._clock()
        images = self._take_steps(plan, 1, 2)
        return self._since(begun) * self._trial.settings.train.batch_size / images

    def _seconds_of_validation(self, batches: int) -> float:
        begun = self._clock()
        self._validate(batches)
        return self._since(begun) / min(batches, self._training.val_batches.count)

    def _validate(self, batches: int, *, final: bool = False) -> dict[str, float | int | None]:
        """Evaluate so many batches; a row of a history."""
        training = self._training
        found = evaluate_images(
            training.train_state.eval_model,
            training.task,
            cast("Batches", FirstBatches(training.val_batches, batches)),
            training.precision,
            final=final,
        )
        self._scores = found.images
        return {val_curve(name): value for name, value in found.metrics.items()}

    def _record(self, row: dict[str, float | int | None], epoch_seconds: float) -> float:
        """Put an epoch on record; seconds that the next one waits for it."""
        training = self._training
        begun = self._clock()
        training.health.observe_epoch(1)
        training.scores.add(self._scores)
        training.progress.history.append({
            "epoch": training.progress.epoch + 1, "train/loss": 1.0, **row, "lr": 1.0,
            "epoch_seconds": 1.0, "val_seconds": 1.0, "between_seconds": None,
            "images_per_second": 1.0, "peak_memory_mb": training.memory.megabytes(),
        })  # fmt: skip
        training.note_best(training.progress.history[-1])
        write = training.epoch_record(training.progress.history[-1])
        copying = self._since(begun)
        begun = self._clock()
        write()
        writing = self._since(begun)
        if training.writes_in_background:
            writing = max(0.0, writing - epoch_seconds)
        return copying + writing

    def _pictures(self) -> tuple[float, float]:
        """Seconds of making pictures once, and in which part of the epochs that is."""
        epochs = self._trial.settings.train.epochs
        made = sum(
            self._training.task.makes_pictures_at(epoch, epochs) for epoch in range(1, epochs + 1)
        )
        begun = self._clock()
        limit = _Limit(PICTURES_SECONDS)
        watch = ProgressWatch(limit)
        try:
            with watch.forward_passes(self._parts.model, "pictures"):
                pictures(self._parts)
            part = 1.0
        except Interrupted:
            part = min(1.0, limit.passes / max(1, _sampling_passes(self._trial)))
        return self._since(begun) / part, made / epochs

    def _end(self, validation: float, pictures: float) -> float:
        """Seconds from the last epoch to the end: passes over the splits, pictures, records."""
        training, parts, splits = self._training, self._parts, self._parts.data.splits
        val, test = len(splits["val"]), len(splits["test"]) if "test" in splits else 0
        for_the_end = bool(self._trial.settings.task.end_metrics())
        a_pass = validation
        if for_the_end:
            begun = self._clock()
            self._validate(self._validation_batches, final=True)
            a_pass = self._since(begun) * training.val_batches.count / self._validation_batches
        begun = self._clock()
        parts.task.baseline(FirstBatches(training.val_batches, 1).in_order())
        baseline = self._since(begun) * training.val_batches.count
        begun = self._clock()
        checkpoint.save(training.recorder.finished, training.finished_state())
        saving = self._since(begun)
        # the last and the best epoch's weights are scored, as most often they are not the same
        scored = 2 * a_pass * (test / val) + (2 * a_pass if for_the_end else 0.0)
        return scored + baseline * (1 + test / val) + pictures + saving + self._sampled()

    def _sampled(self) -> float:
        """Seconds of drawing the images of a Fréchet distance, where there is one."""
        task = self._trial.settings.task
        if (frechet := getattr(task, "frechet", None)) is None:
            return 0.0
        batch = next(iter(self._training.val_batches.in_order()))
        model, count = self._parts.model.eval(), len(batch.images)
        time_of = torch.zeros(count, dtype=torch.int64, device=self._parts.device)
        with torch.inference_mode(), self._training.precision.autocast():
            model(batch.images, time_of)
            begun = self._clock()
            model(batch.images, time_of)
            seconds = self._since(begun)
        passes: int = task.ddim_steps * math.ceil(frechet.samples / count)
        return seconds * passes

    def _since(self, begun: float) -> float:
        self._synchronise()
        return self._clock() - begun

    def _synchronise(self) -> None:
        if self._parts.device.type == "cuda":
            torch.cuda.synchronize(self._parts.device)


class FirstBatches:
    """The first batches of a split, in order; as much of `Batches` as an evaluation needs."""

    def __init__(self, batches: Batches, count: int) -> None:
        self._batches, self.count = batches, min(count, batches.count)
        self.tile = batches.tile

    def in_order(self) -> Iterator[Batch]:
        """As of the split."""
        return itertools.islice(self._batches.in_order(), self.count)


class _Limit:
    """Stops work after a while; `bench.train.progress_watch.Observer`."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self.passes = 0

    def stopping(self) -> bool:
        self.passes += 1
        return time.monotonic() > self._until

    def working(self, what: str, step: int, steps: int) -> None:
        pass


def _within(seconds: float, each: float, most: int) -> int:
    """How many of what takes `each` fit into these seconds: 1 to `most`."""
    return max(1, min(most, int(seconds / max(each, 1e-9))))


def _sampling_passes(trial: Trial) -> int:
    """Forward passes of a diffusion model's pictures; 0: it is none."""
    task = trial.settings.task
    return int(getattr(task, "ddpm_steps", 0)) + int(getattr(task, "ddim_steps", 0))
