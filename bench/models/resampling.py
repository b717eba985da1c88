"""Reflect padding and bilinear upsampling that keep channels last and low precision on CUDA.

PyTorch's CUDA kernels for reflect padding go through contiguous tensors, and its autocast turns
bilinear upsampling, and what is concatenated with it, into float32. On CUDA both are done by
kernels of `bench.models.kernels` where Triton works; elsewhere by PyTorch's.
"""

from __future__ import annotations

import functools
import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_TYPES = (torch.float32, torch.bfloat16, torch.float16)
_MAX_PIXELS = 2**31  # what the kernels count pixels with
_MAX_CONTRIBUTIONS = (
    8  # output pixels in a line that one input pixel contributes to: a factor of 3.5
)


def reflect_pad(x: Tensor, margin: int) -> Tensor:
    """Reflect padding of `margin` pixels around (N, C, H, W), in its dtype."""
    if x.is_cuda and not _is_traced():
        if margin < min(x.shape[-2:]) and _kernels_apply(x, *x.shape[-2:]):
            padded: Tensor = _Pad.apply(x, margin)
            return padded
        if torch.are_deterministic_algorithms_enabled():  # PyTorch's has no such backward pass
            return mirrored(mirrored(x, margin, -1), margin, -2)
    return F.pad(x, [margin] * 4, mode="reflect")


def upsample(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear interpolation of (N, C, h, w) to (N, C, *size), corners aligned.

    On CUDA in the dtype of `x`, also under autocast.
    """
    if not x.is_cuda:
        return F.interpolate(x, size=list(size), mode="bilinear", align_corners=True)
    if not _is_traced() and _kernels_apply(x, *size) and _enlarges_little(x, size):
        enlarged: Tensor = _Upsample.apply(x, size)
        return enlarged
    with torch.autocast("cuda", enabled=False):
        return F.interpolate(x, size=list(size), mode="bilinear", align_corners=True)


def mirrored(x: Tensor, margin: int, dim: int) -> Tensor:
    """Reflect padding of `margin` at both ends of `dim`."""
    before = x.narrow(dim, 1, margin).flip(dim)
    after = x.narrow(dim, x.shape[dim] - 1 - margin, margin).flip(dim)
    return torch.cat([before, x, after], dim)


def _is_traced() -> bool:
    """Whether a compiler or tracer looks on, which knows PyTorch's own functions only."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def _kernels_apply(x: Tensor, height: int, width: int) -> bool:
    """Whether our kernels can turn `x` into maps of about this size."""
    return (
        x.dtype in _TYPES
        and x.is_contiguous(memory_format=torch.channels_last)
        and x.shape[0] * (height + 64) * (width + 64) < _MAX_PIXELS
        and kernels_work()
    )


def _enlarges_little(x: Tensor, size: torch.Size) -> bool:
    """Whether the kernels enlarge by so little."""
    lines = list(zip(x.shape[-2:], size, strict=True))
    return all(
        1 < small <= large and 2 * (large - 1) <= (_MAX_CONTRIBUTIONS - 1) * (small - 1)
        for small, large in lines
    )


@functools.cache
def kernels_work() -> bool:
    """Whether Triton is there, and what it needs to compile: a C compiler and Python's headers."""
    from torch.utils._triton import has_triton_package

    compilers = (os.environ.get("CC"), "gcc", "clang")  # Triton's own order
    return (
        has_triton_package()
        and torch.cuda.get_device_capability() >= (7, 0)
        and Path(sysconfig.get_path("include"), "Python.h").exists()
        and any(name and shutil.which(name) for name in compilers)
    )


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, margin: int) -> Tensor:
        from bench.models import kernels

        ctx.margin = margin
        return kernels.pad(x, margin)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        from bench.models import kernels

        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return kernels.pad_backward(gradient, ctx.margin), None


class _Upsample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, size: torch.Size) -> Tensor:
        from bench.models import kernels

        ctx.size = x.shape[-2:]
        return kernels.upsample(x, *size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        from bench.models import kernels

        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return kernels.upsample_backward(gradient, *ctx.size), None
