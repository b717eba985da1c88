"""One trial from its settings to its facts: data, model, training, the test split, pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from bench import health
from bench.errors import SpecError, StoreError
from bench.image_scores import SplitImages, TrialScores
from bench.measure.environment import environment
from bench.metric_columns import MetricKind, curve_metric, on_test, val_curve
from bench.models.settings import ModelSettings
from bench.models.weights_settings import ResolvedWeights
from bench.plan.trial import Trial
from bench.states import Failure
from bench.tasks.base import FinalEvaluation, Picture
from bench.tasks.settings import SUPPORT
from bench.train import checkpoint
from bench.train.classifier import check_extractor
from bench.train.compiling import check_compiler
from bench.train.devices import OtherDevices
from bench.train.evaluation import Evaluated
from bench.train.follower import follow
from bench.train.image_scores import trial_scores
from bench.train.loop import Diverged, Signals, Training
from bench.train.own_size import final_scores, targets_in_order
from bench.train.pictures import make_pictures
from bench.train.placement import check_placement
from bench.train.precision import check_precision
from bench.train.progress_watch import ProgressWatch
from bench.train.recorder import Recorder
from bench.train.resuming import saved_state
from bench.train.trial_parts import TrialParts, build, cuda_or_cpu


def train_trial(
    trial: Trial,
    recorder: Recorder,
    signals: Signals,
    *,
    trials_per_device: int = 1,
    test: bool = True,
    end: Callable[[Failure, str], None] | None = None,
) -> None:
    """Train one trial, or go on with it, and record everything that is to be known of it.

    `trials_per_device` includes this one. Without `test`, nothing is computed from the test split:
    whoever chooses among trials must not have seen it. With folds of all images there is none.
    `end` is called with how the trial has failed where this thread cannot notice any more that the
    process of another of its devices is gone, and does not return.

    Raises:
        Interrupted: asked to stop, in training or after it; resumable.
        Diverged: no finite training loss, or never a finite selected metric.
        DeviceLostError: the process of another device failed.
    """
    check_machine(trial)
    with ExitStack() as stack:
        others = None
        if trial.settings.train.devices > 1:
            others = stack.enter_context(OtherDevices(trial, follow, end))
            others.place.use_device(cuda_or_cpu(trial.settings.machine.device))
        parts, training, manifest = begin_training(
            trial, recorder, signals, trials_per_device=trials_per_device, others=others
        )
        training.run()
    test = test and "test" in parts.data.splits
    _finish(parts, training, manifest, ProgressWatch(signals), test=test)


def begin_training(
    trial: Trial,
    recorder: Recorder,
    signals: Signals,
    *,
    trials_per_device: int = 1,
    others: OtherDevices | None = None,
) -> tuple[TrialParts, Training, Mapping[str, Any]]:
    """A trial before its first step, or where it goes on: parts, training, what it runs with.

    Without the `others` it is trained on one device, however many it is to have.
    """
    check_machine(trial)
    parts = replace(build(trial), trials_per_device=trials_per_device)
    manifest = _manifest(parts, devices=1 if others is None else others.place.count)
    saved = saved_state(trial, recorder, parts.model)
    recorder.begin(manifest)
    print(parts.placement.choice, flush=True)
    parts.weight_classes()
    check_extractor(trial)  # before hours of training, which it would waste
    if saved is None:
        load_initial_weights(parts)
    training = Training(
        trial,
        parts.model,
        parts.task,
        parts.batches("train", trial.settings.train.batch_size),
        parts.batches("val"),
        samples=parts.samples("val"),
        fingerprint=parts.data.fingerprint,
        device=parts.device,
        recorder=recorder,
        signals=signals,
        trials_per_device=parts.trials_per_device,
        place=None if others is None else others.place,
        others=others,
    )
    if saved is not None:
        training.resume(saved)
        del saved  # as large as the weights and the optimizer's state together
    if others is not None and training.has_weights:
        others.join(training.state(), parts.device)
    return parts, training, manifest


def _finish(
    parts: TrialParts,
    training: Training,
    manifest: Mapping[str, Any],
    watch: ProgressWatch,
    *,
    test: bool,
) -> None:
    """Evaluate the best epoch's weights, and record everything that is to be known of the trial."""
    progress, recorder = training.progress, training.recorder
    # before the best weights replace those of the last epoch
    score_test = partial(final_scores, parts, "test", watch, what="test split, last epoch")
    training.score_last_epoch(score_test if test else None, watch)
    if progress.best_epoch == 0:
        raise Diverged(f"{parts.trial.settings.select.metric} was never a finite number")
    epoch = parts.load(recorder.best)
    if epoch != progress.best_epoch:
        raise StoreError(
            f"{recorder.best}: of epoch {epoch}, but the best one was {progress.best_epoch}: "
            "delete last.pt, previous.pt and finished.pt there, and `run --retry-failed` starts "
            "the trial again"
        )
    if parts.trial.settings.task.end_metrics():
        training.add_end_figures(parts.score("val", watch))
    with watch.forward_passes(parts.model, "final evaluation, forward pass"):
        final_evaluation = evaluate_finally(parts, watch) if test else FinalEvaluation()
        made = pictures(parts) | final_evaluation.pictures
    for name, picture in made.items():
        recorder.picture(name, picture)
    reserved = training.memory.reserved()
    if reserved is not None:  # on a GPU: what the allocator held, besides what it gave out
        peak = training.memory.megabytes() or 0.0
        print(f"GPU memory: {peak:,.0f} MB allocated at the peak, {reserved:,.0f} MB reserved")
    checkpoint.save(
        recorder.finished, training.finished_state(), durable=True, check=recorder.check
    )
    tested = final_scores(parts, "test", watch) if test else None
    facts = _facts(parts, training, manifest, watch, None if tested is None else tested.metrics)
    scores = _image_scores(parts, training, tested, watch)
    recorder.finish(facts | final_evaluation.facts, scores)


def _image_scores(
    parts: TrialParts, training: Training, tested: Evaluated | None, watch: ProgressWatch
) -> TrialScores | None:
    """Of single images, with the best epoch's weights in the model."""
    log, progress = training.scores, training.progress
    if log.selected is None:  # an earlier version trained that epoch; or the task gives none
        log.selected = parts.score("val", watch).images
    return trial_scores(
        log,
        {name: SplitImages(s.names, s.groups) for name, s in parts.data.splits.items()},
        None if tested is None else tested.images,
        selected_epoch=progress.best_epoch,
        last_epoch=progress.epoch,
    )


def check_machine(trial: Trial) -> None:
    """Refuse what this machine has not, or could only imitate: called before anything is spent.

    Raises:
        DeviceError: no such device, no instructions for the precision, nothing to compile with, no
            memory to be pinned.
        SpecError: steps cannot be replayed on several devices.
    """
    train, device = trial.settings.train, cuda_or_cpu(trial.settings.machine.device)
    if train.devices > 1 and trial.settings.machine.cuda_graphs == "on":
        raise SpecError(
            "on cannot be combined with train.devices: use auto, which replays no steps there",
            key="machine.cuda_graphs",
        )
    check_placement(trial.settings.machine.placement, device)
    check_precision(train.precision, device)
    check_compiler(train.compile, device)


def load_initial_weights(parts: TrialParts) -> None:
    """Put the weights into the model that the settings say to start with; the log says which.

    Raises:
        DataError: they are no longer where they were when the trial was planned.
        SpecError: they do not fit, or were never settled by planning.
    """
    model = parts.trial.settings.model
    if not isinstance(model, ModelSettings) or model.weights == "none":
        return  # a model of the user's own sees to its weights itself
    if not isinstance(model.weights, ResolvedWeights):
        raise SpecError(
            "not resolved: `resolve_weights` of bench.plan.pretrained does it", key="model.weights"
        )
    from bench.models.weights import load  # imports torchvision, which few trials need

    print(load(parts.model, model.weights), flush=True)


def pictures(parts: TrialParts, split: str = "val") -> dict[str, Picture]:
    """What the model makes of a few samples: evenly spaced, the same ones for every trial."""
    samples = parts.samples(split, parts.trial.settings.task.pictured)
    return make_pictures(parts.model, parts.task, samples, parts.precision())


def evaluate_finally(parts: TrialParts, watch: ProgressWatch | None = None) -> FinalEvaluation:
    """What the task makes of the finished model once; Interrupted where `watch` is asked to stop.

    A network that is not the trial's own may look at each image, at any time an image.
    """
    watch = watch or ProgressWatch()
    splits = {split: parts.batches(split) for split in ("train", "test")}
    train, test = (
        watch.iterate(batches.in_order(), f"final evaluation, {split} images", batches.count)
        for split, batches in splits.items()
    )
    parts.model.eval()
    with torch.inference_mode(), parts.precision().autocast():
        return parts.task.final_evaluation(parts.model, train, test)


def _manifest(parts: TrialParts, *, devices: int) -> dict[str, Any]:
    """What the trial runs with, besides its settings."""
    choice = parts.placement.choice
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return {
        **environment(parts.device),
        "tf32": cudnn.allow_tf32 or matmul.allow_tf32,
        "cudnn_benchmark": cudnn.benchmark,
        "compile": parts.trial.settings.train.compile,
        "trials_per_device": parts.trials_per_device,
        "devices": devices,
        "placement": choice.kind,
        "placement_why": choice.why,
        "window": parts.data.window.record(),
    }


def _findings(training: Training, baselines: Mapping[str, Any]) -> list[health.HealthFinding]:
    """What is wrong with the training; also printed."""
    settings, progress = training.trial.settings, training.progress
    metric = curve_metric(settings.select.metric)
    findings = training.health.findings(
        progress.history,
        settings.select,
        best=progress.best,
        baseline=baselines.get(MetricKind.BASELINE_VAL.column(metric)),
        mistakes=settings.mistakes,
    ) + _step_findings(training)
    for finding in findings:
        print(f"health: {finding.line()}", flush=True)
    return findings


def _step_findings(training: Training) -> list[health.HealthFinding]:
    """What was done otherwise than asked for, because it could not be done so."""
    found = []
    losses = [(row["epoch"], row["val/loss"]) for row in training.progress.history]
    epochs = [epoch for epoch, loss in losses if loss is not None and not math.isfinite(loss)]
    if epochs:
        text = f"in {len(epochs)} of {len(training.progress.history)} epochs, first in {epochs[0]}"
        found.append(health.HealthFinding(health.HealthIssue.NOT_FINITE, text))
    if skipped := training.progress.skipped_steps:
        found.append(
            health.HealthFinding(health.HealthIssue.SKIPPED_STEPS, f"{skipped} steps were skipped")
        )
    if images := training.train_state.batchnorm_images:
        batch = training.settings.batch_size
        text = f"BatchNorm takes its statistics from {images} images, of batches of {batch}"
        found.append(health.HealthFinding(health.HealthIssue.SMALL_BATCHES, text))
    return found


_CONSTANT_COLUMNS = {
    "val": (MetricKind.BASELINE_VAL, MetricKind.CONSTANT_VAL),
    "test": (MetricKind.BASELINE_TEST, MetricKind.CONSTANT_TEST),
}


def _baselines(parts: TrialParts, splits: Iterable[str], watch: ProgressWatch) -> dict[str, Any]:
    """What the best constant prediction scores (`baseline_…`), and which it is (`constant_…`)."""
    found: dict[str, Any] = {}
    for split in splits:
        score, constant = _CONSTANT_COLUMNS[split]
        batches, what = parts.batches(split), f"baseline of the {split} split"
        targets, count = batches.in_order(), batches.count
        if split == "test" and parts.trial.settings.data.scores_own_size:
            targets, count = targets_in_order(parts, split), len(batches)
        baseline = parts.task.baseline(watch.iterate(targets, what, count))
        found |= {score.column(name): v for name, v in baseline.metrics.items()}
        found |= {constant.column(name): v for name, v in baseline.predictions.items()}
    return found


def _facts(
    parts: TrialParts,
    training: Training,
    manifest: Mapping[str, Any],
    watch: ProgressWatch,
    tested: Mapping[str, float | None] | None,
) -> dict[str, Any]:
    """What the history does not have; the columns of runs.csv."""
    train = parts.trial.settings.train
    baselines = _baselines(parts, ("val",) if tested is None else ("val", "test"), watch)
    best = training.progress.history[training.progress.best_epoch - 1]
    return {
        **{on_test(name): value for name, value in (tested or {}).items()},
        **training.end_figures,
        **{f"val_{name}": best[val_curve(name)] for name in SUPPORT if val_curve(name) in best},
        **baselines,
        **health.record(_findings(training, baselines)),
        "trainable_params": training.freezing.trainable,
        "compile_seconds": training.progress.compile_seconds or None,  # 0: nothing was compiled
        "memory_kind": training.memory.kind,
        "device": manifest["device"],
        "threads": torch.get_num_threads(),
        "precision": training.precision.name,
        "micro_batch": training.progress.micro_batch,
        "batchnorm_images": training.train_state.batchnorm_images,
        "skipped_steps": training.progress.skipped_steps if train.bad_steps else None,
        "channels_last": train.channels_last,
        "deterministic": train.deterministic,
        "data_fingerprint": parts.data.fingerprint,
        "torch": str(torch.__version__),
        "git_commit": manifest["git_commit"],
    }
