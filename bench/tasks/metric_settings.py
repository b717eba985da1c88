"""What a spec can say of metrics beside those that a task always has, without importing torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from bench.registry import Custom, Registry, name_as_mapping, part_type
from bench.settings import Settings, added_later, excluded_from_builder

Mode = Literal["min", "max"]
When = Literal["epoch", "end"]
Bounds = tuple[float | None, float | None]
COLUMN_PATTERN = r"^[a-z][a-z0-9_]*$"
_EVERY_EPOCH = "epoch: in every validation; end: of the selected and the last epoch's weights only"


class MetricSettings(Settings):
    """Common to metrics by name.

    Attributes:
        tasks: names of the tasks that it is of.
        mode: whether less or more of it is better.
        bounds: the least and the greatest value that it can have.
        counts_missing: whether a column `…_missing` counts where it has no value; see
            `PairMetric`.
        per_class: whether each scored class has one of its own where several are scored.
        package: what has to be installed; the extra `bench[metrics]` brings all.
    """

    tasks: ClassVar[frozenset[str]]
    mode: ClassVar[Mode] = "max"
    bounds: ClassVar[Bounds] = (0.0, 1.0)
    per_class: ClassVar[bool] = False
    counts_missing: ClassVar[bool] = False
    package: ClassVar[str | None] = None

    when: When = excluded_from_builder("epoch", description=_EVERY_EPOCH)
    column: str | None = excluded_from_builder(
        None, pattern=COLUMN_PATTERN, description="what its columns are called; default: its name"
    )

    @property
    def measure(self) -> str:
        """What its columns are called: `hd95` in `val/hd95`."""
        return self.column or str(self.name)  # type: ignore[attr-defined]  # every registered one has it


METRICS: Registry[MetricSettings] = Registry("metric")
_SEGMENTATION = frozenset({"segmentation"})
_CLASSIFICATION = frozenset({"classification"})
_LABELS = frozenset({"classification", "multi_label"})


@METRICS.register("bench.tasks.surface_metrics:HausdorffDistance")
class HD95Settings(MetricSettings):
    """The 95th percentile of the Hausdorff distance between two outlines, in pixels (MONAI)."""

    tasks: ClassVar[frozenset[str]] = _SEGMENTATION
    mode: ClassVar[Mode] = "min"
    bounds: ClassVar[Bounds] = (0.0, None)
    per_class: ClassVar[bool] = True
    counts_missing: ClassVar[bool] = True
    package: ClassVar[str | None] = "monai"

    name: Literal["hd95"] = "hd95"
    when: When = excluded_from_builder("end", description=_EVERY_EPOCH)
    percentile: float = Field(95.0, gt=0, le=100, description="100: the Hausdorff distance itself")


@METRICS.register("bench.tasks.surface_metrics:SurfaceDice")
class NSDSettings(MetricSettings):
    """Normalised surface Dice: the part of both outlines within a tolerance (MONAI)."""

    tasks: ClassVar[frozenset[str]] = _SEGMENTATION
    per_class: ClassVar[bool] = True
    package: ClassVar[str | None] = "monai"

    name: Literal["nsd"] = "nsd"
    when: When = excluded_from_builder("end", description=_EVERY_EPOCH)
    tolerance: float = Field(1.0, ge=0, description="distance that still agrees, in pixels")


@METRICS.register("bench.tasks.surface_metrics:CenterlineDice")
class CLDiceSettings(MetricSettings):
    """Centre-line Dice of tubes (Shit et al. 2021), on scikit-image's skeletons."""

    tasks: ClassVar[frozenset[str]] = _SEGMENTATION
    per_class: ClassVar[bool] = True
    package: ClassVar[str | None] = "skimage"

    name: Literal["cldice"] = "cldice"
    when: When = excluded_from_builder("end", description=_EVERY_EPOCH)


@METRICS.register("bench.tasks.pixel_metrics:Precision")
class PrecisionSettings(MetricSettings):
    """The share of the predicted pixels that are right."""

    tasks: ClassVar[frozenset[str]] = _SEGMENTATION
    per_class: ClassVar[bool] = True
    counts_missing: ClassVar[bool] = True

    name: Literal["precision"] = "precision"


@METRICS.register("bench.tasks.pixel_metrics:Recall")
class RecallSettings(MetricSettings):
    """The share of the mask's pixels that are found."""

    tasks: ClassVar[frozenset[str]] = _SEGMENTATION
    per_class: ClassVar[bool] = True

    name: Literal["recall"] = "recall"


@METRICS.register("bench.tasks.pixel_metrics:PooledIoU")
class MIoUSettings(MetricSettings):
    """IoU of each class from all pixels of the split, averaged over classes."""

    tasks: ClassVar[frozenset[str]] = _SEGMENTATION

    name: Literal["miou"] = "miou"
    background: bool = Field(
        False, description="whether the background counts as a class, as in VOC"
    )


@METRICS.register("bench.tasks.label_metrics:AUROC")
class AUROCSettings(MetricSettings):
    """Area under the ROC curve of each class against the others, averaged (torchmetrics)."""

    tasks: ClassVar[frozenset[str]] = _LABELS
    per_class: ClassVar[bool] = True
    package: ClassVar[str | None] = "torchmetrics"

    name: Literal["auroc"] = "auroc"


@METRICS.register("bench.tasks.label_metrics:F1")
class F1Settings(MetricSettings):
    """F1 of each class, averaged (torchmetrics)."""

    tasks: ClassVar[frozenset[str]] = _CLASSIFICATION
    package: ClassVar[str | None] = "torchmetrics"

    name: Literal["f1"] = "f1"


@METRICS.register("bench.tasks.label_metrics:BalancedAccuracy")
class BalancedAccuracySettings(MetricSettings):
    """The mean over classes of the share of their images that are right (torchmetrics)."""

    tasks: ClassVar[frozenset[str]] = _CLASSIFICATION
    package: ClassVar[str | None] = "torchmetrics"

    name: Literal["balanced_accuracy"] = "balanced_accuracy"


@METRICS.register("bench.tasks.label_metrics:CalibrationError")
class CalibrationErrorSettings(MetricSettings):
    """Expected calibration error (Guo et al. 2017), of several labels each one's (torchmetrics)."""

    tasks: ClassVar[frozenset[str]] = _LABELS
    per_class: ClassVar[bool] = True
    mode: ClassVar[Mode] = "min"
    package: ClassVar[str | None] = "torchmetrics"

    name: Literal["calibration_error"] = "calibration_error"
    bins: int = Field(15, ge=1, description="bins of equal width of the confidence")


class CustomMetric(Custom):
    """A metric of the user's own, of torchmetrics or of MONAI, with its arguments.

    An object with `update(predictions, targets)` and `compute()`; one of MONAI's; or a function of
    predictions and targets that gives a value for each image (B,), NaN where it has none.
    """

    mode: Mode = Field(description="min or max: whether less or more of it is better")
    bounds: tuple[float | None, float | None] = Field(
        (None, None),
        strict=False,
        description="the least and the greatest value that it can have; null: none",
    )
    when: When = Field("epoch", description=_EVERY_EPOCH)
    column: str | None = Field(
        None,
        pattern=COLUMN_PATTERN,
        description="what its columns are called; default: the target's name in small letters",
    )
    predictions: Literal["auto", "labels", "one_hot", "probabilities", "scores"] = Field(
        "auto",
        description="what it is given: labels; one_hot (B, K, …), the targets too; probabilities "
        "or scores (B, K, …); auto: one_hot for MONAI's, labels of pixels, probabilities of images",
    )
    per_class: ClassVar[bool] = False
    counts_missing: ClassVar[bool] = False

    @property
    def measure(self) -> str:
        """What its columns are called: `mean_distance` of `my_metrics:MeanDistance`."""
        return self.column or _in_small_letters(self.target)


AnyMetric = MetricSettings | CustomMetric


def missing_column(measure: str) -> str:
    """What counts the images, or classes in them, without a value of a metric is called."""
    return f"{measure}_missing"


def measure_of(recorded: Mapping[str, Any]) -> str:
    """What the columns of a metric are called whose settings were recorded."""
    column, target = recorded.get("column"), recorded.get("target")
    return str(column or (_in_small_letters(str(target)) if target else recorded.get("name")))


def _in_small_letters(target: str) -> str:
    """`mean_distance` for `my_metrics:MeanDistance`."""
    name = re.split(r"[.:]", target)[-1]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


_choices: Any = part_type(METRICS, CustomMetric)
Metric = Annotated[_choices, BeforeValidator(name_as_mapping)]
Metrics = tuple[Metric, ...]


class WithMetrics(Settings):
    """A task that further metrics can be asked of.

    Attributes:
        recorded: metrics that it always has, beside the loss.
    """

    recorded: ClassVar[frozenset[str]] = frozenset()

    metrics: Metrics = added_later(
        (),
        strict=False,
        description="further metrics: names, mappings with `name:` and settings, or `target:`",
    )

    @field_validator("metrics")
    @classmethod
    def _are_of_the_task(cls, value: tuple[AnyMetric, ...]) -> tuple[AnyMetric, ...]:
        task, seen = cls.model_fields["name"].default, set[str]()
        for metric in value:
            if metric.measure in cls.recorded | _ALWAYS:
                raise ValueError(f"{metric.measure!r} is recorded anyhow: give it a `column:`")
            if isinstance(metric, MetricSettings) and task not in metric.tasks:
                name = str(metric.name)  # type: ignore[attr-defined]  # every registered one has it
                fitting = [n for n in METRICS.names() if task in METRICS.entry(n).settings.tasks]
                raise ValueError(f"{name!r} is not a metric of {task}; use {', '.join(fitting)}")
            if metric.measure in seen:
                raise ValueError(f"two metrics are called {metric.measure!r}: give one a `column:`")
            seen.add(metric.measure)
        return value


_ALWAYS = frozenset({"loss", "scored_images", "scored_pairs", "scored_classes"})
