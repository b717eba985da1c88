"""Metrics of the user's own and of other packages, given what they want to be given."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import SpecError, describe_exception
from bench.labels import IGNORE_LABEL, MISSING_LABEL
from bench.registry import accepted, build_custom, load_target
from bench.tasks.extra_metrics import ByImage, Found, ScoredClasses
from bench.tasks.metric_settings import CustomMetric
from bench.tasks.outputs import as_classes

KEY = "task.metrics"


class ForeignMetric:
    """An object with `update` and `compute`, one of MONAI's, or a function of single images.

    Ignored pixels: a metric with an argument `ignore_index` is given the ignore label, 255, and
    targets that have it; to any other they are pixels of class 0, predicted as such. Of several
    labels a missing one is -1 likewise; to any other it is not there, and not predicted.

    One that is an `nn.Module` (torchmetrics') is moved to the device and computes there. Others get
    tensors of the CPU; where they want labels, these alone are copied, a byte each.
    """

    def __init__(self, settings: CustomMetric, classes: ScoredClasses, *, masks: bool) -> None:
        """Raises SpecError where it is not there or refuses its arguments."""
        self._settings, self._classes, self._masks = settings, classes, masks
        ignored = MISSING_LABEL if classes.several else IGNORE_LABEL
        count = "num_labels" if classes.several else "num_classes"
        context = {"ignore_index": ignored, count: classes.number}
        try:
            self.metric: Any = build_custom(settings, **context)
        except SpecError as error:
            raise SpecError(str(error), key=KEY) from error
        names = accepted(load_target(settings.target), context)
        self._sees_ignored = "ignore_index" in {**names, **(settings.model_extra or {})}
        self._of_monai = any(
            base.__module__.startswith("monai.") for base in type(self.metric).__mro__
        )
        self._collects = hasattr(self.metric, "update") and hasattr(self.metric, "compute")
        if not (self._collects or callable(self.metric)):
            kind = type(self.metric).__name__
            raise SpecError(
                f"{settings.target!r} gives a {kind}, which has no update and compute and is no "
                "function",
                key=KEY,
            )
        self._values: list[Tensor] = []

    def update(self, scores: Tensor, target: Tensor) -> None:
        """See `ExtraMetric`."""
        scores = scores if self._classes.several else as_classes(scores)
        if isinstance(self.metric, nn.Module):
            self.metric.to(scores.device)
        predictions, wanted = self.inputs(scores, target)
        try:
            if self._collects:
                self.metric.update(predictions, wanted)
                return
            found: Any = self.metric(predictions, wanted)
        except Exception as error:  # code of others may raise anything
            raise SpecError(
                f"{self._settings.target!r} fails on predictions {_shape(predictions)} and targets "
                f"{_shape(wanted)}: {describe_exception(error)}; set predictions: labels, one_hot, "
                "probabilities or scores",
                key=KEY,
            ) from error
        self._values.append(self._of_images(found, len(target)))

    def compute(self) -> Found:
        """See `ExtraMetric`."""
        if self._collects:
            value = self.metric.compute()
        elif self._of_monai and hasattr(self.metric, "aggregate"):
            value = self.metric.aggregate()
        else:
            value = torch.cat(self._values).nanmean()
        value = value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
        found = torch.as_tensor(value, dtype=torch.float64, device="cpu")
        if found.numel() != 1:
            raise SpecError(
                f"{self._settings.target!r} gives {tuple(found.shape)}, not one number: its "
                "argument average or reduction may say so",
                key=KEY,
            )
        figure = float(found)
        return {self._settings.measure: None if np.isnan(figure) else figure}

    def by_image(self) -> ByImage:
        """See `ExtraMetric`."""
        if self._collects:
            return ByImage({}, frozenset())
        values = torch.cat(self._values).double()
        measure, figure = self._settings.measure, self.compute()[self._settings.measure]
        mean = values.nanmean()
        is_mean = figure is not None and bool((mean - figure).abs() <= 1e-6 * (1 + mean.abs()))
        return ByImage({measure: values.numpy()}, frozenset({measure} if is_mean else ()))

    def inputs(self, scores: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """What the metric is given of (B, K, …) scores and (B, …) targets."""
        if self._classes.several:
            return self._of_labels(scores, target)
        form = self._settings.predictions
        if form == "auto":
            form = "one_hot" if self._of_monai else "labels" if self._masks else "probabilities"
        ignored = target == IGNORE_LABEL if self._masks and not self._sees_ignored else None
        if ignored is not None:
            target = target.masked_fill(ignored, 0)
        if form in ("labels", "one_hot"):
            labels = scores.argmax(1)
            labels = labels if ignored is None else labels.masked_fill(ignored, 0)
            small = torch.uint8 if scores.shape[1] < IGNORE_LABEL else torch.int16
            found, truth = self._placed(labels.to(small)).long(), self._placed(target).long()
            if form == "labels":
                return found, truth
            return _one_hot(found, scores.shape[1]), _one_hot(truth, scores.shape[1])
        if ignored is not None:
            certain = torch.where(ignored, scores.abs().amax() + 1, scores[:, 0])
            scores = torch.cat([certain.unsqueeze(1), scores[:, 1:]], 1)
        scores = scores.softmax(1) if form == "probabilities" else scores
        return self._placed(scores), self._placed(target).long()

    def _placed(self, values: Tensor) -> Tensor:
        """Where the metric computes."""
        return values if isinstance(self.metric, nn.Module) else values.cpu()

    def _of_labels(self, scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same of several labels, (B, K) both."""
        scores, labels = self._placed(scores), self._placed(labels)
        if not self._sees_ignored:
            missing = labels == MISSING_LABEL
            scores, labels = scores.masked_fill(missing, -torch.inf), labels.masked_fill(missing, 0)
        match self._settings.predictions:
            case "scores":
                return scores, labels
            case "auto" | "probabilities":
                return scores.sigmoid(), labels
            case form:
                predicted = scores.sigmoid() > self._classes.threshold
                return (
                    (predicted.float(), labels.float())
                    if form == "one_hot"
                    else (predicted.long(), labels)
                )

    def _of_images(self, found: Any, count: int) -> Tensor:
        """(B,) of what a call gave: (B,), or (B, C), of which the mean of the known counts."""
        if isinstance(found, Tensor) and found.dim() in (1, 2) and len(found) == count:
            values = found.double()
            values = torch.where(values.isinf(), torch.nan, values)
            return values.nanmean(1) if values.dim() == 2 else values
        kind = _shape(found) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise SpecError(
            f"{self._settings.target!r} must give a value for each of {count} images, not {kind}",
            key=KEY,
        )


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    numbers = torch.arange(classes, device=labels.device).view(1, -1, *[1] * (labels.dim() - 1))
    return (labels.unsqueeze(1) == numbers).float()


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
