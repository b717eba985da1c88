"""Segmentation: a class for every pixel, scored by Dice and IoU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.metric_columns import SPLIT, class_columns
from bench.tasks.base import Baseline, Batch, FinalEvaluation, LossPart, Picture, Samples
from bench.tasks.dice_iou import (
    Counts,
    Overlap,
    constant_prediction,
    count,
    dice_and_iou,
    mean_of_classes,
    mean_over_pairs,
    pixels,
    scores,
)
from bench.tasks.extra_metrics import ScoredClasses
from bench.tasks.foreign_loss import ForeignLoss
from bench.tasks.loss_settings import MEANS, LossName, LossTerm
from bench.tasks.metric_set import ExtraMetrics
from bench.tasks.metric_settings import AnyMetric
from bench.tasks.outputs import at_size, loss_of_heads, main_output, predict_labels
from bench.tasks.pictures import side_by_side
from bench.tasks.scored_meter import ScoredMeter
from bench.tasks.segmentation_loss import segmentation_loss
from bench.tasks.settings import EmptyMask, ScoreAverage, scored_classes
from bench.tasks.sum_of_losses import amount_of, state_of, weight_classes

__all__ = ["Segmentation", "SegmentationMeter", "dice_and_iou", "predict_labels"]

AT_ONCE = 4  # images that go through the model for pictures: no more memory than training takes

Found = dict[str, float | None]

_AVERAGES = ("loss", "dice", "iou")
"""All but a single class's scores, of which the best constant prediction is that class."""


class Segmentation:
    """The segmentation task; see `bench.tasks.base.Task`."""

    def __init__(
        self,
        *,
        classes: tuple[str, ...] = ("background", "foreground"),
        background: bool = True,
        loss: LossName | LossTerm | tuple[LossTerm, ...] = "cross_entropy",
        focal_gamma: float = 2.0,
        head_weights: tuple[float, ...] | None = None,
        average: ScoreAverage = "image",
        empty_mask: EmptyMask = "one",
        metrics: tuple[AnyMetric, ...] = (),
    ) -> None:
        self.classes = classes
        self.scored = scored_classes(classes, background=background)
        self._columns = class_columns(self.scored)
        self.criterion = segmentation_loss(loss, focal_gamma, len(classes) - len(self.scored))
        self._head_weights = head_weights
        self._further = metrics
        self._average = average
        self._empty_mask: EmptyMask = "missing" if len(self.scored) > 1 else empty_mask
        self._loss_name = loss if isinstance(loss, str) else ""
        self._is_image_mean = isinstance(self.criterion, ForeignLoss)
        self.state = state_of(self.criterion)

    def weight_classes(self, weights: Tensor) -> None:
        """Weight the pixels in the loss by their classes, (K,), but for validation's."""
        weight_classes(self.criterion, weights)

    def count_classes(self, targets: Tensor) -> Tensor:
        """(N, K) int64: the pixels of each class in masks (N, H, W)."""
        return pixels(targets, len(self.classes))

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The chosen loss of the model's scores, in fp32; of several heads the weighted sum."""
        found, masks = model(batch.images), _masks(batch)
        size = masks.shape[1:]
        return loss_of_heads(
            found, lambda s: self.criterion(at_size(s, size), masks), self._head_weights
        )

    def loss_parts(self, batch: Batch, size: int) -> Sequence[LossPart]:
        """The loss is a mean over the pixels that count, of which parts may have more or fewer.

        Raises:
            ValueError: it is the Dice loss, one figure of a whole batch.
        """
        whole = amount_of(self.criterion, _masks(batch))

        def share(part: Batch) -> LossPart:
            return lambda model: (
                self.loss(model, part) * (amount_of(self.criterion, _masks(part)) / whole)
            )

        return [share(part) for part in batch.parts(size)]

    def meter(self, *, final: bool = False) -> SegmentationMeter:
        """A fresh meter; `final`: with the metrics for the end only."""
        first = len(self.classes) - len(self.scored)
        scored = ScoredClasses(len(self.classes), first, self._columns)
        return SegmentationMeter(self, ExtraMetrics(self._further, scored, masks=True, final=final))

    def predict(
        self, model: nn.Module, images: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """(B, h, w) uint8 labels; scores, not labels, are resized when `size` differs."""
        scores = main_output(model(images)).float()
        if size is not None and tuple(scores.shape[2:]) != size:
            scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        return predict_labels(scores)

    def baseline(self, batches: Iterable[Batch]) -> Baseline:
        """One class at every pixel, the background among them: for each score the best class.

        For cross-entropy each class's share of the pixels, whose loss is their entropy.
        """
        truth = torch.cat([pixels(_masks(batch), len(self.classes)) for batch in batches]).cpu()
        shares = truth.sum(0).double() / truth.sum()
        constants = {
            name: self.measures(constant_prediction(truth, label))
            for label, name in enumerate(self.classes)
            if shares[label] > 0
        }
        metrics: dict[str, float] = {}
        predictions: dict[str, str] = {}
        if self._loss_name == "cross_entropy" and constants:
            metrics["loss"] = float(torch.special.entr(shares).sum())
            predictions["loss"] = "each class's share of the pixels"
        for name, found in constants.items():
            for metric, value in found.items():
                if value is not None and value > metrics.get(metric, -math.inf):
                    metrics[metric], predictions[metric] = value, name
        own = {metric for metric in metrics if metric.removeprefix(SPLIT) not in _AVERAGES}
        return Baseline(metrics, {m: name for m, name in predictions.items() if m not in own})

    def measures(self, counts: Counts) -> Found:
        """Dice and IoU of a split's images, and of each class where several are scored."""
        found: Found = {}
        if self._average != "split":
            found |= self._averages("", counts)
        if self._average != "image":
            found |= self._averages(SPLIT if self._average == "both" else "", counts.of_split())
        return found

    def support(self, counts: Counts) -> Found:
        """How much the scores are means of: those of `bench.tasks.settings.SUPPORT` that apply."""
        found: Found = {}
        if self._average != "split":
            defined = self._scores(counts).defined
            found["scored_images"] = int(defined.any(1).sum())
            if len(self.scored) > 1:
                found["scored_pairs"] = int(defined.sum())
        if self._average != "image" and len(self.scored) > 1:
            found["scored_classes"] = int(self._scores(counts.of_split()).defined.sum())
        return found

    def _scores(self, counts: Counts) -> Overlap:
        first = len(self.classes) - len(self.scored)
        return scores(counts, first=first, empty_mask=self._empty_mask)

    def _averages(self, prefix: str, counts: Counts) -> Found:
        dice, iou, defined = self._scores(counts)
        means = {"dice": mean_over_pairs(dice, defined), "iou": mean_over_pairs(iou, defined)}
        if len(self.scored) > 1:
            for kind, values in (("dice", dice), ("iou", iou)):
                own = mean_of_classes(values, defined)
                means |= {f"{kind}_{n}": mean for n, mean in zip(self._columns, own, strict=True)}
        return {f"{prefix}{name}": _known(mean) for name, mean in means.items()}

    def image_scores(self, losses: Tensor, counts: Counts) -> tuple[dict[str, Tensor], set[str]]:
        """The scores (N,) of a split's images by metric, of losses (N,) and counts; the means.

        With `average: split` the recorded Dice and IoU are none of their means. The loss is, where
        it is a mean over pixels and every image has as many that count.
        """
        dice, iou, defined = self._scores(counts)
        each_class = torch.where(defined, 1.0, torch.nan)
        pairs = defined.sum(1)  # of an image; 0 / 0 where it has no score
        found = {"loss": losses}
        for kind, values in (("dice", dice), ("iou", iou)):
            found[kind] = values.sum(1) / pairs
            if len(self.scored) > 1:
                own = (values * each_class).unbind(1)
                found |= {f"{kind}_{n}": score for n, score in zip(self._columns, own, strict=True)}
        means = set() if self._average == "split" else set(found) - {"loss"}
        counted = counts.truth.sum(1)
        if self._is_image_mean or (
            self._loss_name in MEANS and bool((counted == counted[0]).all())
        ):
            means.add("loss")
        return found, means

    def pictures(self, model: nn.Module, samples: Samples) -> dict[str, Picture]:
        """Image, truth, prediction and error map side by side, by the sample's name."""
        truths = _masks(samples.batch).cpu().numpy()
        parts = samples.batch.parts(AT_ONCE)
        predictions = torch.cat([self.predict(model, part.images) for part in parts]).cpu().numpy()
        shown = zip(samples.names, samples.images, truths, predictions, strict=True)
        background = len(self.scored) < len(self.classes)
        return {name: side_by_side(*each, background=background) for name, *each in shown}

    def makes_pictures_at(self, _epoch: int, _epochs: int, /) -> bool:
        """Only the best epoch is shown."""
        return False

    def final_evaluation(
        self, _model: nn.Module, _train: Iterable[Batch], _test: Iterable[Batch], /
    ) -> FinalEvaluation:
        """Nothing: every metric is cheap enough for every epoch."""
        return FinalEvaluation()


def _masks(batch: Batch) -> Tensor:
    assert batch.target is not None, "segmentation is planned on data with masks only"
    return batch.target


def _known(value: Tensor) -> float | None:
    """A number; None where it is not defined."""
    return None if value.isnan() else float(value)


class SegmentationMeter(ScoredMeter):
    """Loss, Dice and IoU of a split and of its images, from sums and counts.

    The split's figures are the same whatever the batches.
    """

    def __init__(self, task: Segmentation, further: ExtraMetrics) -> None:
        super().__init__(further)
        self._task = task
        self._sums: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._counts: list[Counts] = []

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; nothing is read back from the device."""
        self._score(main_output(model(batch.images)), _masks(batch))

    @property
    def scores_strips(self) -> bool:
        """Whether parts of an image can be scored by themselves."""
        return self._task.criterion.adds_up and not self._further

    def update_in_strips(self, strips: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Score one image, whose scores (1, K, h, W) and masks (1, h, W) come strip by strip.

        No more than a strip is in memory, unless the loss is one of the user's own or there are
        further metrics: these are of the whole image.
        """
        criterion = self._task.criterion
        if not self.scores_strips:
            scores, masks = (torch.cat(part, -2) for part in zip(*strips, strict=True))
            self._score(scores, masks)
            return
        sums, counts = [], []
        for scores, masks in strips:
            sums.append(criterion.measure(scores.float(), masks).sums.detach())
            counts.append(self._count(scores, masks))
        self._sums.append(torch.stack(sums).sum(0))
        self._losses.append(criterion.of_split(self._sums[-1]).view(1))
        self._counts.append(Counts(*(sum(part) for part in zip(*counts, strict=True))))

    def _score(self, scores: Tensor, masks: Tensor) -> None:
        loss = self._task.criterion.measure(scores.float(), masks)
        self._sums.append(loss.sums.detach())
        self._losses.append(loss.images.detach())
        self._counts.append(self._count(scores, masks))
        self._further.update(scores, masks)

    def _count(self, scores: Tensor, masks: Tensor) -> Counts:
        return count(predict_labels(scores.detach()), masks, len(self._task.classes))

    def compute(self) -> Found:
        """The loss, Dice and IoU, each class's own if several are scored, and `support`."""
        sums = torch.stack(self._sums).sum(0).cpu()
        counts = Counts(*(torch.cat(part).cpu() for part in zip(*self._counts, strict=True)))
        self.keep(*self._task.image_scores(torch.cat(self._losses).cpu(), counts))
        loss = float(self._task.criterion.of_split(sums))
        # without a pixel to score the loss is not defined; else NaN means that training diverged
        nothing = math.isnan(loss) and bool(sums.isfinite().all())
        measures, support = self._task.measures(counts), self._task.support(counts)
        return {"loss": None if nothing else loss} | measures | self._further.compute() | support
