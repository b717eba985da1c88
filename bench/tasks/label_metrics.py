"""Metrics of images' labels by torchmetrics, from the probabilities of the whole split."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from bench.labels import MISSING_LABEL
from bench.tasks.extra_metrics import ByImage, Found, ScoredClasses
from bench.tasks.outputs import as_classes


class SplitMetric:
    """Collects a split's probabilities and labels; a diverged model's figure is NaN.

    Of several labels the probabilities are float64 sigmoids: those of scores that differ are not
    equal.
    """

    def __init__(self, measure: str, classes: ScoredClasses) -> None:
        self.measure, self.classes = measure, classes.number
        self._several, self._columns = classes.several, classes.columns
        self._probabilities: list[Tensor] = []
        self._labels: list[Tensor] = []

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """() of (N, K) probabilities and labels (N,) on the CPU; NaN where it is not defined."""
        raise NotImplementedError

    def of_label(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """() of (N,) probabilities of a label and whether images have it; NaN: not defined."""
        raise NotImplementedError

    def update(self, scores: Tensor, target: Tensor) -> None:
        """See `ExtraMetric`."""
        own = scores.double().sigmoid() if self._several else as_classes(scores).softmax(1)
        self._probabilities.append(own)
        self._labels.append(target)

    def compute(self) -> Found:
        """See `ExtraMetric`; of several labels their mean, and each one's own."""
        probabilities, labels = torch.cat(self._probabilities).cpu(), torch.cat(self._labels).cpu()
        names = [f"{self.measure}_{name}" for name in self._columns] if self._several else []
        if not probabilities.isfinite().all():
            return dict.fromkeys([self.measure, *names], float("nan"))
        with warnings.catch_warnings():  # of classes that the split lacks, which are left out
            warnings.simplefilter("ignore")
            if not self._several:
                return {self.measure: _known(self.figure(probabilities, labels))}
            each = torch.stack(
                [
                    self.of_label(own[truth != MISSING_LABEL], truth[truth != MISSING_LABEL])
                    for own, truth in zip(probabilities.T.contiguous(), labels.T, strict=True)
                ]
            )
        own = {name: _known(value) for name, value in zip(names, each, strict=True)}
        return {self.measure: _known(each.nanmean()), **(own if len(names) > 1 else {})}

    def by_image(self) -> ByImage:
        """None: it is made of the whole split."""
        return ByImage({}, frozenset())


class AUROC(SplitMetric):
    """Of each class against the others, averaged over the classes that some but not all have."""

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `SplitMetric`."""
        from torchmetrics.functional.classification import multiclass_auroc

        each = multiclass_auroc(probabilities, labels, self.classes, average=None)
        counts = torch.bincount(labels, minlength=self.classes)
        return torch.as_tensor(each[(counts > 0) & (counts < len(labels))].mean())

    def of_label(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `SplitMetric`."""
        from torchmetrics.functional.classification import binary_auroc

        if not 0 < int(labels.sum()) < len(labels):
            return torch.tensor(torch.nan, dtype=torch.float64)
        return torch.as_tensor(binary_auroc(probabilities, labels)).double()


class F1(SplitMetric):
    """Macro F1; a class that is neither there nor predicted is left out."""

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `SplitMetric`."""
        from torchmetrics.functional.classification import multiclass_f1_score

        value = multiclass_f1_score(probabilities, labels, self.classes, average="macro")
        return torch.as_tensor(value)


class BalancedAccuracy(SplitMetric):
    """The mean recall of the classes that are there, as scikit-learn's."""

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `SplitMetric`."""
        from torchmetrics.functional.classification import multiclass_recall

        each = multiclass_recall(probabilities, labels, self.classes, average=None)
        present = torch.bincount(labels, minlength=self.classes) > 0
        return torch.as_tensor(each[present].mean())


class CalibrationError(SplitMetric):
    """Expected calibration error: |accuracy - confidence| by bins, weighted by their images.

    Of one label among several it is |share that has it - probability| by bins of the probability.
    """

    def __init__(self, measure: str, classes: ScoredClasses, *, bins: int = 15) -> None:
        super().__init__(measure, classes)
        self._bins = bins

    def figure(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `SplitMetric`."""
        from torchmetrics.functional.classification import multiclass_calibration_error

        value = multiclass_calibration_error(
            probabilities, labels, self.classes, n_bins=self._bins, norm="l1"
        )
        return torch.as_tensor(value)

    def of_label(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """See `SplitMetric`."""
        from torchmetrics.functional.classification import binary_calibration_error

        if not len(labels):
            return torch.tensor(torch.nan, dtype=torch.float64)
        value = binary_calibration_error(probabilities, labels, n_bins=self._bins, norm="l1")
        return torch.as_tensor(value).double()


def _known(value: Tensor) -> float | None:
    return None if value.isnan() else float(value)
