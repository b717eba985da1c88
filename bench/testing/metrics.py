"""What every metric must do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.tasks.extra_metrics import Found, ScoredClasses
from bench.tasks.metric_set import ExtraMetrics
from bench.tasks.metric_settings import AnyMetric, WithMetrics
from bench.tasks.settings import ClassificationSettings, SegmentationSettings
from bench.testing.cases import as_test, require

NAMES = ("background", "cat", "dog")


def metric_conforms(metric: str | dict[str, Any], *, masks: bool = True) -> Callable[..., None]:
    """A test of a metric in all its duties.

    Args:
        metric: as it stands in `task.metrics`: a name, or a mapping with `name:` or `target:`.
        masks: whether it is of pixels; else of the classes of images.
    """
    kind: type[WithMetrics] = SegmentationSettings if masks else ClassificationSettings
    (settings,) = kind.model_validate({"metrics": [metric]}).metrics
    suite = _Suite(settings, masks)
    return as_test(
        [
            suite.is_best_where_predictions_are_right,
            suite.is_worse_where_they_are_wrong,
            suite.depends_on_no_batch_size,
            suite.depends_on_no_order,
            suite.means_of_images_are_the_splits,
        ]
    )


class _Suite:
    def __init__(self, metric: AnyMetric, masks: bool) -> None:
        self.metric, self.masks = metric, masks
        columns = NAMES[1:] if masks else ()
        self.classes = ScoredClasses(len(NAMES), 1 if masks else 0, columns)

    def _target(self, seed: int, count: int = 6) -> Tensor:
        noise = torch.Generator().manual_seed(seed)
        if not self.masks:
            return torch.cat([torch.arange(3), torch.randint(3, (24,), generator=noise)])
        small = torch.randn(count, 3, 4, 4, generator=noise)
        large = torch.nn.functional.interpolate(small, size=(24, 24), mode="bicubic")
        return large.argmax(1).to(torch.uint8)

    def _scores(self, labels: Tensor) -> Tensor:
        """As sure as can be of these labels."""
        one_hot = torch.nn.functional.one_hot(labels.long(), 3).float()
        return 40 * (one_hot.permute(0, 3, 1, 2) if self.masks else one_hot)

    def _found(self, scores: Tensor, target: Tensor, size: int = 100) -> tuple[Found, Any]:
        meter = ExtraMetrics([self.metric], self.classes, masks=self.masks, final=True)
        parts = zip(torch.split(scores, size), torch.split(target, size), strict=True)
        for some, wanted in parts:
            meter.update(some, wanted)
        return meter.compute(), meter.by_image()

    def _figure(self, labels: Tensor, target: Tensor) -> float:
        value = self._found(self._scores(labels), target)[0][self.metric.measure]
        require(value is not None and math.isfinite(value), "it is defined where classes are there")
        assert value is not None
        return value

    def is_best_where_predictions_are_right(self) -> None:
        target = self._target(1)
        value = self._figure(target, target)
        best = self.metric.bounds[1 if self.metric.mode == "max" else 0]
        if best is not None:
            require(abs(value - best) < 1e-4, f"right predictions give {best:g}, not {value:g}")

    def is_worse_where_they_are_wrong(self) -> None:
        target = self._target(1)
        right, wrong = self._figure(target, target), self._figure(self._target(2), target)
        sign = 1 if self.metric.mode == "max" else -1
        require(sign * (right - wrong) > 0, f"mode: {self.metric.mode} says that right is better")

    def depends_on_no_batch_size(self) -> None:
        scores, target = self._scores(self._target(2)), self._target(1)
        whole, parts = (self._found(scores, target, size)[0] for size in (100, 2))
        require(_same(whole, parts), "it is the same whatever the batches")

    def depends_on_no_order(self) -> None:
        scores, target = self._scores(self._target(2)), self._target(1)
        some, other = self._found(scores, target)[0], self._found(scores.flip(0), target.flip(0))[0]
        require(_same(some, other), "it is the same in whichever order images come")

    def means_of_images_are_the_splits(self) -> None:
        found, images = self._found(self._scores(self._target(2)), self._target(1))
        for name in images.means:
            value = found[name]
            mean = float(np.nanmean(images.values[name]))
            require(
                value is not None and abs(mean - value) < 1e-6 * (1 + abs(mean)),
                f"{name} of the split is the mean over its images",
            )


def _same(one: Found, other: Found) -> bool:
    return one.keys() == other.keys() and all(
        (a is None and b is None)
        or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6))
        for a, b in ((one[name], other[name]) for name in one)
    )
