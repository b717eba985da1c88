"""Segmentation: a class for every pixel, scored by Dice and IoU per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.labels import IGNORE_LABEL
from bench.tasks.base import Batch, Closing, Picture, Samples, Share
from bench.tasks.losses import EPSILON, MEANS, segmentation_loss
from bench.tasks.pictures import side_by_side

AT_ONCE = 4  # images that go through the model for pictures: no more memory than training takes


class Overlap(NamedTuple):
    """Dice and IoU, each (B, K-1): per image and foreground class."""

    dice: Tensor
    iou: Tensor


def overlap(predicted: Tensor, truth: Tensor, classes: int) -> Overlap:
    """Dice and IoU of (B, H, W) labels, per image and foreground class.

    Dice = (2·|P∩G| + ε) / (|P| + |G| + ε) with ε = 1e-6, so that an empty mask predicted empty is
    1; pixels with the ignore label count on neither side.
    """
    valid = truth != IGNORE_LABEL
    dice, iou = [], []
    for label in range(1, classes):
        p = (predicted == label) & valid
        g = truth == label
        both = (p & g).sum((1, 2)).double()
        total = p.sum((1, 2)).double() + g.sum((1, 2))
        dice.append((2 * both + EPSILON) / (total + EPSILON))
        iou.append((both + EPSILON) / (total - both + EPSILON))
    return Overlap(torch.stack(dice, 1), torch.stack(iou, 1))


def labels_of(scores: Tensor) -> Tensor:
    """(B, K, H, W) scores → (B, H, W) uint8 labels."""
    if scores.shape[1] == 2:  # several times faster than argmax on a CPU
        return (scores[:, 1] > scores[:, 0]).to(torch.uint8)
    return scores.argmax(1).to(torch.uint8)


class Segmentation:
    """The segmentation task; see `bench.tasks.base.Task`."""

    def __init__(
        self,
        *,
        classes: tuple[str, ...] = ("background", "foreground"),
        loss: str = "cross_entropy",
        focal_gamma: float = 2.0,
    ) -> None:
        self.classes = classes
        self._criterion = segmentation_loss(loss, focal_gamma)
        self._adds_up = loss in MEANS

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The chosen loss of the model's scores, in fp32."""
        return self.criterion(model(batch.images), _masks(batch))

    def criterion(self, scores: Tensor, masks: Tensor) -> Tensor:
        """The chosen loss of (B, K, H, W) scores, in fp32."""
        return self._criterion(scores.float(), masks)

    def shares(self, batch: Batch, size: int) -> Sequence[Share]:
        """The loss is a mean over the pixels that count, of which parts may have more or fewer.

        Raises:
            ValueError: it is the Dice loss, one figure of a whole batch.
        """
        if not self._adds_up:
            raise ValueError("the Dice loss of a batch is not the sum of those of its parts")
        whole = _counted(batch).clamp(min=1)

        def share(part: Batch) -> Share:
            return lambda model: self.loss(model, part) * (_counted(part) / whole)

        return [share(part) for part in batch.parts(size)]

    def meter(self) -> SegmentationMeter:
        """A fresh meter."""
        return SegmentationMeter(self)

    def predict(
        self, model: nn.Module, images: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """(B, h, w) uint8 labels; scores, not labels, are resized when `size` differs."""
        scores = model(images).float()
        if size is not None and tuple(scores.shape[2:]) != size:
            scores = F.interpolate(scores, size=size, mode="bilinear", align_corners=False)
        return labels_of(scores)

    def baseline(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Every pixel foreground: of one class throughout, the one with the best mean Dice."""
        masks, count = torch.cat([_masks(batch) for batch in batches]), len(self.classes)
        constants = [
            overlap(torch.full_like(masks, label), masks, count) for label in range(1, count)
        ]
        best = max(constants, key=lambda found: float(found.dice.mean()))
        return {"dice": float(best.dice.mean()), "iou": float(best.iou.mean())}

    def pictures(self, model: nn.Module, samples: Samples) -> dict[str, Picture]:
        """Image, truth, prediction and error map side by side, by the sample's name."""
        truths = _masks(samples.batch).cpu().numpy()
        parts = samples.batch.parts(AT_ONCE)
        predictions = torch.cat([self.predict(model, part.images) for part in parts]).cpu().numpy()
        shown = zip(samples.names, samples.images, truths, predictions, strict=True)
        return {name: side_by_side(*panels) for name, *panels in shown}

    def shows(self, _epoch: int, _epochs: int, /) -> bool:
        """Only the best epoch is shown."""
        return False

    def closing(
        self, _model: nn.Module, _train: Iterable[Batch], _test: Iterable[Batch], /
    ) -> Closing:
        """Nothing: every metric is cheap enough for every epoch."""
        return Closing()


def _masks(batch: Batch) -> Tensor:
    assert batch.target is not None, "segmentation is planned on data with masks only"
    return batch.target


def _counted(batch: Batch) -> Tensor:
    """How many pixels count."""
    return (_masks(batch) != IGNORE_LABEL).sum()


class SegmentationMeter:
    """Loss, Dice and IoU averaged over images."""

    def __init__(self, task: Segmentation) -> None:
        self._task = task
        self._losses: list[Tensor] = []
        self._sizes: list[int] = []
        self._overlaps: list[Overlap] = []

    def update(self, model: nn.Module, batch: Batch) -> None:
        """Score one batch; nothing is read back from the device."""
        scores, masks = model(batch.images), _masks(batch)
        self._losses.append(self._task.criterion(scores, masks).detach())
        self._sizes.append(len(batch.images))
        predicted = labels_of(scores.detach())
        self._overlaps.append(overlap(predicted, masks, len(self._task.classes)))

    def compute(self) -> dict[str, float]:
        """Means over images, of Dice and IoU also over classes; each class's own if several."""
        sizes = torch.tensor(self._sizes, dtype=torch.float64)
        losses = torch.stack(self._losses).double().cpu()
        found = {"loss": float((losses * sizes).sum() / sizes.sum())}
        foreground = self._task.classes[1:]
        for kind in ("dice", "iou"):
            each = torch.cat([getattr(o, kind) for o in self._overlaps]).cpu()
            found[kind] = float(each.mean())
            if len(foreground) > 1:
                means = each.mean(0).tolist()
                found |= {f"{kind}_{n}": m for n, m in zip(foreground, means, strict=True)}
        return found
