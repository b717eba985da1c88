"""One pass over a split: its figures, and those of each of its images."""

from __future__ import annotations

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import nn

from bench.image_scores import ImageScores
from bench.tasks.base import Task, task_state
from bench.tasks.tiles import TiledModel
from bench.train.batches import Batches
from bench.train.image_scores import scores_of
from bench.train.precision import Precision
from bench.train.progress_watch import ProgressWatch


class Evaluated(NamedTuple):
    """What a pass over a split gives.

    Attributes:
        metrics: the task's, of the split.
        images: the same of each image; None where a task of one's own does not tell.
    """

    metrics: dict[str, float | None]
    images: ImageScores | None


def evaluate_images(
    model: nn.Module,
    task: Task,
    batches: Batches,
    precision: Precision,
    *,
    grad: bool = False,
    watch: ProgressWatch | None = None,
    what: str = "validation",
    final: bool = False,
) -> Evaluated:
    """The task's metrics over every sample, in evaluation mode; the model's mode stays evaluation.

    Args:
        model: the model.
        task: whose metrics.
        batches: of the split.
        precision: of the forward passes.
        grad: leaves autograd on (a published mistake, to be measured).
        watch: is told how far this is.
        what: what it is called.
        final: whether to compute the metrics for the end only, too.
    """
    model.eval()
    task_state(task).eval()
    meter = task.meter(final=True) if final else task.meter()
    seen = model if batches.tile is None else TiledModel(model, batches.tile)
    with nullcontext() if grad else torch.inference_mode():
        with precision.autocast():  # once, so that weights are cast once
            for batch in (watch or ProgressWatch()).iterate(
                batches.in_order(), what, batches.count
            ):
                meter.update(seen, batch)
        return Evaluated(meter.compute(), scores_of(meter))


def evaluate(
    model: nn.Module, task: Task, batches: Batches, precision: Precision
) -> dict[str, float | None]:
    """The task's metrics over every sample, without those of each image."""
    return evaluate_images(model, task, batches, precision).metrics
