"""The further metrics that a spec asks for, made and measured together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from torch import Tensor

from bench.errors import DataError, SpecError
from bench.image_scores import ImageScores
from bench.tasks.extra_metrics import ByImage, ExtraMetric, Found, ScoredClasses
from bench.tasks.foreign_metric import ForeignMetric
from bench.tasks.metric_settings import (
    METRICS,
    AnyMetric,
    CustomMetric,
    MetricSettings,
    missing_column,
)

_ROUNDING = 1e-6
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
    if package is not None and find_spec(package) is None:
        raise SpecError(
            f"{metric.measure} needs {package}, which is not installed: pip install "
            "'bench[metrics]'",
            key="task.metrics",
        )


def check_bounds(found: Found, metric: AnyMetric) -> None:
    """Refuse figures that a metric cannot have.

    Raises:
        DataError: one is outside the bounds that were said.
    """
    low, high = metric.bounds
    for name, value in found.items():
        if value is None or not math.isfinite(value) or name == missing_column(metric.measure):
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

    @classmethod
    def none(cls) -> ExtraMetrics:
        """No metric at all."""
        return cls((), ScoredClasses(0, 0, ()), masks=False, final=False)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._made)

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
