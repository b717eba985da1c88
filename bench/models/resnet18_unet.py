"""ResNet18-UNet: torchvision's ResNet18 under a U-Net decoder without normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models.blocks import Upsample, scaled
from bench.models.resnet import ResNetEncoder

_FULL = 64
_DECODED = (512, 256, 256, 128)


class ConvReLU(nn.Sequential):
    """A convolution with bias and a ReLU; keeps the size."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2),
            nn.ReLU(inplace=True),
        )


class ResNet18UNet(nn.Module):
    """torchvision's ResNet18 as the encoder of a U-Net whose decoder has no normalisation."""

    def __init__(self, *, in_channels: int = 3, out_channels: int = 2, width: float = 1.0) -> None:
        super().__init__()
        self.encoder = ResNetEncoder(in_channels=in_channels, width=width, depth=18)
        channels = self.encoder.channels
        full = scaled(_FULL, width)
        decoded = [scaled(count, width) for count in _DECODED]
        self.lateral = nn.ModuleList(ConvReLU(count, count, 1) for count in channels)
        self.full = nn.Sequential(ConvReLU(in_channels, full), ConvReLU(full, full))
        skips = [*channels[-2::-1], full]
        self.upsample = Upsample("bilinear", channels[-1])
        self.decoder = nn.ModuleList(
            ConvReLU(before + skip, after)
            for before, skip, after in zip(
                [channels[-1], *decoded], skips, [*decoded, full], strict=True
            )
        )
        self.head = nn.Conv2d(full, out_channels, 1)

    def encoder_parts(self) -> dict[str, list[nn.Module]]:
        """The modules of torchvision's stages; the 1×1 convolutions belong to the decoder."""
        return self.encoder.encoder_parts()

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to scores (N, out_channels, H, W)."""
        outputs = self.encoder(images)
        skips = [lateral(x) for lateral, x in zip(self.lateral, outputs, strict=True)]
        x = skips.pop()
        skips.insert(0, self.full(images))
        for block in self.decoder:
            skip = skips.pop()
            x = block(torch.cat([self.upsample(x, skip.shape[-2:]), skip], dim=1))
        scores: Tensor = self.head(x)
        return scores
