"""What the training loop asks of a task."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from bench.image_scores import ImageScores

Picture = npt.NDArray[np.uint8]


class Batch(NamedTuple):
    """Samples as the network gets them.

    Attributes:
        images: (B, 3, H, W) float, normalised.
        target: masks (B, H, W) uint8, class 0…K-1 or the ignore label; or labels (B,) int64; or
            several labels (B, K) int64 of 1, 0 and missing ones; or None where the task needs none.
        places: (B,) int64, each sample's place in its split.
    """

    images: Tensor
    target: Tensor | None
    indices: Tensor

    def parts(self, size: int) -> list[Batch]:
        """The batch cut into as few parts of at most `size` as there can be, of like sizes."""
        count = math.ceil(len(self.images) / size)
        images, indices = self.images.tensor_split(count), self.indices.tensor_split(count)
        targets = [None] * count if self.target is None else self.target.tensor_split(count)
        return [Batch(*fields) for fields in zip(images, targets, indices, strict=True)]


LossPart = Callable[[nn.Module], Tensor]
"""A part's share in the loss of its batch, as a function of the model."""


class Samples(NamedTuple):
    """A few samples to be shown.

    Attributes:
        names: their names in the data set.
        images: (N, H, W, 3) uint8, as stored.
        batch: the same as the network gets them.
    """

    names: tuple[str, ...]
    images: Picture
    batch: Batch


@dataclass(frozen=True)
class FinalEvaluation:
    """What is made of the best model once, being too dear for every epoch.

    Attributes:
        facts: columns of runs.csv.
        pictures: (H, W, 3), by name.
    """

    facts: dict[str, float | str] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)


class Baseline(NamedTuple):
    """What the best constant prediction scores, each metric having its own best one.

    Attributes:
        metrics: by the metric's name; one that is not defined is left out.
        predictions: what is predicted, by the metric's name, where that has a name: a class.
    """

    metrics: dict[str, float]
    predictions: dict[str, str]


class Meter(Protocol):
    """Collects one pass's metrics on the device; nothing is read back before `compute`."""

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; the caller has set the mode and the autocast."""
        ...

    def compute(self) -> dict[str, float | None]:
        """All metrics of the task over what was seen, `loss` first; None: not defined there.

        Beside them may stand how much they are means of: `bench.tasks.settings.SUPPORT`.
        """
        ...

    def by_image(self) -> ImageScores:
        """The same of each image, in the order in which they were seen; after `compute`."""
        ...


@runtime_checkable
class LabelsImages(Protocol):
    """What a task also is whose predictions are names of labels, with probabilities."""

    classes: tuple[str, ...]

    def probabilities(self, model: nn.Module, images: Tensor) -> Tensor:
        """(B, K) fp32 of normalised images."""
        ...

    def names_of(self, probabilities: Tensor) -> list[str]:
        """The labels that are predicted of an image with these probabilities, (K,)."""
        ...


def task_state(task: object) -> nn.Module:
    """What of a task has parameters or buffers (a loss of one's own), as a module; mostly empty.

    A task that has any says it by an attribute `state`.
    """
    found = getattr(task, "state", None)
    return found if isinstance(found, nn.Module) else nn.ModuleList()


class Task(Protocol):
    """What a model is trained for.

    Built from the task's settings and, of the following, what its constructor accepts:
    `classes` (names of the target's classes), `background` (whether the first class of a mask has
    no score), `loss`, `focal_gamma`, `label_smoothing`, `head_weights` and `load_classifier` (a
    settled classifier → its network).
    """

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The scalar to minimise, on the device."""
        ...

    def loss_parts(self, batch: Batch, size: int) -> Sequence[LossPart]:
        """The loss of a batch in shares of at most `size` samples: their sum is `loss`.

        Random draws are those of `loss`, the model's own apart.

        Raises:
            ValueError: the loss is none that parts of a batch add up to.
        """
        ...

    def meter(self, *, final: bool = False) -> Meter:
        """A fresh meter.

        `final`: with the metrics that are for the end only; given where the task's settings have
        any (`TaskSettings.end_metrics`).
        """
        ...

    def weight_classes(self, weights: Tensor, /) -> None:
        """Weight classes in the loss, (K,); called where `train.class_weights` says so."""
        ...

    def count_classes(self, targets: Tensor, /) -> Tensor:
        """(N, K) int64: how often each class is in each of these targets (N, …)."""
        ...

    def predict(self, model: nn.Module, images: Tensor, size: tuple[int, int] | None) -> Tensor:
        """Labels for normalised images, uint8 or int64 on the device.

        (B,) where images are classified; (B, K) of 0 and 1 where they can have several labels; else
        (B, h, w) at `size` (default: the images').
        """
        ...

    def baseline(self, batches: Iterable[Batch]) -> Baseline:
        """What the best constant prediction scores on these samples."""
        ...

    def pictures(self, model: nn.Module, samples: Samples) -> dict[str, Picture]:
        """Pictures (H, W, 3) of what the model makes of a few samples, by name."""
        ...

    def makes_pictures_at(self, epoch: int, epochs: int, /) -> bool:
        """Whether pictures are made after this epoch too, not only of the best at the end."""
        ...

    def final_evaluation(
        self, model: nn.Module, train: Iterable[Batch], test: Iterable[Batch], /
    ) -> FinalEvaluation:
        """What is too dear for every epoch, of the best model.

        It is called in evaluation mode, without gradients, under the trial's autocast.
        """
        ...
