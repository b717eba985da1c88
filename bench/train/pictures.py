"""Pictures of what a model makes of a few samples."""

from __future__ import annotations

import torch
from torch import nn

from bench.tasks.base import Picture, Samples, Task
from bench.train.precision import Precision


def make_pictures(
    model: nn.Module, task: Task, samples: Samples, precision: Precision
) -> dict[str, Picture]:
    """The task's pictures of the model, in evaluation mode."""
    model.eval()
    with torch.inference_mode(), precision.autocast():
        return task.pictures(model, samples)
