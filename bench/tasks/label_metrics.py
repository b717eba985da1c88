"""Metrics of classification by torchmetrics, from the probabilities of the whole split."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from bench.tasks.extra_metrics import ByImage, Found, ScoredClasses
from bench.tasks.outputs import as_classes


class LabelMetric:
    """Collects a split's probabilities and labels; a diverged model's figure is NaN."""

    def __init__(self, measure: str, classes: ScoredClasses) -> None:
        self._measure, self.classes = measure, classes.number
        self._probabilities: list[Tensor] = []
        self._labels: list[Tensor] = []

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """() of (N, K) and (N,) on the CPU; NaN where it is not defined."""
        raise NotImplementedError

    def update(self, scores: Tensor, target: Tensor) -> None:
        """See `ExtraMetric`."""
        self._probabilities.append(as_classes(scores).softmax(1))
        self._labels.append(target)

    def compute(self) -> Found:
        """See `ExtraMetric`."""
        probabilities, labels = torch.cat(self._probabilities).cpu(), torch.cat(self._labels).cpu()
        if not probabilities.isfinite().all():
            return {self._measure: float("nan")}
        with warnings.catch_warnings():  # of classes that the split lacks, which are left out
            warnings.simplefilter("ignore")
            value = self.figure(probabilities, labels)
        return {self._measure: None if value.isnan() else float(value)}

    def by_image(self) -> ByImage:
        """None: it is made of the whole split."""
        return ByImage({}, frozenset())

    def present(self, labels: Tensor) -> Tensor:
        """(K,) whether any image is of a class."""
        return torch.bincount(labels, minlength=self.classes) > 0


class AUROC(LabelMetric):
    """Of each class against the others, averaged over the classes that some but not all have."""

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `LabelMetric`."""
        from torchmetrics.functional.classification import multiclass_auroc

        each = multiclass_auroc(probabilities, labels, self.classes, average=None)
        counts = torch.bincount(labels, minlength=self.classes)
        return torch.as_tensor(each[(counts > 0) & (counts < len(labels))].mean())


class F1(LabelMetric):
    """Macro F1; a class that is neither there nor predicted is left out."""

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `LabelMetric`."""
        from torchmetrics.functional.classification import multiclass_f1_score

        value = multiclass_f1_score(probabilities, labels, self.classes, average="macro")
        return torch.as_tensor(value)


class BalancedAccuracy(LabelMetric):
    """The mean recall of the classes that are there, as scikit-learn's."""

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `LabelMetric`."""
        from torchmetrics.functional.classification import multiclass_recall

        each = multiclass_recall(probabilities, labels, self.classes, average=None)
        return torch.as_tensor(each[self.present(labels)].mean())


class CalibrationError(LabelMetric):
    """Expected calibration error: |accuracy - confidence| by bins, weighted by their images."""

    def __init__(self, measure: str, classes: ScoredClasses, *, bins: int = 15) -> None:
        super().__init__(measure, classes)
        self._bins = bins

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `LabelMetric`."""
        from torchmetrics.functional.classification import multiclass_calibration_error

        value = multiclass_calibration_error(
            probabilities, labels, self.classes, n_bins=self._bins, norm="l1"
        )
        return torch.as_tensor(value)
