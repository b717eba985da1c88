"""Small masks and a model that gives the same scores for any input."""

from __future__ import annotations

import torch
from torch import nn

from bench.tasks.base import Batch


def mask(*rows: list[int]) -> torch.Tensor:
    """(1, H, W) uint8."""
    return torch.tensor([rows], dtype=torch.uint8)


def batch(masks: torch.Tensor) -> Batch:
    return Batch(torch.zeros(len(masks), 3, *masks.shape[1:]), masks, torch.arange(len(masks)))


class Fixed(nn.Module):
    """Gives the same scores for any input."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scores[: len(images)]


class Played(nn.Module):
    """Gives the scores of one image after the other."""

    def __init__(self, scores: torch.Tensor) -> None:
        super().__init__()
        self.scores, self.at = scores, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.at += len(images)
        return self.scores[self.at - len(images) : self.at]


def scores_for(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """(N, K, H, W) scores whose largest is at the label."""
    return nn.functional.one_hot(labels.long(), classes).permute(0, 3, 1, 2).float() * 4
