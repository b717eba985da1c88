"""Scores of several passes as those of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench.tasks.base import Task
from bench.tasks.outputs import as_classes, as_logit

MeanScores = Callable[[Sequence[Tensor]], Tensor]
_LEAST = 1e-30  # probabilities that a logarithm is taken of, in fp32


def mean_scores(scores: Sequence[Tensor]) -> Tensor:
    """Scores (B, K, …) whose softmax is the mean of that of the given ones, of equal shape.

    One logit of two classes stays one logit.
    """
    if len(scores) == 1:
        return scores[0]
    shares = torch.stack([as_classes(each.float()).softmax(1) for each in scores]).mean(0)
    found = shares.clamp_min(_LEAST).log()
    return as_logit(found) if scores[0].shape[1] == 1 else found


def mean_scores_of(task: Task) -> MeanScores:
    """What joins the scores of a task's models: its own `mean_scores`, where it has one."""
    found: MeanScores = getattr(task, "mean_scores", mean_scores)
    return found
