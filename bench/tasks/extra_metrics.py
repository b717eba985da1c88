"""Metrics beside those that a task always has: what the meters ask of them, and how they are made.

Targets are masks (B, H, W) uint8 with the ignore label, or labels (B,) int64; scores (B, K, H, W)
or (B, K) are those before softmax.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.errors import DataError, SpecError
from bench.image_scores import ImageScores
from bench.labels import IGNORE_LABEL
from bench.tasks.dice_iou import mean_of_classes, mean_over_pairs
from bench.tasks.metric_settings import METRICS, AnyMetric, CustomMetric, MetricSettings
from bench.tasks.outputs import as_classes

_ROUNDING = 1e-6
Found = dict[str, float | None]


class ScoredClasses(NamedTuple):
    """The classes of a task.

    Attributes:
        number: of all.
        first: the first that has scores: 1 where class 0 is background.
        columns: what columns call those that have scores.
    """

    number: int
    first: int
    columns: tuple[str, ...]


class ByImage(NamedTuple):
    """Figures of single images.

    Attributes:
        values: (N,) by column; NaN: no figure.
        means: the columns whose figure of the split is the mean of these.
    """

    values: dict[str, npt.NDArray[np.float64]]
    means: frozenset[str]


class ExtraMetric(Protocol):
    """One metric, over one pass."""

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Take a batch."""
        ...

    def compute(self) -> Found:
        """The figures of what was seen, by column; None: not defined there."""
        ...

    def by_image(self) -> ByImage:
        """Those of each image, in the order in which they were seen; empty: it has none."""
        ...


Maker = Callable[[], ExtraMetric]


def metric_makers(
    metrics: Sequence[AnyMetric], classes: ScoredClasses, *, masks: bool
) -> dict[str, tuple[Maker, bool]]:
    """By the metric's column: what makes a fresh one, and whether it is for the end only."""
    found: dict[str, tuple[Maker, bool]] = {}
    for metric in metrics:
        found[metric.measure] = (_maker(metric, classes, masks=masks), metric.when == "end")
    return found


def _maker(metric: AnyMetric, classes: ScoredClasses, *, masks: bool) -> Maker:
    def make() -> ExtraMetric:
        if isinstance(metric, CustomMetric):
            from bench.tasks.foreign_metric import ForeignMetric

            return ForeignMetric(metric, classes, masks=masks)
        made: ExtraMetric = METRICS.build(metric, measure=metric.measure, classes=classes)
        return made

    return make


def require(metric: MetricSettings | CustomMetric) -> None:
    """See whether the package of a metric is installed.

    Raises:
        SpecError: it is not.
    """
    package = None if isinstance(metric, CustomMetric) else metric.package
    if package is None:
        return
    try:
        __import__(package)
    except ImportError as error:
        raise SpecError(
            f"{metric.measure} needs {package}, which is not installed: pip install "
            "'bench[metrics]'",
            key="task.metrics",
        ) from error


class PairMetric:
    """A metric of each pair of image and class, averaged over an image's classes, then over images.

    A pair has no figure where its function gives NaN, in an image without a pixel that counts, and
    where no mask of the split has the class.
    """

    def __init__(self, measure: str, classes: ScoredClasses) -> None:
        self._measure, self._classes = measure, classes
        self._values: list[Tensor] = []
        self._truth: list[Tensor] = []
        self._counted: list[Tensor] = []

    def pairs(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """(B, C) float64 of (B, C, H, W) bool on the CPU; NaN where it is not defined."""
        raise NotImplementedError

    def update(self, scores: Tensor, target: Tensor) -> None:
        """See `ExtraMetric`."""
        labels, target = as_classes(scores).argmax(1).cpu(), target.cpu()
        counted = target != IGNORE_LABEL
        numbers = torch.arange(self._classes.first, self._classes.number).view(1, -1, 1, 1)
        truth = target.unsqueeze(1) == numbers
        predicted = (labels.unsqueeze(1) == numbers) & counted.unsqueeze(1)
        self._values.append(self.pairs(predicted, truth).double())
        self._truth.append(truth.flatten(2).any(2))
        self._counted.append(counted.flatten(1).any(1))

    def compute(self) -> Found:
        """See `ExtraMetric`."""
        values, defined = self._pairs()
        found = {self._measure: _known(mean_over_pairs(values, defined))}
        if len(self._classes.columns) > 1:
            own = mean_of_classes(values, defined)
            columns = self._columns()
            found |= {name: _known(mean) for name, mean in zip(columns, own, strict=True)}
        return found

    def by_image(self) -> ByImage:
        """See `ExtraMetric`."""
        values, defined = self._pairs()
        found = {self._measure: values.sum(1) / defined.sum(1)}  # 0 / 0 where it has no figure
        if len(self._classes.columns) > 1:
            own = torch.where(defined, values, torch.nan).unbind(1)
            found |= dict(zip(self._columns(), own, strict=True))
        return ByImage({k: v.numpy() for k, v in found.items()}, frozenset(found))

    def _columns(self) -> list[str]:
        return [f"{self._measure}_{name}" for name in self._classes.columns]

    def _pairs(self) -> tuple[Tensor, Tensor]:
        values, truth = torch.cat(self._values), torch.cat(self._truth)
        counted = torch.cat(self._counted)
        defined = values.isfinite() & counted[:, None] & truth.any(0)
        return torch.where(defined, values, 0.0), defined


def check_bounds(found: Found, metric: AnyMetric) -> None:
    """Refuse figures that a metric cannot have.

    Raises:
        DataError: one is outside the bounds that were said.
    """
    low, high = metric.bounds
    for name, value in found.items():
        if value is None or not math.isfinite(value):
            continue
        if (low is not None and value < low - _ROUNDING) or (
            high is not None and value > high + _ROUNDING
        ):
            said = " to ".join("…" if bound is None else f"{bound:g}" for bound in (low, high))
            raise DataError(f"task.metrics: {name} is {value:g}, outside its bounds {said}")


def with_further(scores: ImageScores, further: ByImage) -> ImageScores:
    """A split's scores by image, and those by further metrics."""
    if not further.values:
        return scores
    added = ImageScores.of(further.values, further.means)
    return ImageScores(
        (*scores.metrics, *added.metrics),
        np.concatenate([scores.values, added.values], axis=1),
        scores.means | added.means,
    )


class ExtraMetrics:
    """All further metrics of one pass."""

    def __init__(
        self,
        metrics: Sequence[AnyMetric],
        classes: ScoredClasses,
        *,
        masks: bool,
        final: bool,
    ) -> None:
        """`final`: those for the end only as well."""
        self._metrics = [metric for metric in metrics if final or metric.when == "epoch"]
        makers = metric_makers(self._metrics, classes, masks=masks)
        self._made: Mapping[str, ExtraMetric] = {name: make() for name, (make, _) in makers.items()}

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Take a batch."""
        for metric in self._made.values():
            metric.update(scores.detach(), target)

    def compute(self) -> Found:
        """The figures of all."""
        found: Found = {}
        for metric in self._metrics:
            own = self._made[metric.measure].compute()
            check_bounds(own, metric)
            found |= own
        return found

    def by_image(self) -> ByImage:
        """Those of images, of all that have them."""
        each = [metric.by_image() for metric in self._made.values()]
        values: dict[str, Any] = {k: v for one in each for k, v in one.values.items()}
        return ByImage(values, frozenset().union(*(one.means for one in each)))


def _known(value: Tensor) -> float | None:
    return None if value.isnan() else float(value)
