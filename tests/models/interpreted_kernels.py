"""The Triton kernels against PyTorch; test_kernels.py runs this in Triton's interpreter."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.models import resampling

HALF, SINGLE = torch.bfloat16, torch.float32
PADDED = [
    ((2, 3, 9, 10), 3),
    ((1, 64, 2, 5), 1),
    ((1, 70, 5, 3), 1),
    ((2, 8, 4, 4), 3),
    ((1, 1, 7, 3), 2),
]
ENLARGED = [
    ((2, 5, 4, 7), (8, 14)),
    ((1, 64, 5, 3), (11, 6)),
    ((1, 6, 2, 3), (4, 5)),
    ((2, 4, 8, 8), (8, 15)),
    ((1, 3, 3, 5), (7, 13)),
]


def channels_last(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


def agree(ours: Tensor, theirs: Tensor, leaves: tuple[Tensor, Tensor]) -> None:
    """Two results and the gradients of what they were computed from, by norm and layout."""
    near = 1e-2 if ours.dtype == HALF else 1e-5
    gradient = torch.randn_like(theirs)
    (mine,) = torch.autograd.grad(ours, leaves[0], gradient.to(ours.dtype))
    (other,) = torch.autograd.grad(theirs, leaves[1], gradient)
    for found, wanted in ((ours, theirs), (mine, other)):
        assert found.dtype == leaves[0].dtype
        assert found.is_contiguous(memory_format=torch.channels_last)
        assert (found.float() - wanted).norm() <= near * wanted.norm()


def leaves(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    x = channels_last(shape, dtype)
    return x.clone().requires_grad_(), x.float().requires_grad_()


@pytest.mark.parametrize("dtype", [SINGLE, HALF])
@pytest.mark.parametrize(("shape", "margin"), PADDED)
def test_reflect_padding(shape: tuple[int, ...], margin: int, dtype: torch.dtype) -> None:
    mine, other = leaves(shape, dtype)
    wanted = F.pad(other, [margin] * 4, mode="reflect")
    agree(resampling._Pad.apply(mine, margin), wanted, (mine, other))


@pytest.mark.parametrize("dtype", [SINGLE, HALF])
@pytest.mark.parametrize(("shape", "size"), ENLARGED)
def test_upsampling(shape: tuple[int, ...], size: tuple[int, int], dtype: torch.dtype) -> None:
    mine, other = leaves(shape, dtype)
    assert resampling._enlarges_little(mine, torch.Size(size))
    wanted = F.interpolate(other, size=size, mode="bilinear", align_corners=True)
    agree(resampling._Upsample.apply(mine, torch.Size(size)), wanted, (mine, other))
