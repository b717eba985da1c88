"""Segmentation losses. Scores are (B, K, H, W), masks (B, H, W) uint8 with an ignore label."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.labels import IGNORE_LABEL

Loss = Callable[[Tensor, Tensor], Tensor]
EPSILON = 1e-6


def cross_entropy(scores: Tensor, masks: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that count; 0 where none does."""
    total = _pixelwise(scores, masks, "sum")
    return total / (masks != IGNORE_LABEL).sum().clamp(min=1)


def dice(scores: Tensor, masks: Tensor) -> Tensor:
    """One minus the soft Dice of each foreground class over the whole batch, averaged.

    Milletari et al. 2016 (V-Net) without the squares. Sums run over the batch, so that a class
    absent from one image does not dominate.
    """
    valid = (masks != IGNORE_LABEL).unsqueeze(1)
    classes = torch.arange(1, scores.shape[1], device=scores.device).view(1, -1, 1, 1)
    truth = (masks.unsqueeze(1) == classes).to(scores.dtype)
    predicted = scores.softmax(1)[:, 1:] * valid
    over = (0, 2, 3)
    both = (predicted * truth).sum(over)
    either = predicted.sum(over) + truth.sum(over)
    return 1 - ((2 * both + EPSILON) / (either + EPSILON)).mean()


def focal(gamma: float) -> Loss:
    """Cross-entropy weighted by (1 - p)^gamma, p the true class's probability (Lin et al. 2017)."""

    def loss(scores: Tensor, masks: Tensor) -> Tensor:
        each = _pixelwise(scores, masks, "none")
        weighted = (1 - torch.exp(-each)) ** gamma * each
        return weighted.sum() / (masks != IGNORE_LABEL).sum().clamp(min=1)

    return loss


def _pixelwise(scores: Tensor, masks: Tensor, reduction: str) -> Tensor:
    """Cross-entropy of each pixel, 0 where ignored, or their sum."""
    if scores.is_cuda and torch.are_deterministic_algorithms_enabled():
        # CUDA's loss over maps has no deterministic form; over a list of pixels it has
        scores = scores.permute(0, 2, 3, 1).reshape(-1, scores.shape[1])
        masks = masks.flatten()
    return F.cross_entropy(scores, masks.long(), ignore_index=IGNORE_LABEL, reduction=reduction)


def _sum(scores: Tensor, masks: Tensor) -> Tensor:
    return cross_entropy(scores, masks) + dice(scores, masks)


MEANS = frozenset({"cross_entropy", "focal"})
"""Those that are means over the pixels that count."""


def segmentation_loss(name: str, focal_gamma: float) -> Loss:
    """The loss called `name` in a spec."""
    losses: dict[str, Loss] = {
        "cross_entropy": cross_entropy,
        "dice": dice,
        "cross_entropy+dice": _sum,
        "focal": focal(focal_gamma),
    }
    return losses[name]
