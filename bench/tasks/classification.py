"""Classification: a class for every image, scored by top-1 and top-5 accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.tasks.base import Baseline, Batch, FinalEvaluation, LossPart, Picture, Samples
from bench.tasks.classification_loss import LabelLoss, classification_loss
from bench.tasks.extra_metrics import ScoredClasses
from bench.tasks.loss_settings import LossName, LossTerm
from bench.tasks.metric_set import ExtraMetrics
from bench.tasks.metric_settings import AnyMetric
from bench.tasks.outputs import as_classes, loss_of_heads, main_output
from bench.tasks.pictures import Caption, captioned, confusion_matrix
from bench.tasks.scored_meter import ScoredMeter
from bench.tasks.sum_of_losses import amount_of, state_of, weight_classes

TOP = 5  # ImageNet's second figure


class Classification:
    """The classification task; see `bench.tasks.base.Task`. Models give scores (B, K)."""

    def __init__(
        self,
        *,
        classes: tuple[str, ...],
        loss: LossName | LossTerm | tuple[LossTerm, ...] = "cross_entropy",
        label_smoothing: float = 0.0,
        head_weights: tuple[float, ...] | None = None,
        metrics: tuple[AnyMetric, ...] = (),
    ) -> None:
        self.classes = classes
        self.label_smoothing = label_smoothing
        self.criterion = classification_loss(loss, label_smoothing)
        self._head_weights = head_weights
        self._further = metrics
        self.state = state_of(self.criterion)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The chosen loss of the model's scores, in fp32; of several heads the weighted sum."""
        found, labels = model(batch.images), _labels(batch)
        return loss_of_heads(found, lambda s: self.criterion(s, labels), self._head_weights)

    def loss_parts(self, batch: Batch, size: int) -> Sequence[LossPart]:
        """The loss is a mean over images.

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
        """Weight the images in the loss by their classes, (K,), but for validation's."""
        weight_classes(self.criterion, weights)

    def count_classes(self, targets: Tensor) -> Tensor:
        """(N, K) int64: 1 at the class of each label, (N,)."""
        return F.one_hot(targets.long(), len(self.classes))

    def meter(self, *, final: bool = False) -> ClassificationMeter:
        """A fresh meter; `final`: with the metrics for the end only."""
        scored = ScoredClasses(len(self.classes), 0, ())
        further = ExtraMetrics(self._further, scored, masks=False, final=final)
        return ClassificationMeter(len(self.classes), self.criterion, further)

    def predict(
        self, model: nn.Module, images: Tensor, _size: tuple[int, int] | None = None
    ) -> Tensor:
        """(B,) int64 labels; a size means nothing here."""
        return self.probabilities(model, images).argmax(1)

    def probabilities(self, model: nn.Module, images: Tensor) -> Tensor:
        """(B, K) fp32, summing to one over the classes."""
        return as_classes(main_output(model(images)).float()).softmax(1)

    def names_of(self, probabilities: Tensor) -> list[str]:
        """The name of the most probable class of an image, (K,)."""
        return [self.classes[int(probabilities.argmax())]]

    def baseline(self, batches: Iterable[Batch]) -> Baseline:
        """Always the same scores: the best ones rank classes by their frequency in these samples.

        Their cross-entropy is least where each class gets its share: it is the shares' entropy.
        """
        labels = torch.cat([_labels(batch) for batch in batches])
        counts = torch.bincount(labels, minlength=len(self.classes)).cpu()
        shares = counts.double() / len(labels)
        ordered = shares.sort(descending=True, stable=True)
        reached, most = ordered.values.cumsum(0), self.classes[int(ordered.indices[0])]
        metrics = {f"top{k}": float(reached[k - 1]) for k in top_ks(len(self.classes))}
        metrics["loss"] = float(torch.special.entr(shares).sum())
        predictions = {"loss": "each class's share of the images", "top1": most}
        return Baseline(metrics, predictions)

    def pictures(self, model: nn.Module, samples: Samples) -> dict[str, Picture]:
        """All samples, each with its true class and the predicted one with its share."""
        chances, found = self.probabilities(model, samples.batch.images).max(1)
        truths, name = _labels(samples.batch).tolist(), self.classes
        captions = [
            Caption(f"true: {name[truth]}", f"{name[label]} {chance:.0%}", truth == label)
            for truth, label, chance in zip(truths, found.tolist(), chances.tolist(), strict=True)
        ]
        return {"predictions": captioned(samples.images, captions)}

    def makes_pictures_at(self, _epoch: int, _epochs: int, /) -> bool:
        """Only the best epoch is shown."""
        return False

    def final_evaluation(
        self, model: nn.Module, _train: Iterable[Batch], test: Iterable[Batch], /
    ) -> FinalEvaluation:
        """The confusion matrix of the test split, as a picture."""
        counts = self.confusion(model, test).numpy()
        return FinalEvaluation(pictures={"confusion": confusion_matrix(counts, self.classes)})

    def confusion(self, model: nn.Module, batches: Iterable[Batch]) -> Tensor:
        """Counts (K, K) int64 on the CPU: row = true class, column = predicted class."""
        k = len(self.classes)
        counts = [
            torch.bincount(_labels(b) * k + self.predict(model, b.images), minlength=k * k)
            for b in batches
        ]
        return torch.stack(counts).sum(0).view(k, k).cpu()


def top_ks(classes: int) -> tuple[int, ...]:
    """The k of the top-k accuracies that say something about so many classes."""
    return (1, TOP) if classes > TOP else (1,)


def _labels(batch: Batch) -> Tensor:
    assert batch.target is not None, "classification is planned on data with labels only"
    return batch.target


class ClassificationMeter(ScoredMeter):
    """The loss of images, cross-entropy without smoothing and class weights, and accuracies.

    Of an image an accuracy is whether its class is among the k best scored: 1 or 0.
    """

    def __init__(self, classes: int, criterion: LabelLoss, further: ExtraMetrics) -> None:
        super().__init__(further)
        self._top_ks = top_ks(classes)
        self._criterion = criterion
        self._losses: list[Tensor] = []
        self._ranks: list[Tensor] = []

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; nothing is read back from the device."""
        scores, labels = main_output(model(batch.images)).detach().float(), _labels(batch)
        self._losses.append(self._criterion.each(scores, labels))
        scores = as_classes(scores)
        self._further.update(scores, labels)
        self._ranks.append(ranks(scores, labels))

    def compute(self) -> dict[str, float | None]:
        """Mean loss and the shares of images whose class is among the k best scored."""
        rank = torch.cat(self._ranks).cpu()
        losses = torch.cat(self._losses).double()
        found: dict[str, Tensor] = {"loss": losses.cpu()}
        found |= {f"top{k}": (rank < k).double() for k in self._top_ks}
        self.keep(found, set(found))
        means: dict[str, float | None] = {k: float(v.mean()) for k, v in found.items()}
        # the loss: added up on the device
        return means | {"loss": float(losses.mean())} | self._further.compute()


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """How many classes come before the true one, (B,); of equal scores the lower class is first.

    Where scores are not numbers the true class comes last: a diverged model is never right.
    """
    own = scores.gather(1, labels[:, None])
    class_indices = torch.arange(scores.shape[1], device=scores.device)
    not_before = (scores < own) | ((scores == own) & (class_indices >= labels[:, None]))
    return scores.shape[1] - not_before.sum(1)
