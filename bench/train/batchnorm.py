"""BatchNorm's statistics of averaged weights, from one pass over training images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.tasks.base import Batch, Task
from bench.train.precision import Precision


@torch.no_grad()
def update_batchnorm(
    averaged: nn.Module,
    trained: nn.Module,
    task: Task,
    batches: Iterable[Batch],
    precision: Precision,
) -> None:
    """As `torch.optim.swa_utils.update_bn`: the mean over the batches of their statistics.

    A mean of running statistics would be of the activations that each epoch's weights had; those of
    the mean of the weights are others (Izmailov et al. 2018). BatchNorms that `trained` holds still
    keep theirs. Without any other one the batches are not looked at.

    Args:
        averaged: has the mean of the weights; in training mode afterwards, as `trained` is.
        trained: a model like it, whose weights they are.
        task: calls the model.
        batches: the training images.
        precision: the number format of the passes.
    """
    norms: list[_BatchNorm] = []
    for module, original in zip(averaged.modules(), trained.modules(), strict=True):
        module.training = original.training
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats:
            norms.append(module)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    for batch in batches:
        with precision.autocast():
            task.loss(averaged, batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
