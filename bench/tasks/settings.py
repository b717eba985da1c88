"""What a spec can say of each task, and which metrics each has, without importing torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from bench.metric_columns import SPLIT, class_columns
from bench.registry import Registry
from bench.settings import Settings, added_later, machine_local
from bench.tasks.frechet_settings import FrechetSettings
from bench.tasks.metric_settings import AnyMetric, WithMetrics, missing_column
from bench.tasks.metric_settings import Mode as Mode

TargetForm = Literal["mask", "label", "labels", "none"]
"""What of the data set's samples is learnt: a mask, one label, any number of labels, or nothing."""
EmptyMask = Literal["one", "missing"]
ScoreAverage = Literal["image", "split", "both"]

SUPPORT = ("scored_images", "scored_pairs", "scored_classes")
"""How much scores are means of: recorded with the metrics, but none of them.

The images that have a score; with several scored classes the pairs of image and class; the classes
that have a score of the whole split.
"""


class TaskSettings(Settings):
    """Common to every task. `classes` are the names of its target's classes.

    Attributes:
        classes_at_end: whether models give scores of classes, of which one logit does for two.
        takes_time: whether models are called with a time step (B,) int64 besides the images.
        losses: those that it can minimise, the default first.
        open_loss: whether it can minimise others, by `target:`, and sums.
        normalize: what `data.normalize` may be; None: anything.
        pictured: how many validation samples its closing pictures show.
    """

    classes_at_end: ClassVar[bool] = True
    takes_time: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ()
    open_loss: ClassVar[bool] = True
    normalize: ClassVar[frozenset[str] | None] = None
    pictured: ClassVar[int] = 4

    @property
    def target_form(self) -> TargetForm:
        """What of the data set's samples is learnt."""
        return "mask"

    @abstractmethod
    def metric_modes(self, classes: tuple[str, ...], *, background: bool = True) -> dict[str, Mode]:
        """The validation metrics (`dice`, not `val/dice`) and the direction of each.

        `background`: whether the first class of a mask has no score of its own.
        """

    def end_metrics(self) -> frozenset[str]:
        """The metrics that are computed at the end only."""
        metrics: tuple[AnyMetric, ...] = getattr(self, "metrics", ())
        at_end = [metric for metric in metrics if metric.when == "end"]
        counts = (missing_column(metric.measure) for metric in at_end if metric.counts_missing)
        return frozenset([*(metric.measure for metric in at_end), *counts])

    @abstractmethod
    def default_metric(self) -> str:
        """The metric that chooses the best epoch unless the spec says otherwise."""

    @abstractmethod
    def out_channels(self, classes: tuple[str, ...]) -> int:
        """How many channels a model for this task has at its end."""

    def output_shape(self, classes: tuple[str, ...], size: tuple[int, int], /) -> tuple[int, ...]:
        """The shape of a model's output for one image of `size`, its height and width."""
        return (1, self.out_channels(classes), *size)


def further_modes(metrics: Iterable[AnyMetric], columns: Sequence[str]) -> dict[str, Mode]:
    """The columns of metrics that a spec asks for, and the direction of each.

    `columns`: of the scored classes; each has one of its own where there are several.
    """
    found: dict[str, Mode] = {}
    for metric in metrics:
        found[metric.measure] = metric.mode
        if metric.per_class and len(columns) > 1:
            found |= {f"{metric.measure}_{name}": metric.mode for name in columns}
        if metric.counts_missing:
            found[missing_column(metric.measure)] = "min"
    return found


def scored_classes(classes: tuple[str, ...], *, background: bool) -> tuple[str, ...]:
    """The classes of a mask that have scores: all but the background."""
    return classes[1:] if background else classes


MULTI_LABEL_SCORES = ("map", "f1", "micro_f1", "samples_f1", "subset_accuracy")
"""What is always recorded of images with several labels, beside the loss."""
DIFFUSION_QUARTERS = ("loss_t1", "loss_t2", "loss_t3", "loss_t4")
"""The loss by quarters of the time steps, from the least noise to the most."""

TASKS: Registry[TaskSettings] = Registry("task")


@TASKS.register("bench.tasks.segmentation:Segmentation")
class SegmentationSettings(WithMetrics, TaskSettings):
    """A class for every pixel."""

    losses: ClassVar[tuple[str, ...]] = ("cross_entropy", "dice", "cross_entropy+dice", "focal")
    recorded: ClassVar[frozenset[str]] = frozenset({"dice", "iou", "split_dice", "split_iou"})
    pictured: ClassVar[int] = 12  # enough for a worst, a median and a best one among them
    name: Literal["segmentation"] = "segmentation"
    average: ScoreAverage = added_later(
        "image",
        description="image: Dice and IoU of each image, averaged; split: of each class from the "
        "pixels of the whole split (the mIoU of VOC and Cityscapes), averaged over classes; both: "
        "per image, and those of the split as split_dice and split_iou",
    )
    empty_mask: EmptyMask = added_later(
        "one",
        description="the score of an empty binary mask that is predicted empty: one, or missing "
        "(in no mean); with several scored classes it is always missing",
    )

    def metric_modes(self, classes: tuple[str, ...], *, background: bool = True) -> dict[str, Mode]:
        """Loss, mean Dice and IoU, and with more than one scored class each class's own."""
        names: list[str] = []
        scored = scored_classes(classes, background=background)
        for prefix in ("", SPLIT) if self.average == "both" else ("",):
            names += [f"{prefix}{kind}" for kind in ("dice", "iou")]
            if len(scored) > 1:
                own = class_columns(scored)
                names += [f"{prefix}{kind}_{name}" for kind in ("dice", "iou") for name in own]
        further = further_modes(self.metrics, class_columns(scored))
        return {"loss": "min", **dict.fromkeys(names, "max"), **further}

    def default_metric(self) -> str:
        """Mean Dice."""
        return "dice"

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """A channel of scores per class."""
        return len(classes)


@TASKS.register("bench.tasks.classification:Classification")
class ClassificationSettings(WithMetrics, TaskSettings):
    """A class for every image."""

    losses: ClassVar[tuple[str, ...]] = ("cross_entropy",)
    recorded: ClassVar[frozenset[str]] = frozenset({"top1", "top5"})

    name: Literal["classification"] = "classification"

    @property
    def target_form(self) -> TargetForm:
        """One label."""
        return "label"

    def metric_modes(self, classes: tuple[str, ...], *, background: bool = True) -> dict[str, Mode]:  # noqa: ARG002 - of masks
        """Loss and top-1 accuracy; top-5 where it says something, with more than five classes."""
        found: dict[str, Mode] = {"loss": "min", "top1": "max"}
        found |= {"top5": "max"} if len(classes) > 5 else {}
        return found | further_modes(self.metrics, ())

    def default_metric(self) -> str:
        """Top-1 accuracy."""
        return "top1"

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """A score per class."""
        return len(classes)

    def output_shape(self, classes: tuple[str, ...], _size: tuple[int, int], /) -> tuple[int, ...]:
        """A score per class and image."""
        return (1, len(classes))


@TASKS.register("bench.tasks.multi_label:MultiLabel")
class MultiLabelSettings(WithMetrics, TaskSettings):
    """Any number of labels for every image, each there or not, or not known."""

    classes_at_end: ClassVar[bool] = False  # a score of each label: two are never one logit
    losses: ClassVar[tuple[str, ...]] = ("binary_cross_entropy", "focal")
    recorded: ClassVar[frozenset[str]] = frozenset(MULTI_LABEL_SCORES)

    name: Literal["multi_label"] = "multi_label"
    threshold: float = Field(
        0.5, gt=0, lt=1, description="the probability above which an image is given a label"
    )

    @property
    def target_form(self) -> TargetForm:
        """Any number of labels."""
        return "labels"

    def metric_modes(self, classes: tuple[str, ...], *, background: bool = True) -> dict[str, Mode]:  # noqa: ARG002 - of masks
        """Loss, mean average precision and each label's own, F1 in three averages, subset accuracy.

        `f1` is averaged over labels, `micro_f1` is of all labels together, `samples_f1` is averaged
        over images.
        """
        columns = class_columns(classes)
        own = [f"ap_{name}" for name in columns]
        found: dict[str, Mode] = {"loss": "min", **dict.fromkeys(MULTI_LABEL_SCORES, "max")}
        return found | dict.fromkeys(own, "max") | further_modes(self.metrics, columns)

    def default_metric(self) -> str:
        """Mean average precision, which needs no threshold."""
        return "map"

    def out_channels(self, classes: tuple[str, ...]) -> int:
        """A score per label."""
        return len(classes)

    def output_shape(self, classes: tuple[str, ...], _size: tuple[int, int], /) -> tuple[int, ...]:
        """A score per label and image."""
        return (1, len(classes))


@TASKS.register("bench.tasks.diffusion:Diffusion")
class DiffusionSettings(TaskSettings):
    """Predicting the noise in images: denoising diffusion (Ho et al. 2020)."""

    classes_at_end: ClassVar[bool] = False
    takes_time: ClassVar[bool] = True
    losses: ClassVar[tuple[str, ...]] = ("mse",)
    open_loss: ClassVar[bool] = False
    normalize: ClassVar[frozenset[str] | None] = frozenset({"symmetric"})

    name: Literal["diffusion"] = "diffusion"
    steps: int = Field(1000, ge=25, le=10_000, description="steps from an image to noise")
    noise: Literal["linear", "cosine"] = Field(
        "linear",
        description="linear: β from 1e-4 to 0.02, times 1000/steps; cosine: Nichol and Dhariwal's",
    )
    ddim_steps: int = Field(
        50, ge=1, description="steps of DDIM, evenly spaced; no more than `steps` are taken"
    )
    ddpm_steps: int = machine_local(
        250, ge=1, description="steps of DDPM in pictures, evenly spaced; 1000: as trained"
    )
    samples: int = machine_local(16, ge=1, le=1024, description="generated images in a picture")
    show_every: int = machine_local(
        10, ge=1, description="epochs between pictures; the first and the last have theirs too"
    )
    frechet: FrechetSettings | None = Field(
        None, description="whether the best epoch's Fréchet distance is computed, and how"
    )

    @property
    def target_form(self) -> TargetForm:
        """Nothing: images alone."""
        return "none"

    def metric_modes(self, classes: tuple[str, ...], *, background: bool = True) -> dict[str, Mode]:  # noqa: ARG002 - it has none
        """The loss, and the loss in each quarter of the time steps: `loss_t1` is least noisy."""
        return dict.fromkeys(("loss", *DIFFUSION_QUARTERS), "min")

    def default_metric(self) -> str:
        """The loss."""
        return "loss"

    def out_channels(self, _classes: tuple[str, ...]) -> int:
        """The noise in each colour."""
        return 3
