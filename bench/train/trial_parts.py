"""What a trial is made of, built and on its device: data, task, model; predictions with it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench.data.base import Images, Splits
from bench.data.folds import in_folds
from bench.data.settings import DATASETS
from bench.data.window import EIGHT_BITS, Window
from bench.errors import BenchError, DeviceError, SpecError, StoreError, first_line
from bench.models.onednn import avoid_faulty_convolutions
from bench.models.settings import MODELS
from bench.plan.trial import Trial, digest
from bench.spec.schema import TrialSettings
from bench.tasks.base import Picture, Samples, Task, task_state
from bench.tasks.custom_settings import CustomTask
from bench.tasks.loss_settings import OWN_LOSS
from bench.tasks.multi_label_loss import positive_weights
from bench.tasks.settings import TASKS
from bench.tasks.tiles import TiledModel
from bench.train import checkpoint
from bench.train.batches import ApplyWindow, Batches, Normalize
from bench.train.classifier import load_classifier
from bench.train.evaluation import Evaluated, evaluate_images
from bench.train.placement import Placement, choose_placement
from bench.train.precision import Precision
from bench.train.progress_watch import ProgressWatch
from bench.train.samplers import EpochSampler, balanced_class_weights, class_counts
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
        """All splits: of a trial of cross-validation, those of its fold."""
        trial, settings = self.trial, self.trial.settings.data
        found = in_folds(DATASETS.build(settings).prepare(), settings, trial.fold, trial.seed)
        return found if self.window is None else replace(found, window=self.window)

    @cached_property
    def placement(self) -> Placement:
        """Where the data rests."""
        settings, splits = self.trial.settings, self.data.splits
        target, machine = settings.task.target_form, settings.machine
        choice = choose_placement(machine, splits, target, self.device, self.trials_per_device)
        return Placement(choice, splits, target, machine, self.device)

    def batches(self, split: str, batch_size: int | None = None) -> Batches:
        """One split of the data, batch by batch on the device."""
        train, size = self.trial.settings.train, batch_size or self.batch_size
        sampler = self._sampler(split) if train.sampler != "shuffle" else None
        is_training = split == "train" and batch_size is not None
        by_sample = is_training and self.trial.settings.augment.by_sample
        source = self.placement.on_host(split) if by_sample else self.placement[split]
        return Batches(source, self.trial, size, self.device, self.data.window, sampler=sampler)

    @property
    def batch_size(self) -> int:
        """How many images, or tiles of them, are evaluated at once."""
        train = self.trial.settings.train
        return train.val_batch_size or train.batch_size

    @property
    def sees_all(self) -> bool:
        """Whether predictions are made for whole images of which training saw the middle only."""
        settings = self.trial.settings
        return bool(settings.data.fitting.fit == "crop" and settings.task.target_form == "mask")

    @property
    def tile(self) -> tuple[int, int] | None:
        """Height and width of the tiles by which images are evaluated; None: each is seen whole."""
        data = self.trial.settings.data
        return data.network_size if data.crop is not None or self.sees_all else None

    @property
    def whole_image_model(self) -> nn.Module:
        """The model for images of any size; by tiles where it was trained on parts of them."""
        return self.model if self.tile is None else TiledModel(self.model, self.tile)

    def _sampler(self, split: str) -> EpochSampler | None:
        """What draws the samples of training's epochs."""
        settings = self.trial.settings
        if split != "train":
            return None
        return EpochSampler(
            settings.train.sampler,
            self.data.splits[split],
            settings.task.target_form,
            getattr(self.task, "count_classes", _no_classes),
            self.trial.seed,
        )

    def weight_classes(self) -> None:
        """Weight the classes in the task's loss, where the settings say so.

        Raises:
            SpecError: the task does not weight classes.
        """
        settings = self.trial.settings
        weights = settings.train.class_weights
        if weights == "none":
            return
        found = self._balanced_weights() if weights == "balanced" else torch.tensor(weights)
        self.task.weight_classes(found)
        named = zip(settings.classes, found.tolist(), strict=True)
        print("class weights: " + ", ".join(f"{n} {w:.4g}" for n, w in named), flush=True)

    def _balanced_weights(self) -> torch.Tensor:
        """(K,) of the training split's classes; of several labels the weight where it is there."""
        split, form = self.data.splits["train"], self.trial.settings.task.target_form
        if form == "labels":
            assert split.labels is not None, "planned on data with labels only"
            return positive_weights(torch.from_numpy(np.array(split.labels)))
        return balanced_class_weights(class_counts(split, form, self.task.count_classes))

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
            if "task_state" in found:
                task_state(self.task).load_state_dict(found["task_state"])
        except (KeyError, RuntimeError, TypeError, AttributeError) as error:
            raise StoreError(f"{weights}: another model's weights ({first_line(error)})") from error
        return int(found.get("epoch", 0))

    def precision(self) -> Precision:
        """The trial's number format."""
        return Precision(self.trial.settings.train.precision, self.device)

    def score(self, split: str, watch: ProgressWatch | None = None) -> Evaluated:
        """The task's metrics of the model as it is on one split, and on each of its images.

        Images have the size that the data set gives them.
        """
        return evaluate_images(
            self.model,
            self.task,
            self.batches(split),
            self.precision(),
            watch=watch,
            what=f"{split} split",
            final=bool(self.trial.settings.task.end_metrics()),
        )

    def samples(self, split: str, count: int = PICTURES) -> Samples:
        """A few samples of one split, evenly spaced."""
        found = self.data.splits[split]
        chosen = np.unique(np.linspace(0, len(found) - 1, count).astype(int))
        (height, width), whole = self.trial.settings.data.network_size, found.images.shape[1:3]
        top, left = (whole[0] - height) // 2, (whole[1] - width) // 2  # as `at_indices`
        images = found.images[chosen, top : top + height, left : left + width]
        return Samples(
            tuple(found.names[index] for index in chosen),
            self.data.window.shown(images),
            self.batches(split).at_indices(torch.from_numpy(chosen)),
        )


def _no_classes(target: torch.Tensor) -> torch.Tensor:
    return torch.empty((len(target), 0), dtype=torch.int64)


def build_task(settings: TrialSettings) -> Task:
    """The task that the settings name.

    Raises:
        SpecError: one of the user's own is not there, or refuses its arguments.
    """
    train, chosen = settings.train, settings.task
    loss = {} if train.loss == OWN_LOSS else {"loss": train.loss}
    try:
        found: Task = TASKS.build(
            chosen,
            classes=settings.classes,
            background=settings.data.background == "first",
            focal_gamma=train.focal_gamma,
            label_smoothing=train.label_smoothing,
            head_weights=train.head_weights,
            load_classifier=load_classifier,
            **loss,
        )
    except BenchError:
        raise
    except Exception as error:  # code of others may raise anything
        if not isinstance(chosen, CustomTask):
            raise
        message = f"{chosen.target!r} cannot be built: {first_line(error)}"
        raise SpecError(message, key="task") from error
    return found


def build(trial: Trial) -> TrialParts:
    """Build a trial's parts; the model has the seed's initial weights until others are loaded."""
    settings = trial.settings
    device = cuda_or_cpu(settings.machine.device)
    _configure(trial)
    task = build_task(settings)
    # right before: nothing drawn so far may change the initial weights
    seed_globals(trial.seed, "init")
    model: nn.Module = MODELS.build(
        settings.model,
        in_channels=settings.data.channel_count,
        out_channels=settings.task.out_channels(settings.classes),
    )
    task_state(task).to(device)
    return TrialParts(trial, device, task, avoid_faulty_convolutions(model).to(device))


def predict(
    parts: TrialParts,
    images: Images,
    size: tuple[int, int] | None = None,
    window: Window = EIGHT_BITS,
) -> Picture:
    """Labels (N, h, w) at `size` for (N, H, W, C) images of the trial's size."""
    parts.model.eval()
    with torch.inference_mode(), parts.precision().autocast():
        inputs = to_network_input(parts, images, window)
        labels = parts.task.predict(parts.whole_image_model, inputs, size)
    found: Picture = labels.cpu().numpy()
    return found


def to_network_input(
    parts: TrialParts, images: Images, window: Window = EIGHT_BITS
) -> torch.Tensor:
    """(N, H, W, C) uint8 or uint16 images of the trial's size as its network gets them.

    `window` says which values are 0 and 1; the tensor is on the trial's device.
    """
    stored = np.array(images)
    stored = stored.view(np.int16) if stored.dtype == np.uint16 else stored
    pixels = torch.from_numpy(stored).to(parts.device).permute(0, 3, 1, 2)
    return Normalize(parts.trial, parts.device)(ApplyWindow(window)(pixels))


def cuda_or_cpu(wanted: str) -> torch.device:
    """CUDA when there is one and it is wanted, else the CPU.

    Args:
        wanted: `auto`, `cpu` or `cuda`.

    Raises:
        DeviceError: another word, or `cuda` was asked for and is not there.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        # one trial computes on one GPU, and CUDA_VISIBLE_DEVICES says which
        raise DeviceError(f"device: {str(wanted)!r} is none of auto, cpu and cuda")
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
