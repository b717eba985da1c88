"""One trial from its settings to its facts: data, model, training, the test split, pictures."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench import health
from bench.data.base import Images, Splits
from bench.data.settings import DATASETS
from bench.data.window import EIGHT_BITS, Window
from bench.errors import DeviceError, SpecError, StoreError, first_line
from bench.image_scores import SplitImages, TrialScores
from bench.measure.environment import environment
from bench.metric_columns import MetricKind, curve_metric, on_test, val_curve
from bench.models.onednn import avoid_faulty_convolutions
from bench.models.settings import MODELS, ModelSettings
from bench.models.weights_settings import ResolvedWeights
from bench.plan.trial import Trial, digest
from bench.tasks.base import FinalEvaluation, Picture, Samples, Task
from bench.tasks.settings import SUPPORT, TASKS
from bench.train import checkpoint
from bench.train.batches import ApplyWindow, Batches, Normalize
from bench.train.classifier import check_extractor, load_classifier
from bench.train.compiling import check_compiler
from bench.train.evaluation import Evaluated, evaluate_images
from bench.train.image_scores import trial_scores
from bench.train.loop import Diverged, Signals, Training, make_pictures
from bench.train.placement import Placement, check_placement, choose_placement
from bench.train.precision import Precision, check_precision
from bench.train.progress_watch import ProgressWatch
from bench.train.recorder import Recorder
from bench.train.resuming import saved_state
from bench.train.seeding import seed_globals

PICTURES = 4


@dataclass(frozen=True)
class TrialParts:
    """What a trial is made of, built and on its device; its data is read when first asked for.

    `trials_per_device` includes this one. `window` is the one that a finished trial was trained
    with; None: derived from the data's training split.
    """

    trial: Trial
    device: torch.device
    task: Task
    model: nn.Module
    trials_per_device: int = 1
    window: Window | None = None

    @cached_property
    def data(self) -> Splits:
        """All splits."""
        found: Splits = DATASETS.build(self.trial.settings.data).prepare()
        return found if self.window is None else replace(found, window=self.window)

    @cached_property
    def placement(self) -> Placement:
        """Where the data rests."""
        settings, splits = self.trial.settings, self.data.splits
        target, machine = settings.task.target, settings.machine
        choice = choose_placement(machine, splits, target, self.device, self.trials_per_device)
        return Placement(choice, splits, target, machine, self.device)

    def batches(self, split: str, batch_size: int | None = None) -> Batches:
        """One split of the data, batch by batch on the device."""
        train = self.trial.settings.train
        size = batch_size or train.val_batch_size or train.batch_size
        return Batches(self.placement[split], self.trial, size, self.device, self.data.window)

    def load(self, weights: Path) -> int:
        """Put a checkpoint's weights into the model; the epoch that they are of.

        Raises:
            StoreError: the file is damaged, or another trial's or model's.
        """
        found = checkpoint.load(weights, self.device)
        if not checkpoint.check_owner(found, weights, digest(self.trial.identity)):
            note = "does not say which trial's weights it has (written by an earlier version)"
            print(f"{weights}: {note}", file=sys.stderr, flush=True)
        try:
            self.model.load_state_dict(found["model"])
        except (KeyError, RuntimeError, TypeError, AttributeError) as error:
            raise StoreError(f"{weights}: another model's weights ({first_line(error)})") from error
        return int(found.get("epoch", 0))

    def precision(self) -> Precision:
        """The trial's number format."""
        return Precision(self.trial.settings.train.precision, self.device)

    def score(self, split: str, watch: ProgressWatch | None = None) -> Evaluated:
        """The task's metrics of the model as it is on one split, and on each of its images."""
        batches, what = self.batches(split), f"{split} split"
        return evaluate_images(
            self.model, self.task, batches, self.precision(), watch=watch, what=what
        )

    def samples(self, split: str, count: int = PICTURES) -> Samples:
        """A few samples of one split, evenly spaced."""
        found = self.data.splits[split]
        chosen = np.unique(np.linspace(0, len(found) - 1, count).astype(int))
        return Samples(
            tuple(found.names[index] for index in chosen),
            self.data.window.picture(found.images[chosen]),
            self.batches(split).at_indices(torch.from_numpy(chosen)),
        )


def build(trial: Trial) -> TrialParts:
    """Build a trial's parts; the model has the seed's initial weights until others are loaded."""
    settings = trial.settings
    device = pick_device(settings.machine.device)
    _configure(trial)
    task = TASKS.build(
        settings.task,
        classes=settings.classes,
        background=settings.data.background == "first",
        loss=settings.train.loss,
        focal_gamma=settings.train.focal_gamma,
        label_smoothing=settings.train.label_smoothing,
        load_classifier=load_classifier,
    )
    # right before: nothing drawn so far may change the initial weights
    seed_globals(trial.seed, "init")
    model: nn.Module = MODELS.build(
        settings.model, in_channels=3, out_channels=settings.task.out_channels(settings.classes)
    )
    return TrialParts(trial, device, task, avoid_faulty_convolutions(model).to(device))


def train_trial(
    trial: Trial,
    recorder: Recorder,
    signals: Signals,
    *,
    trials_per_device: int = 1,
    test: bool = True,
) -> None:
    """Train one trial, or go on with it, and record everything that is to be known of it.

    `trials_per_device` includes this one. Without `test`, nothing is computed from the test split:
    whoever chooses among trials must not have seen it.

    Raises:
        Interrupted: asked to stop, in training or after it; resumable.
        Diverged: no finite training loss, or never a finite selected metric.
    """
    check_machine(trial)
    parts = replace(build(trial), trials_per_device=trials_per_device)
    manifest = _manifest(parts)
    saved = saved_state(trial, recorder, parts.model)
    recorder.begin(manifest)
    print(parts.placement.choice, flush=True)
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
        trials_per_device=trials_per_device,
    )
    if saved is not None:
        training.resume(saved)
        del saved  # as large as the weights and the optimizer's state together
    training.run()
    _finish(parts, training, manifest, ProgressWatch(signals), test=test)


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
    training.score_last_epoch(parts.batches("test") if test else None, watch)
    if progress.best_epoch == 0:
        raise Diverged(f"{parts.trial.settings.select.metric} was never a finite number")
    epoch = parts.load(recorder.best)
    if epoch != progress.best_epoch:
        raise StoreError(
            f"{recorder.best}: of epoch {epoch}, but the best one was {progress.best_epoch}: "
            "delete last.pt, previous.pt and finished.pt there, and `run --retry-failed` starts "
            "the trial again"
        )
    with watch.forward_passes(parts.model, "final evaluation, forward pass"):
        final_evaluation = evaluate_finally(parts, watch) if test else FinalEvaluation()
        made = pictures(parts) | final_evaluation.pictures
    for name, picture in made.items():
        recorder.picture(name, picture)
    reserved = training.memory.reserved()
    if reserved is not None:  # on a GPU: what the allocator held, beside what it gave out
        peak = training.memory.megabytes() or 0.0
        print(f"GPU memory: {peak:,.0f} MB allocated at the peak, {reserved:,.0f} MB reserved")
    checkpoint.save(
        recorder.finished, training.finished_state(), durable=True, check=recorder.check
    )
    tested = parts.score("test", watch) if test else None
    facts = _facts(parts, training, manifest, watch, None if tested is None else tested.metrics)
    scores = _image_scores(parts, training, tested, watch)
    recorder.finish(facts | final_evaluation.facts, scores)


def _image_scores(
    parts: TrialParts, training: Training, tested: Evaluated | None, watch: ProgressWatch
) -> TrialScores | None:
    """Of single images, with the best epoch's weights in the model."""
    log, progress = training.scores, training.progress
    if log.selected is None:  # an earlier version trained that epoch; or the task tells none
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
    """
    train, device = trial.settings.train, pick_device(trial.settings.machine.device)
    check_placement(trial.settings.machine.placement, device)
    check_precision(train.precision, device)
    check_compiler(train.compile, device)


def load_initial_weights(parts: TrialParts) -> None:
    """Put the weights into the model that the settings say to start with; the log tells which.

    Raises:
        DataError: they are no longer where they were when the trial was planned.
        SpecError: they do not fit, or were never settled by planning.
    """
    model = parts.trial.settings.model
    if not isinstance(model, ModelSettings) or model.weights == "none":
        return  # a model of the user's own sees to its weights itself
    if not isinstance(model.weights, ResolvedWeights):
        raise SpecError(
            "not settled: `settle_weights` of bench.plan.pretrained", key="model.weights"
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


def predict(
    parts: TrialParts,
    images: Images,
    size: tuple[int, int] | None = None,
    window: Window = EIGHT_BITS,
) -> Picture:
    """Labels (N, h, w) at `size` for (N, H, W, 3) images of the trial's size."""
    parts.model.eval()
    with torch.inference_mode(), parts.precision().autocast():
        labels = parts.task.predict(parts.model, to_network_input(parts, images, window), size)
    found: Picture = labels.cpu().numpy()
    return found


def to_network_input(
    parts: TrialParts, images: Images, window: Window = EIGHT_BITS
) -> torch.Tensor:
    """(N, H, W, 3) uint8 or uint16 images of the trial's size as its network gets them.

    `window` says which values are 0 and 1; the tensor is on the trial's device.
    """
    stored = np.array(images)
    stored = stored.view(np.int16) if stored.dtype == np.uint16 else stored
    pixels = torch.from_numpy(stored).to(parts.device).permute(0, 3, 1, 2)
    return Normalize(parts.trial, parts.device)(ApplyWindow(window)(pixels))


def pick_device(wanted: str) -> torch.device:
    """CUDA when there is one and it is wanted, else the CPU.

    Raises:
        DeviceError: `cuda` was asked for and is not there.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError("machine.device: cuda was asked for, but torch sees no CUDA device")
    return torch.device("cuda")


def _configure(trial: Trial) -> None:
    """Process-wide switches of torch."""
    deterministic = trial.settings.train.deterministic
    if deterministic:  # read when cuBLAS is first used; without it PyTorch refuses to multiply
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    torch.set_float32_matmul_precision("highest")  # fp32 is fp32: no TF32, here and in cuDNN
    torch.backends.cudnn.allow_tf32 = False
    if trial.settings.machine.threads is not None:
        torch.set_num_threads(trial.settings.machine.threads)


def _manifest(parts: TrialParts) -> dict[str, Any]:
    """What the trial runs with, beside its settings."""
    choice = parts.placement.choice
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return {
        **environment(parts.device),
        "tf32": cudnn.allow_tf32 or matmul.allow_tf32,
        "cudnn_benchmark": cudnn.benchmark,
        "compile": parts.trial.settings.train.compile,
        "trials_per_device": parts.trials_per_device,
        "placement": choice.kind,
        "placement_why": choice.why,
        "window": parts.data.window.record(),
    }


def _findings(training: Training, baselines: Mapping[str, Any]) -> list[health.HealthFinding]:
    """What is wrong with the training; the log tells."""
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
        baseline = parts.task.baseline(watch.iterate(batches.in_order(), what, batches.count))
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
    """What the history does not tell; the columns of runs.csv."""
    train = parts.trial.settings.train
    baselines = _baselines(parts, ("val",) if tested is None else ("val", "test"), watch)
    best = training.progress.history[training.progress.best_epoch - 1]
    return {
        **{on_test(name): value for name, value in (tested or {}).items()},
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
