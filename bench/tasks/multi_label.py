"""Any number of labels for every image, scored by average precision and F1."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from bench.labels import MISSING_LABEL
from bench.metric_columns import class_columns
from bench.tasks.base import Baseline, Batch, FinalEvaluation, LossPart, Picture, Samples
from bench.tasks.extra_metrics import ScoredClasses
from bench.tasks.foreign_loss import ForeignLoss
from bench.tasks.label_scores import (
    all_right,
    average_precisions,
    f1,
    label_counts,
    macro_f1,
    micro_f1,
)
from bench.tasks.loss_settings import LossName, LossTerm
from bench.tasks.metric_set import ExtraMetrics
from bench.tasks.metric_settings import AnyMetric
from bench.tasks.multi_label_baseline import best_constants
from bench.tasks.multi_label_loss import multi_label_loss
from bench.tasks.outputs import loss_of_heads, main_output
from bench.tasks.pictures import Caption, captioned
from bench.tasks.scored_meter import ScoredMeter
from bench.tasks.sum_of_losses import amount_of, state_of, weight_classes


class MultiLabel:
    """The task of several labels; see `bench.tasks.base.Task`. Models give scores (B, K).

    Targets are (B, K) int64: 1, 0, or missing (`bench.labels.MISSING_LABEL`).
    """

    def __init__(
        self,
        *,
        classes: tuple[str, ...],
        loss: LossName | LossTerm | tuple[LossTerm, ...] = "binary_cross_entropy",
        focal_gamma: float = 2.0,
        label_smoothing: float = 0.0,
        head_weights: tuple[float, ...] | None = None,
        threshold: float = 0.5,
        metrics: tuple[AnyMetric, ...] = (),
    ) -> None:
        self.classes = classes
        self.threshold = threshold
        self.criterion = multi_label_loss(loss, focal_gamma, label_smoothing)
        self._is_entropy = loss == "binary_cross_entropy"
        self._head_weights = head_weights
        self._further = metrics
        self.state = state_of(self.criterion)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The chosen loss of the model's scores, in fp32; of several heads the weighted sum."""
        found, labels = model(batch.images), _labels(batch)
        return loss_of_heads(found, lambda s: self.criterion(s, labels), self._head_weights)

    def loss_parts(self, batch: Batch, size: int) -> Sequence[LossPart]:
        """The loss is a mean over known labels, of which parts may have more or fewer.

        Raises:
            ValueError: it is another's, of which that is not known.
        """
        whole = amount_of(self.criterion, _labels(batch))

        def share(part: Batch) -> LossPart:
            return lambda model: (
                self.loss(model, part) * (amount_of(self.criterion, _labels(part)) / whole)
            )

        return [share(part) for part in batch.parts(size)]

    def weight_classes(self, weights: Tensor) -> None:
        """Weight the labels that are there in the loss, (K,), but in validation's."""
        weight_classes(self.criterion, weights)

    def count_classes(self, targets: Tensor) -> Tensor:
        """(N, K) int64: 1 at the labels that are there."""
        return (targets == 1).long()

    def meter(self, *, final: bool = False) -> MultiLabelMeter:
        """A fresh meter; `final`: with the metrics for the end only."""
        columns = class_columns(self.classes)
        scored = ScoredClasses(len(columns), 0, columns, several=True, threshold=self.threshold)
        return MultiLabelMeter(self, ExtraMetrics(self._further, scored, masks=False, final=final))

    def predict(
        self, model: nn.Module, images: Tensor, _size: tuple[int, int] | None = None
    ) -> Tensor:
        """(B, K) int64: 1 where the label is predicted, else 0; a size means nothing here."""
        return self.chosen(self.probabilities(model, images)).long()

    def probabilities(self, model: nn.Module, images: Tensor) -> Tensor:
        """(B, K) fp32, each label's own."""
        return main_output(model(images)).float().sigmoid()

    def mean_scores(self, scores: Sequence[Tensor]) -> Tensor:
        """Scores whose probabilities are the mean of those of several passes."""
        if len(scores) == 1:
            return scores[0]
        return torch.stack([each.double().sigmoid() for each in scores]).mean(0).logit(1e-12)

    def chosen(self, probabilities: Tensor) -> Tensor:
        """(…, K) bool: the labels that are predicted."""
        return probabilities > self.threshold

    def names_of(self, probabilities: Tensor) -> list[str]:
        """The names of the labels that are predicted of an image, (K,)."""
        return [self.classes[i] for i in self.chosen(probabilities).nonzero().flatten().tolist()]

    def baseline(self, batches: Iterable[Batch]) -> Baseline:
        """Always the same labels, or scores: for each metric the best ones."""
        labels = torch.cat([_labels(batch) for batch in batches]).cpu()
        found = best_constants(labels, self.classes)
        if self._is_entropy:
            return found
        del found.metrics["loss"], found.predictions["loss"]
        return found

    def pictures(self, model: nn.Module, samples: Samples) -> dict[str, Picture]:
        """All samples, each with its labels and the predicted ones."""
        predicted, truths = self.predict(model, samples.batch.images), _labels(samples.batch)
        captions = []
        for own, truth in zip(predicted.cpu(), truths.cpu(), strict=True):
            known = truth != MISSING_LABEL
            right = bool((own == truth)[known].all())
            texts = (f"true: {self._listed(truth)}", self._listed(own))
            captions.append(Caption(*texts, right))
        return {"predictions": captioned(samples.images, captions)}

    def _listed(self, labels: Tensor) -> str:
        names = [name for name, own in zip(self.classes, labels.tolist(), strict=True) if own == 1]
        return ", ".join(names) or "no label"

    def makes_pictures_at(self, _epoch: int, _epochs: int, /) -> bool:
        """Only the best epoch is shown."""
        return False

    def final_evaluation(
        self, _model: nn.Module, _train: Iterable[Batch], _test: Iterable[Batch], /
    ) -> FinalEvaluation:
        """Nothing: every metric is cheap enough for every epoch."""
        return FinalEvaluation()


def _labels(batch: Batch) -> Tensor:
    assert batch.target is not None, "the task is planned on data with labels only"
    return batch.target


class MultiLabelMeter(ScoredMeter):
    """The loss, average precisions and F1 of a split; loss, F1 and exactness of its images."""

    def __init__(self, task: MultiLabel, further: ExtraMetrics) -> None:
        super().__init__(further)
        self._task = task
        self._sums: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._scores: list[Tensor] = []
        self._labels: list[Tensor] = []

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; nothing is read back from the device."""
        scores, labels = main_output(model(batch.images)).detach().float(), _labels(batch)
        loss = self._task.criterion.measure(scores, labels)
        self._sums.append(loss.sums)
        self._losses.append(loss.images)
        self._scores.append(scores)
        self._labels.append(labels)
        self._further.update(scores, labels)

    def compute(self) -> dict[str, float | None]:
        """All metrics, and of how many labels and images they are means."""
        labels, losses = torch.cat(self._labels).cpu(), torch.cat(self._losses).cpu()
        scores = torch.cat(self._scores).cpu()
        counts = label_counts(self._task.chosen(scores.sigmoid()), labels)
        # float64: sigmoids of scores that differ must not be equal
        each = average_precisions(scores.double().sigmoid(), labels)
        found = {
            "map": each.nanmean(),
            "f1": macro_f1(counts),
            "micro_f1": micro_f1(counts),
            "samples_f1": f1(counts, 1).nanmean(),
            "subset_accuracy": all_right(counts, labels).nanmean(),
        }
        found |= {
            f"ap_{name}": own
            for name, own in zip(class_columns(self._task.classes), each, strict=True)
        }
        diverged = not bool(scores.isfinite().all())
        images = {
            "loss": losses,
            "samples_f1": f1(counts, 1),
            "subset_accuracy": all_right(counts, labels),
        }
        self.keep(images, {"samples_f1", "subset_accuracy"} | self._loss_mean(labels))
        there = (labels == 1).any(0)
        support = {
            "scored_images": int(images["samples_f1"].isfinite().sum()),
            "scored_classes": int(there.sum()),
        }
        figures = {name: _known(value, diverged=diverged) for name, value in found.items()}
        return {"loss": self._loss(), **figures, **self._further.compute(), **support}

    def _loss(self) -> float | None:
        """None where no label is known; NaN means that training diverged."""
        sums = torch.stack(self._sums).sum(0).cpu()
        loss = float(self._task.criterion.of_split(sums))
        return None if math.isnan(loss) and bool(sums.isfinite().all()) else loss

    def _loss_mean(self, labels: Tensor) -> set[str]:
        """The loss is the mean of the images' where each has as many known labels."""
        known = (labels != MISSING_LABEL).sum(1)
        whole = isinstance(self._task.criterion, ForeignLoss)
        return {"loss"} if whole or bool((known == known[0]).all()) else set()


def _known(value: Tensor, *, diverged: bool) -> float | None:
    """A number; None where it is not defined, NaN where the model's scores are no numbers."""
    if value.isnan():
        return math.nan if diverged else None
    return float(value)
