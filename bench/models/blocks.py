"""Building blocks that several models share. Shapes are (N, C, H, W)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import SpecError
from bench.models.resampling import reflect_pad, upsample

UpsampleKind = Literal["bilinear", "transposed"]


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded, at least 1."""
    return max(1, round(channels * width))


def require_size(images: Tensor, min_size: int, model: str) -> None:
    """Refuse images that reflect padding cannot pad once `model` has shrunk them.

    Raises:
        SpecError: height or width is below `min_size` pixels.
    """
    height, width = images.shape[-2:]
    if height < min_size or width < min_size:
        raise SpecError(
            f"{model} needs images of at least {min_size}×{min_size} pixels, got {height}×{width}",
            key="data.image_size",
        )


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that a single 1×1 map does not stop.

    One value per channel has no variance, and PyTorch refuses to train on it; here the running
    statistics stand in, and stay as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class ReflectConv(nn.Conv2d):
    """A convolution of odd `kernel_size` with reflect padding, so that stride 1 keeps the size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride)
        self.margin = kernel_size // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return super().forward(reflect_pad(x, self.margin))


class ReflectDoubleConv(nn.Sequential):
    """Twice [3×3 convolution, reflect padding, bias → BatchNorm → ReLU]; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            ReflectConv(in_channels, out_channels, 3),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
            ReflectConv(out_channels, out_channels, 3),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
        )


class Upsample(nn.Module):
    """Doubles the size, to exactly the size that is asked for.

    Where an odd size was halved on the way down, the double is a pixel off: bilinear interpolation
    goes to the wanted size at once, a transposed convolution's result is resized to it.
    """

    def __init__(
        self, kind: UpsampleKind, in_channels: int, transposed_channels: int | None = None
    ) -> None:
        """Bilinear keeps `in_channels`; transposed gives `transposed_channels`, default the same.

        The attribute `out_channels` says how many come out.
        """
        super().__init__()
        self.transposed: nn.ConvTranspose2d | None = None
        self.out_channels = in_channels
        if kind == "transposed":
            self.out_channels = transposed_channels or in_channels
            self.transposed = nn.ConvTranspose2d(in_channels, self.out_channels, 2, stride=2)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """(N, C, h, w) to (N, out_channels, *size)."""
        if self.transposed is not None:
            x = self.transposed(x)
            if x.shape[-2:] == size:
                return x
        return upsample(x, size)
