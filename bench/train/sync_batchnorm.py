"""BatchNorm over the batch of all processes that train one model."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import SpecError
from bench.models.blocks import BatchNorm

_CONVERTED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNorm)


class SyncBatchNorm(_BatchNorm):
    """torch's on CUDA; it has none for CPUs, where sums are added up over the processes here.

    It is none of torch's class, which DistributedDataParallel takes on GPUs only.

    Attributes:
        alone: what it is in one process.
        synced: whether statistics are those of all processes; False: of this one.
    """

    alone: type[_BatchNorm]
    synced: bool = False
    process_group: Any = None
    _check_non_zero_input_channels = nn.SyncBatchNorm._check_non_zero_input_channels

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise (N, C, …)."""
        if not (self.synced and self.training):
            return self.alone.forward(self, input)
        if input.is_cuda:
            found: Tensor = nn.SyncBatchNorm.forward(self, input)  # type: ignore[arg-type]  # as one
            return found
        return self._over_processes(input)

    def _over_processes(self, images: Tensor) -> Tensor:
        """Statistics of two passes, as those of BatchNorm are: mean, then squared deviations."""
        self._check_input_dim(images)  # type: ignore[no-untyped-call]  # torch's has no types
        dims, shape = [0, *range(2, images.dim())], [1, -1, *[1] * (images.dim() - 2)]
        given = images.dtype
        images = images.float() if given.itemsize < 4 else images  # sums of halves are wrong
        count = images.new_tensor([images.numel() / images.shape[1]])
        summed = _AddUp.apply(torch.cat([images.sum(dims), count]))
        mean, total = summed[:-1] / summed[-1], summed[-1].detach()
        centred = images - mean.view(shape)
        variance = _AddUp.apply(centred.square().sum(dims)) / total
        self._keep(mean.detach(), variance.detach() * (total / (total - 1)))
        found: Tensor = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
        return found.to(given)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        if self.running_mean is None or self.running_var is None:
            return
        momentum = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # a mean of all batches
                momentum = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, momentum or 0.0)
        self.running_var.lerp_(variance, momentum or 0.0)


def synchronise_batchnorm(model: nn.Module) -> None:
    """Let every BatchNorm of a model take its statistics from the batch of all processes.

    Its parameters, buffers and their names stay.

    Raises:
        SpecError: one is of a kind of its own.
    """
    for name, module in model.named_modules():
        if type(module) in _CONVERTED:
            module.__class__ = _synced(type(module))  # type: ignore[arg-type]  # classes are
        elif isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            raise SpecError(
                f"true cannot be had for {type(module).__name__} ({name}), a BatchNorm of its own: "
                "with false each device takes statistics of its part of a batch",
                key="train.sync_batch_norm",
            )


@cache
def _synced(alone: Any) -> type[SyncBatchNorm]:
    return type(f"Sync{alone.__name__}", (SyncBatchNorm, alone), {"alone": alone})


class _AddUp(torch.autograd.Function):
    """The sum over all processes, each of which goes on with it."""

    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total
