"""ResNet34-UNet as the published comparison built it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models.blocks import (
    BatchNorm,
    ReflectConv,
    ReflectDoubleConv,
    Upsample,
    UpsampleKind,
    require_size,
    scaled,
)

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels, blocks
_CENTRE, _DECODED = 256, 32
_MIN_SIZE = 17  # the fewest pixels of which stage 3 leaves 2, which reflect padding of 1 can pad


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with BatchNorm around a shortcut; the second one carries the stride.

    Where size or channels change, the shortcut is a 3×3 convolution with BatchNorm.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            BatchNorm(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, stride=stride, padding=1),
            BatchNorm(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1),
                BatchNorm(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, ⌈H/stride⌉, ⌈W/stride⌉)."""
        return torch.relu_(self.body(x) + self.shortcut(x))


def _stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(in_channels, out_channels, stride)
    rest = (ResidualBlock(out_channels, out_channels) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class ResNet34UNet(nn.Module):
    """A ResNet34-shaped encoder under a U-Net decoder of 32 channels."""

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 2,
        width: float = 1.0,
        upsample: UpsampleKind = "bilinear",
    ) -> None:
        super().__init__()
        channels = [scaled(stage, width) for stage, _ in _STAGES]
        centre, decoded = scaled(_CENTRE, width), scaled(_DECODED, width)
        self.stem = nn.Sequential(
            ReflectConv(in_channels, channels[0], 7, stride=2),
            BatchNorm(channels[0]),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList(
            _stage(before, after, blocks, stride=1 if number == 0 else 2)
            for number, (before, after, (_, blocks)) in enumerate(
                zip([channels[0], *channels], channels, _STAGES, strict=False)
            )
        )
        self.centre = ResidualBlock(channels[-1], centre)
        skips = [*channels[::-1], 0]  # the last level has none
        inputs = [skip + x for skip, x in zip(skips, [centre, *[decoded] * 4], strict=True)]
        self.upsamplers = nn.ModuleList(Upsample(upsample, count) for count in inputs)
        self.decoder = nn.ModuleList(ReflectDoubleConv(count, decoded) for count in inputs)
        self.head = nn.Conv2d(decoded, out_channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to scores (N, out_channels, H, W).

        Raises:
            SpecError: H or W is below 17 pixels.
        """
        require_size(images, _MIN_SIZE, "resnet34_unet")
        stem = self.stem(images)
        skips: list[Tensor] = [self.pool(stem)]
        for stage in self.stages:
            skips.append(stage(skips[-1]))
        sizes = [image.shape[-2:] for image in (images, stem, *skips[1:-1])]
        x = self.centre(skips[-1])
        for up, block in zip(self.upsamplers, self.decoder, strict=True):
            if len(skips) > 1:
                x = torch.cat([skips.pop(), x], dim=1)
            x = block(up(x, sizes.pop()))
        scores: Tensor = self.head(x)
        return scores
